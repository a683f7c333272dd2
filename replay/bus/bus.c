/* SPDX-License-Identifier: MIT */
/* The bus: topics, delivery, and the ends of steps; see nauha/bus.h.
 *
 * Threads: one at a time per bus.
 */
#include "nauha/bus.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "nauha/array.h"
#include "nauha/internal/arithmetic.h"
#include "replay/bus/parts.h"

/* ---- topics ---- */

static void plot_free(struct nauha_plot *plot) {
    if (!plot)
        return;
    free((char *)plot->series);
    free((char *)plot->title);
    free((char *)plot->xlabel);
    free((char *)plot->ylabel);
    free(plot);
}

static bool copy_text(const char **copy, const char *text) {
    *copy = text ? strdup(text) : NULL;
    return *copy || !text;
}

static struct nauha_plot *plot_copy(const struct nauha_plot *plot) {
    struct nauha_plot *copy = calloc(1, sizeof *copy);
    if (!copy)
        return NULL;
    copy->y_low = plot->y_low;
    copy->y_high = plot->y_high;
    copy->log_y = plot->log_y;
    if (copy_text(&copy->series, plot->series) && copy_text(&copy->title, plot->title) &&
        copy_text(&copy->xlabel, plot->xlabel) && copy_text(&copy->ylabel, plot->ylabel))
        return copy;
    plot_free(copy);
    return NULL;
}

static struct nauha__topic *find_topic(const struct nauha_bus *bus, uint32_t kind) {
    return kind < bus->topic_capacity && bus->topics[kind].registered ? &bus->topics[kind] : NULL;
}

bool nauha_bus_has_topic(const struct nauha_bus *bus, uint32_t kind) {
    return find_topic(bus, kind) != NULL;
}

const struct nauha_plot *nauha_bus_plot(const struct nauha_bus *bus, uint32_t kind) {
    const struct nauha__topic *topic = find_topic(bus, kind);
    return topic ? topic->plot : NULL;
}

bool nauha_bus_wants(const struct nauha_bus *bus, uint32_t kind) {
    const struct nauha__topic *topic = find_topic(bus, kind);
    return topic && topic->taker_count > 0;
}

enum nauha_status nauha_bus_register_topic(struct nauha_bus *bus, const char *name,
                                           enum nauha_scope scope, enum nauha_form form,
                                           const struct nauha_plot *plot, uint32_t *kind,
                                           struct nauha_error *err) {
    uint32_t id = 0;
    enum nauha_status status = nauha_names_add_kind(bus->names, name, scope, form, &id, err);
    if (status != NAUHA_OK)
        return status;
    if (!NAUHA_GROW_ZEROED(bus->topics, bus->topic_capacity, (size_t)id + 1))
        return nauha_error_nomem(err);
    struct nauha__topic *topic = &bus->topics[id];
    /* The configuration of the first registration is kept, because subscribers may refer to it. */
    if (plot && !topic->plot && !(topic->plot = plot_copy(plot)))
        return nauha_error_nomem(err);
    topic->registered = true;
    *kind = id;
    return NAUHA_OK;
}

/* ---- life ---- */

struct nauha_bus *nauha_bus_new(struct nauha_names *names) {
    struct nauha_bus *bus = calloc(1, sizeof *bus);
    if (!bus)
        return NULL;
    bus->names = names;
    if (!NAUHA_GROW_ZEROED(bus->topics, bus->topic_capacity, NAUHA_KIND_BUILTIN_COUNT)) {
        free(bus);
        return NULL;
    }
    for (size_t kind = 0; kind < NAUHA_KIND_BUILTIN_COUNT; kind++)
        bus->topics[kind].registered = true;
    return bus;
}

void nauha_bus_free(struct nauha_bus *bus) {
    if (!bus)
        return;
    for (size_t i = 0; i < bus->subscription_count; i++) {
        nauha__subscription_detach(bus, bus->subscriptions[i]);
        nauha_subscription_free(bus->subscriptions[i]);
    }
    nauha__bundle_pool_fini(&bus->pool);
    nauha__damage_fini(&bus->damage);
    for (size_t kind = 0; kind < bus->topic_capacity; kind++) {
        plot_free(bus->topics[kind].plot);
        free(bus->topics[kind].takers);
    }
    free(bus->topics);
    free(bus->subscriptions);
    free(bus->subscribers);
    free(bus->scratch);
    free(bus);
}

struct nauha_names *nauha_bus_names(const struct nauha_bus *bus) {
    return bus->names;
}

void nauha_bus_set_strict(struct nauha_bus *bus, bool strict) {
    bus->strict = strict;
}

void nauha_bus_set_tensor_limit(struct nauha_bus *bus, uint64_t bytes) {
    bus->tensor_limit = bytes;
}

/* ---- subscribing ---- */

static enum nauha_status check_kinds(const struct nauha_bus *bus,
                                     const struct nauha_subscription *subscription,
                                     const struct nauha_subscriber *subscriber,
                                     struct nauha_error *err) {
    if (subscription->count == 0)
        return nauha_error_set(err, NAUHA_INVALID, "subscriber \"%s\" subscribes to no topic",
                               subscriber->name);
    for (size_t i = 0; i < subscription->count; i++) {
        const char *kind = subscription->kinds[i];
        if (!find_topic(bus, nauha_names_find_kind(bus->names, kind)))
            return nauha_error_set(err, NAUHA_UNKNOWN,
                                   "subscriber \"%s\": topic \"%s\" is not registered",
                                   subscriber->name, kind);
        for (size_t j = 0; j < i; j++) {
            if (strcmp(subscription->kinds[j], kind) == 0)
                return nauha_error_set(err, NAUHA_INVALID,
                                       "subscriber \"%s\" subscribes to topic \"%s\" twice",
                                       subscriber->name, kind);
        }
    }
    return NAUHA_OK;
}

/* Kinds that have nothing in common are refused, rather than giving no bundle at all. */
static enum nauha_status check_meeting(const struct nauha_bus *bus,
                                       struct nauha_subscription *subscription,
                                       const struct nauha_subscriber *subscriber,
                                       struct nauha_error *err) {
    subscription->ids = calloc(subscription->count, sizeof *subscription->ids);
    if (!subscription->ids)
        return nauha_error_nomem(err);
    for (size_t i = 0; i < subscription->count; i++) {
        subscription->ids[i] = nauha_names_find_kind(bus->names, subscription->kinds[i]);
        for (size_t j = 0; subscription->synchronized && j < i; j++) {
            const char *why =
                nauha__cannot_meet(bus->names, subscription->ids[j], subscription->ids[i]);
            if (why)
                return nauha_error_set(err, NAUHA_INVALID,
                                       "subscriber \"%s\": messages of \"%s\" and \"%s\" can "
                                       "never be in one bundle: the first kind %s",
                                       subscriber->name, subscription->kinds[j],
                                       subscription->kinds[i], why);
        }
    }
    subscription->joins = subscription->synchronized && nauha__subscription_joins(subscription);
    return NAUHA_OK;
}

static bool knows_subscriber(const struct nauha_bus *bus,
                             const struct nauha_subscriber *subscriber) {
    for (size_t i = 0; i < bus->subscriber_count; i++) {
        if (bus->subscribers[i] == subscriber)
            return true;
    }
    return false;
}

/* Everything that can fail is done before anything that others can see. */
static enum nauha_status join(struct nauha_bus *bus, struct nauha_subscription *subscription,
                              struct nauha_subscriber *subscriber, struct nauha_error *err) {
    if (bus->depth > 0 || bus->finished)
        return nauha_error_set(err, NAUHA_STATE, "cannot subscribe \"%s\" %s", subscriber->name,
                               bus->finished ? "after the bus has finished"
                                             : "while a message is being delivered");
    enum nauha_status status = check_kinds(bus, subscription, subscriber, err);
    if (status == NAUHA_OK)
        status = check_meeting(bus, subscription, subscriber, err);
    subscription->tag_id = NAUHA_NONE;
    if (status == NAUHA_OK && strcmp(subscription->tag, NAUHA_ALL_TAGS) != 0)
        status = nauha_names_add_tag(bus->names, subscription->tag, &subscription->tag_id, err);
    if (status != NAUHA_OK)
        return status;
    if (!NAUHA_GROW(bus->subscriptions, bus->subscription_capacity, bus->subscription_count + 1) ||
        !NAUHA_GROW(bus->subscribers, bus->subscriber_capacity, bus->subscriber_count + 1))
        return nauha_error_nomem(err);
    for (size_t i = 0; i < subscription->count; i++) {
        struct nauha__topic *topic =
            find_topic(bus, nauha_names_find_kind(bus->names, subscription->kinds[i]));
        if (!NAUHA_GROW(topic->takers, topic->taker_capacity, topic->taker_count + 1))
            return nauha_error_nomem(err);
    }
    subscription->subscriber = subscriber;
    for (size_t i = 0; i < subscription->count; i++) {
        struct nauha__topic *topic =
            find_topic(bus, nauha_names_find_kind(bus->names, subscription->kinds[i]));
        topic->takers[topic->taker_count++] = (struct nauha__taker){subscription, i};
    }
    bus->subscriptions[bus->subscription_count++] = subscription;
    if (!knows_subscriber(bus, subscriber))
        bus->subscribers[bus->subscriber_count++] = subscriber;
    return NAUHA_OK;
}

enum nauha_status nauha_bus_subscribe(struct nauha_bus *bus,
                                      struct nauha_subscription *subscription,
                                      struct nauha_subscriber *subscriber,
                                      struct nauha_error *err) {
    enum nauha_status status = join(bus, subscription, subscriber, err);
    if (status != NAUHA_OK)
        nauha_subscription_free(subscription);
    return status;
}

/* ---- steps ---- */

static void abandon(struct nauha_bus *bus) {
    for (size_t i = 0; i < bus->subscription_count; i++)
        nauha__subscription_abandon(bus, bus->subscriptions[i]);
}

static enum nauha_status drop_bundles(struct nauha_bus *bus, struct nauha_error *err) {
    enum nauha_status status = NAUHA_OK;
    for (size_t i = 0; i < bus->subscription_count && status == NAUHA_OK; i++)
        status = nauha__subscription_end_step(bus, bus->subscriptions[i], err);
    if (status != NAUHA_OK)
        abandon(bus);
    return status;
}

/* Bundles are dropped last, because what subscribers publish at the end of a step still belongs to
 * it. */
static enum nauha_status end_step(struct nauha_bus *bus, struct nauha_error *err) {
    enum nauha_status status = NAUHA_OK;
    if (!bus->in_step)
        return NAUHA_OK;
    bus->in_step = false;
    bus->depth++;
    for (size_t i = 0; i < bus->subscriber_count && status == NAUHA_OK; i++)
        status = nauha__subscriber_step_finished(bus, bus->subscribers[i], bus->global_step, err);
    bus->depth--;
    if (status == NAUHA_OK)
        return drop_bundles(bus, err);
    abandon(bus);
    return status;
}

static enum nauha_status begin_step(struct nauha_bus *bus, const struct nauha_message_info *info,
                                    struct nauha_error *err) {
    enum nauha_status status = NAUHA_OK;
    if (bus->in_step && (bus->global_step != info->global_step || bus->rank != info->rank))
        status = end_step(bus, err);
    bus->in_step = true;
    bus->global_step = info->global_step;
    bus->rank = info->rank;
    return status;
}

/* ---- publishing ---- */

static enum nauha_status check_publication(const struct nauha_bus *bus, uint32_t kind,
                                           struct nauha_error *err) {
    if (!find_topic(bus, kind)) {
        if (kind < nauha_names_kinds(bus->names))
            return nauha_error_set(err, NAUHA_UNKNOWN, "topic \"%s\" is not registered",
                                   nauha_names_kind(bus->names, kind));
        return nauha_error_set(err, NAUHA_UNKNOWN, "topic %" PRIu32 " is not registered", kind);
    }
    if (bus->depth >= NAUHA__BUS_DEPTH_MAX)
        return nauha_error_set(err, NAUHA_LIMIT,
                               "topic \"%s\" depends on itself: %u nested publications",
                               nauha_names_kind(bus->names, kind), bus->depth);
    return NAUHA_OK;
}

/* Delivers a message to all subscriptions of its topic. Callbacks may publish and register topics,
 * so no pointer to the topic is kept across a call. */
static enum nauha_status deliver(struct nauha_bus *bus, struct nauha_message *message,
                                 struct nauha_error *err) {
    const uint32_t kind = message->info.kind;
    enum nauha_status status = NAUHA_OK;
    struct nauha__kept *kept = NULL;
    bus->depth++;
    for (size_t i = 0; i < bus->topics[kind].taker_count && status == NAUHA_OK; i++) {
        const struct nauha__taker taker = bus->topics[kind].takers[i];
        status =
            nauha__subscription_take(bus, taker.subscription, taker.position, message, &kept, err);
    }
    bus->depth--;
    if (kept) {
        const enum nauha_status settled =
            nauha__kept_settle(&bus->pool, kept, status == NAUHA_OK ? err : NULL);
        if (settled != NAUHA_OK)
            abandon(bus);
        status = status == NAUHA_OK ? settled : status;
    }
    bus->failed = bus->failed || status != NAUHA_OK;
    return status;
}

enum nauha_status nauha_bus_publish(struct nauha_bus *bus, struct nauha_message *message,
                                    struct nauha_error *err) {
    const struct nauha_message_info *info = &message->info;
    if (bus->finished)
        return nauha_error_set(err, NAUHA_STATE, "cannot publish after the bus has finished");
    enum nauha_status status = check_publication(bus, info->kind, err);
    if (status != NAUHA_OK)
        return status;
    const bool outermost = bus->depth == 0;
    message->tensor_limit = bus->tensor_limit;
    if (outermost)
        status = begin_step(bus, info, err);
    if (status == NAUHA_OK)
        status = deliver(bus, message, err);
    if (status == NAUHA_OK && outermost && info->kind == NAUHA_KIND_BATCH_FINISHED)
        status = end_step(bus, err);
    return status;
}

enum nauha_status nauha__bus_pass(struct nauha_bus *bus, const struct nauha_message_info *info,
                                  struct nauha_error *err) {
    enum nauha_status status = begin_step(bus, info, err);
    if (status == NAUHA_OK && info->kind == NAUHA_KIND_BATCH_FINISHED)
        status = end_step(bus, err);
    return status;
}

bool nauha_bus_takes(const struct nauha_bus *bus, uint32_t kind, uint32_t tag,
                     uint64_t global_step) {
    const struct nauha__topic *topic = find_topic(bus, kind);
    for (size_t i = 0; topic && i < topic->taker_count; i++) {
        const struct nauha_subscription *subscription = topic->takers[i].subscription;
        if (nauha__subscription_has_tag(subscription, tag) &&
            global_step % subscription->every == 0)
            return true;
    }
    return false;
}

enum nauha_status nauha_bus_publish_tensor(struct nauha_bus *bus,
                                           const struct nauha_message_info *stamps,
                                           const struct nauha_tensor *tensor,
                                           struct nauha_error *err) {
    size_t count = 0;
    enum nauha_status status = check_publication(bus, stamps->kind, err);
    if (status != NAUHA_OK)
        return status;
    if (nauha_names_kind_form(bus->names, stamps->kind) == NAUHA_FORM_EVENT)
        return nauha_error_set(err, NAUHA_INVALID, "topic \"%s\" does not hold tensors",
                               nauha_names_kind(bus->names, stamps->kind));
    status = nauha_tensor_count(tensor, &count, err);
    if (status != NAUHA_OK)
        return nauha_error_wrap(err, status, "topic \"%s\"",
                                nauha_names_kind(bus->names, stamps->kind));
    struct nauha_message message = {.info = *stamps, .data = tensor->data};
    struct nauha_message_info *info = &message.info;
    info->seq = bus->published++;
    info->has_tensor = true;
    info->kept = NAUHA_KEPT_ELEMENTS;
    info->dtype = tensor->dtype;
    nauha__message_resolve(info, bus->names, NAUHA_NONE);
    info->ndim = tensor->ndim;
    info->shape = tensor->ndim > 0 ? tensor->shape : info->shape;
    info->bytes = (uint64_t)count * nauha_dtype_size(tensor->dtype);
    status = nauha_bus_publish(bus, &message, err);
    nauha__message_fini(&message);
    return status;
}

/* A message of this bus's own, on the stack of the publisher: `data` is an array of doubles. */
static enum nauha_status publish_own(struct nauha_bus *bus, uint32_t kind, enum nauha_form form,
                                     const struct nauha_message_info *stamps, const double *data,
                                     const int64_t *shape, uint32_t ndim, struct nauha_error *err) {
    if (bus->finished)
        return nauha_error_set(err, NAUHA_STATE, "cannot publish after the bus has finished");
    enum nauha_status status = check_publication(bus, kind, err);
    if (status != NAUHA_OK)
        return status;
    if (nauha_names_kind_form(bus->names, kind) != form)
        return nauha_error_set(err, NAUHA_INVALID, "topic \"%s\" does not hold %s",
                               nauha_names_kind(bus->names, kind),
                               form == NAUHA_FORM_SCALAR ? "scalars" : "histograms");
    struct nauha_message message = {.info = *stamps, .data = data};
    struct nauha_message_info *info = &message.info;
    info->kind = kind;
    info->seq = bus->published++;
    if (nauha_names_kind_scope(bus->names, kind) == NAUHA_SCOPE_NETWORK)
        info->module = NAUHA_NONE;
    info->has_tensor = true;
    info->kept = NAUHA_KEPT_ELEMENTS;
    info->dtype = NAUHA_DTYPE_F64;
    nauha__message_resolve(info, bus->names, NAUHA_NONE);
    info->ndim = ndim;
    info->shape = ndim > 0 ? shape : info->shape;
    info->bytes = sizeof *data;
    for (uint32_t i = 0; i < ndim; i++)
        info->bytes *= (uint64_t)shape[i];
    status = deliver(bus, &message, err);
    nauha__message_fini(&message);
    return status;
}

enum nauha_status nauha_bus_publish_scalar(struct nauha_bus *bus, uint32_t kind,
                                           const struct nauha_message_info *stamps, double value,
                                           struct nauha_error *err) {
    return publish_own(bus, kind, NAUHA_FORM_SCALAR, stamps, &value, NULL, 0, err);
}

enum nauha_status nauha_bus_publish_histogram(struct nauha_bus *bus, uint32_t kind,
                                              const struct nauha_message_info *stamps,
                                              const double *edges, const uint64_t *counts,
                                              size_t bins, struct nauha_error *err) {
    size_t bytes = 0;
    if (!nauha__mul_size(bins, 3 * sizeof(double), &bytes))
        return nauha_error_nomem(err);
    /* A subscriber that publishes a histogram while this one is delivered finds no scratch, and
     * allocates its own. */
    double *elements = bus->scratch;
    size_t size = bus->scratch_size;
    bus->scratch = NULL;
    bus->scratch_size = 0;
    if (size < bytes) {
        free(elements);
        elements = malloc(bytes);
        size = bytes;
        if (!elements)
            return nauha_error_nomem(err);
    }
    for (size_t i = 0; i < bins; i++) {
        elements[3 * i] = edges[i];
        elements[3 * i + 1] = edges[i + 1];
        elements[3 * i + 2] = (double)counts[i];
    }
    const int64_t shape[2] = {(int64_t)bins, 3};
    enum nauha_status status =
        publish_own(bus, kind, NAUHA_FORM_HISTOGRAM, stamps, elements, shape, 2, err);
    free(bus->scratch);
    bus->scratch = elements;
    bus->scratch_size = size;
    return status;
}

/* ---- the end ---- */

static bool takes(const struct nauha_bus *bus, const struct nauha_subscriber *subscriber,
                  uint32_t kind) {
    const struct nauha__topic *topic = find_topic(bus, kind);
    for (size_t i = 0; topic && i < topic->taker_count; i++) {
        if (topic->takers[i].subscription->subscriber == subscriber)
            return true;
    }
    return false;
}

enum nauha_status nauha_bus_tell_lost(struct nauha_bus *bus, uint32_t kind, uint64_t messages,
                                      uint64_t bytes, struct nauha_error *err) {
    if (bus->depth > 0 || bus->finished)
        return nauha_error_set(err, NAUHA_STATE, "cannot tell losses %s",
                               bus->finished ? "after the bus has finished"
                                             : "while a message is being delivered");
    enum nauha_status status = NAUHA_OK;
    bus->depth++;
    for (size_t i = 0; i < bus->subscriber_count && status == NAUHA_OK; i++) {
        if (takes(bus, bus->subscribers[i], kind))
            status = nauha__subscriber_lost(
                bus, bus->subscribers[i], nauha_names_kind(bus->names, kind), messages, bytes, err);
    }
    bus->depth--;
    return status;
}

enum nauha_status nauha_bus_finish(struct nauha_bus *bus, struct nauha_error *err) {
    if (bus->depth > 0)
        return nauha_error_set(err, NAUHA_STATE,
                               "cannot finish while a message is being delivered");
    if (bus->finished)
        return nauha_error_set(err, NAUHA_STATE, "the bus has finished already");
    enum nauha_status status = end_step(bus, err);
    bus->depth++;
    for (size_t i = 0; i < bus->subscriber_count && status == NAUHA_OK; i++)
        status = nauha__subscriber_finish(bus, bus->subscribers[i], err);
    bus->depth--;
    if (status == NAUHA_OK)
        status = drop_bundles(bus, err);
    for (size_t i = 0; i < bus->subscription_count && status == NAUHA_OK; i++)
        status = nauha__subscription_finish(bus, bus->subscriptions[i], err);
    bus->finished = true;
    return status;
}

void nauha_bus_report(const struct nauha_bus *bus, void (*line)(void *context, const char *text),
                      void *context) {
    nauha__damage_report(&bus->damage, line, context);
    for (size_t i = 0; i < bus->subscription_count; i++)
        nauha__subscription_report(bus->subscriptions[i], bus->names, line, context);
}
