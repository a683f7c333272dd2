/* SPDX-License-Identifier: MIT */
/* The subscriber for each series of a report; see collection.h.
 *
 * Threads: the main thread.
 */
#include "tools/report/collection.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "nauha/array.h"

struct found {
    UT_hash_handle hh;
    struct line_key key;
    size_t position;
};

/* ---- taking ---- */

static struct line_key key_of(const struct topic *topic, const struct nauha_message_info *info) {
    struct line_key key = {.module = NAUHA_NONE, .slot = info->slot, .tag = info->tag};
    if (topic->scope == NAUHA_SCOPE_MODULE) {
        key.module = info->module;
        return key;
    }
    /* In an evaluation, calls number the batches, which are points of one line. */
    if (info->tag == 0)
        key.call = info->call < COLLECTION_CALLS ? info->call : COLLECTION_CALLS;
    key.rank = info->rank;
    return key;
}

static struct line *add_line(struct topic *topic, const struct line_key *key) {
    if (!NAUHA_GROW(topic->lines, topic->capacity, topic->count + 1))
        return NULL;
    struct found *found = calloc(1, sizeof *found);
    if (!found)
        return NULL;
    found->key = *key;
    found->position = topic->count;
    HASH_ADD(hh, topic->found, key, sizeof found->key, found);
    topic->lines[topic->count] = (struct line){.key = *key};
    return &topic->lines[topic->count++];
}

static struct line *line_of(struct topic *topic, const struct nauha_message_info *info) {
    const struct line_key key = key_of(topic, info);
    struct found *found = NULL;
    HASH_FIND(hh, topic->found, &key, sizeof key, found);
    return found ? &topic->lines[found->position] : add_line(topic, &key);
}

static enum nauha_status take(void *context, struct nauha_bundle *bundle, struct nauha_error *err) {
    struct topic *topic = context;
    struct nauha_message *message = nauha_bundle_message(bundle, 0);
    const struct nauha_message_info *info = nauha_message_info(message);
    struct nauha_tensor tensor;
    enum nauha_status status = nauha_message_tensor(message, &tensor, err);
    if (status != NAUHA_OK)
        return status;
    const double *values = tensor.data;
    struct line *line = line_of(topic, info);
    if (!line)
        return nauha_error_nomem(err);
    bool good = true;
    if (topic->form == NAUHA_FORM_SCALAR)
        good = curve_add(&line->curve, topic->collection->origin, info->global_step, values[0]);
    else if (tensor.ndim == 2 && tensor.shape[0] > 0)
        good = ridge_add(&line->ridge, info->global_step, values, (size_t)tensor.shape[0]);
    return good ? NAUHA_OK : nauha_error_nomem(err);
}

/* ---- subscribing ---- */

static bool describe(struct topic *topic, struct nauha_pipeline *pipeline) {
    const struct nauha_bus *bus = nauha_pipeline_bus(pipeline);
    const struct nauha_names *names = nauha_bus_names(bus);
    const struct nauha_plot *plot = nauha_bus_plot(bus, topic->kind);
    topic->form = nauha_names_kind_form(names, topic->kind);
    topic->scope = nauha_names_kind_scope(names, topic->kind);
    topic->title = strdup(plot && plot->title ? plot->title : topic->series);
    topic->ylabel = strdup(plot && plot->ylabel ? plot->ylabel : "");
    topic->y_low = plot ? plot->y_low : (double)NAN;
    topic->y_high = plot ? plot->y_high : (double)NAN;
    topic->log = plot && plot->log_y;
    topic->subscriber = nauha_subscriber_from_function("report", take, topic);
    return topic->title && topic->ylabel && topic->subscriber;
}

static enum nauha_status subscribe(struct topic *topic, struct nauha_pipeline *pipeline,
                                   const char *tag, struct nauha_error *err) {
    struct nauha_bus *bus = nauha_pipeline_bus(pipeline);
    const char *kind = nauha_names_kind(nauha_bus_names(bus), topic->kind);
    struct nauha_subscription *subscription = nauha_subscription_new(&kind, 1);
    if (!subscription)
        return nauha_error_nomem(err);
    const enum nauha_status status = nauha_subscription_set_tag(subscription, tag, err);
    if (status == NAUHA_OK)
        return nauha_bus_subscribe(bus, subscription, topic->subscriber, err);
    nauha_subscription_free(subscription);
    return status;
}

/* Whether an earlier series has the same topic and tag, so that their values would be mixed. */
static bool is_double(const struct nauha_pipeline *pipeline, size_t position) {
    const char *series, *tag, *other_tag;
    const uint32_t kind = nauha_pipeline_topic(pipeline, position, &series, &tag);
    for (size_t i = 0; i < position; i++)
        if (nauha_pipeline_topic(pipeline, i, &series, &other_tag) == kind &&
            strcmp(tag, other_tag) == 0)
            return true;
    return false;
}

/* The tags of one kind are lines of one topic. */
static enum nauha_status add_series(struct collection *collection, struct nauha_pipeline *pipeline,
                                    size_t position, struct nauha_error *err) {
    const char *series, *tag;
    const uint32_t kind = nauha_pipeline_topic(pipeline, position, &series, &tag);
    if (is_double(pipeline, position))
        return nauha_error_set(err, NAUHA_INVALID, "two metrics make the same series \"%s\"",
                               series);
    size_t place = 0;
    while (place < collection->count && collection->topics[place].kind != kind)
        place++;
    struct topic *topic = &collection->topics[place];
    if (place == collection->count) {
        collection->count++;
        *topic = (struct topic){.collection = collection, .series = series, .kind = kind};
        if (!describe(topic, pipeline))
            return nauha_error_nomem(err);
    }
    return subscribe(topic, pipeline, tag, err);
}

enum nauha_status collection_init(struct collection *collection, struct nauha_pipeline *pipeline,
                                  size_t metrics, uint64_t first_step, struct nauha_error *err) {
    struct nauha_metric_info info;
    size_t count = 0;
    for (size_t i = 0; i < metrics && nauha_pipeline_metric(pipeline, i, &info); i++)
        count += info.topics;
    *collection = (struct collection){.topics = calloc(count + 1, sizeof *collection->topics),
                                      .origin = first_step};
    if (!collection->topics)
        return nauha_error_nomem(err);
    enum nauha_status status = NAUHA_OK;
    for (size_t i = 0; i < count && status == NAUHA_OK; i++)
        status = add_series(collection, pipeline, i, err);
    return status;
}

void collection_fini(struct collection *collection) {
    for (size_t i = 0; i < collection->count; i++) {
        struct topic *topic = &collection->topics[i];
        struct found *entry, *next;
        HASH_ITER(hh, topic->found, entry, next) {
            HASH_DEL(topic->found, entry);
            free(entry);
        }
        for (size_t j = 0; j < topic->count; j++) {
            curve_fini(&topic->lines[j].curve);
            ridge_fini(&topic->lines[j].ridge);
        }
        nauha_subscriber_free(topic->subscriber);
        free(topic->lines);
        free(topic->title);
        free(topic->ylabel);
    }
    free(collection->topics);
}

/* ---- order ---- */

static int by_number(uint32_t a, uint32_t b) {
    return (a > b) - (a < b);
}

static int by_key(const void *left, const void *right) {
    const struct line_key *a = &((const struct line *)left)->key;
    const struct line_key *b = &((const struct line *)right)->key;
    int order = by_number(a->module, b->module);
    order = order ? order : by_number(a->tag, b->tag);
    order = order ? order : by_number(a->slot, b->slot);
    order = order ? order : by_number(a->call, b->call);
    return order ? order : by_number(a->rank, b->rank);
}

void collection_sort(struct collection *collection) {
    for (size_t i = 0; i < collection->count; i++)
        if (collection->topics[i].count > 0)
            qsort(collection->topics[i].lines, collection->topics[i].count, sizeof(struct line),
                  by_key);
}

const struct topic *collection_find(const struct collection *collection, const char *series) {
    for (size_t i = 0; i < collection->count; i++)
        if (strcmp(collection->topics[i].series, series) == 0)
            return &collection->topics[i];
    return NULL;
}
