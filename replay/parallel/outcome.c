/* SPDX-License-Identifier: MIT */
/* Outcomes as bytes: a head; if the call failed, the positions of damaged messages and the text of
 * the error; then the publications. The format is private to one program on machines of one kind.
 *
 * Threads: one at a time for a writer, and for a reader.
 */
#include "replay/parallel/outcome.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "nauha/array.h"
#include "replay/bus/parts.h"

/* In place of a metric: the worker has given up. */
#define NOBODY UINT32_MAX

struct head {
    uint64_t size; /* of all of it, a multiple of 8 */
    uint64_t seq, global_step;
    uint32_t metric;
    uint32_t rank;
    uint32_t status;
    int32_t saved_errno;
    uint32_t publications;
    uint32_t damaged;    /* positions that follow */
    uint32_t text;       /* bytes of the error's text behind them, with its zero */
    uint32_t unreadable; /* whether the trace could not be read */
};

/* A scalar's value follows, or the edges and counts of the bins. */
struct publication {
    uint64_t bins; /* 0: a scalar */
    uint64_t seq, time_ns, global_step;
    uint32_t train_step, epoch, rank, call;
    uint32_t topic, tag, module, slot;
};

static size_t round_up(size_t size) {
    return (size + 7) & ~(size_t)7;
}

/* ---- writing ---- */

void nauha__outcome_writer_fini(struct nauha__outcome_writer *writer) {
    free(writer->bytes);
    *writer = (struct nauha__outcome_writer){0};
}

/* Room for so many bytes more, as zeros, at a multiple of 8; NULL when out of memory. */
static void *extend(struct nauha__outcome_writer *writer, size_t size) {
    size = round_up(size);
    if (!NAUHA_GROW(writer->bytes, writer->capacity, writer->size + size))
        return NULL;
    void *at = writer->bytes + writer->size;
    memset(at, 0, size);
    writer->size += size;
    return at;
}

void nauha__outcome_begin(struct nauha__outcome_writer *writer) {
    writer->size = 0;
    writer->publications = 0;
}

/* A publication with room for `values` doubles behind it. */
static double *publish(struct nauha__outcome_writer *writer, uint32_t topic,
                       const struct nauha_message_info *stamps, size_t bins, size_t values,
                       struct nauha_error *err) {
    struct publication *made = extend(writer, sizeof *made + values * sizeof(double));
    if (!made) {
        nauha_error_nomem(err);
        return NULL;
    }
    *made = (struct publication){
        .bins = bins,
        .seq = stamps->seq,
        .time_ns = stamps->time_ns,
        .global_step = stamps->global_step,
        .train_step = stamps->train_step,
        .epoch = stamps->epoch,
        .rank = stamps->rank,
        .call = stamps->call,
        .topic = topic,
        .tag = stamps->tag,
        .module = stamps->module,
        .slot = stamps->slot,
    };
    writer->publications++;
    return (double *)(made + 1);
}

enum nauha_status nauha__outcome_scalar(struct nauha__outcome_writer *writer, uint32_t topic,
                                        const struct nauha_message_info *stamps, double value,
                                        struct nauha_error *err) {
    double *data = publish(writer, topic, stamps, 0, 1, err);
    if (!data)
        return NAUHA_NOMEM;
    data[0] = value;
    return NAUHA_OK;
}

enum nauha_status nauha__outcome_histogram(struct nauha__outcome_writer *writer, uint32_t topic,
                                           const struct nauha_message_info *stamps,
                                           const double *edges, const uint64_t *counts, size_t bins,
                                           struct nauha_error *err) {
    double *data = publish(writer, topic, stamps, bins, 2 * bins + 1, err);
    if (!data)
        return NAUHA_NOMEM;
    memcpy(data, edges, (bins + 1) * sizeof *edges);
    memcpy(data + bins + 1, counts, bins * sizeof *counts);
    return NAUHA_OK;
}

/* Puts the head, with what tells a failure, and the publications. */
static enum nauha_status put(struct nauha__outcome_writer *writer, struct head *head,
                             const uint32_t *damaged, const char *text, struct nauha_error *err) {
    const size_t published = writer->size;
    const size_t positions = round_up(head->damaged * sizeof *damaged);
    const size_t words = round_up(head->text);
    head->size = sizeof *head + positions + words + published;
    if (!extend(writer, (size_t)head->size - published))
        return nauha_error_nomem(err);
    unsigned char *at = writer->bytes;
    memmove(at + (head->size - published), at, published);
    memset(at, 0, (size_t)head->size - published);
    memcpy(at, head, sizeof *head);
    if (damaged)
        memcpy(at + sizeof *head, damaged, head->damaged * sizeof *damaged);
    if (text)
        memcpy(at + sizeof *head + positions, text, head->text);
    return nauha__channel_put(writer->channel, at, (size_t)head->size, err);
}

enum nauha_status nauha__outcome_end(struct nauha__outcome_writer *writer, uint32_t metric,
                                     struct nauha_bundle *bundle, enum nauha_status status,
                                     struct nauha_error *err) {
    const struct nauha_message_info *first = &bundle->messages[0]->info;
    struct head head = {
        .seq = first->seq,
        .global_step = first->global_step,
        .metric = metric,
        .rank = first->rank,
        .status = (uint32_t)status,
        .publications = writer->publications,
    };
    uint32_t *damaged = NULL;
    if (status != NAUHA_OK) {
        damaged = calloc(bundle->count, sizeof *damaged);
        if (!damaged)
            return nauha_error_nomem(err);
        for (size_t i = 0; i < bundle->count; i++) {
            if (bundle->messages[i]->damaged)
                damaged[head.damaged++] = (uint32_t)i;
            head.unreadable |= bundle->messages[i]->unreadable;
        }
        head.saved_errno = err->saved_errno;
        head.text = (uint32_t)strlen(err->message) + 1;
    }
    struct nauha_error reason = NAUHA_ERROR_INIT;
    enum nauha_status sent = put(writer, &head, damaged, head.text ? err->message : NULL, &reason);
    free(damaged);
    if (sent != NAUHA_OK)
        *err = reason;
    return sent;
}

void nauha__outcome_give_up(struct nauha__outcome_writer *writer, const struct nauha_error *why) {
    struct head head = {
        .metric = NOBODY,
        .status = (uint32_t)why->code,
        .saved_errno = why->saved_errno,
        .text = (uint32_t)strlen(why->message) + 1,
    };
    nauha__outcome_begin(writer);
    put(writer, &head, NULL, why->message, NULL);
}

/* ---- reading ---- */

static enum nauha_status out_of_step(struct nauha_error *err) {
    return nauha_error_set(
        err, NAUHA_SUBSCRIBER,
        "the results of a worker do not match the trace: was the trace changed during the replay?");
}

/* The next outcome; NULL at the end. */
static enum nauha_status next_head(struct nauha__outcome_reader *reader, const struct head **head,
                                   struct nauha_error *err) {
    *head = NULL;
    if (reader->at == reader->size) {
        reader->at = reader->size = 0;
        enum nauha_status status =
            reader->refill(reader->context, &reader->bytes, &reader->size, err);
        if (status != NAUHA_OK || reader->size == 0)
            return status;
    }
    const struct head *next = (const struct head *)(const void *)(reader->bytes + reader->at);
    if (reader->size - reader->at < sizeof *next || next->size > reader->size - reader->at)
        return out_of_step(err);
    reader->at += (size_t)next->size;
    *head = next;
    return NAUHA_OK;
}

/* The next outcome of a metric that has not been ended, or of nobody; NULL at the end. */
static enum nauha_status next_wanted(struct nauha__outcome_reader *reader, const struct head **head,
                                     struct nauha_error *err) {
    enum nauha_status status;
    do
        status = next_head(reader, head, err);
    while (status == NAUHA_OK && *head && (*head)->metric != NOBODY && reader->ended &&
           reader->ended(reader->metrics, (*head)->metric));
    return status;
}

static enum nauha_status republish(struct nauha_bus *bus, const struct publication *made,
                                   const double *data, struct nauha_error *err) {
    const struct nauha_message_info stamps = {
        .seq = made->seq,
        .time_ns = made->time_ns,
        .global_step = made->global_step,
        .train_step = made->train_step,
        .epoch = made->epoch,
        .rank = made->rank,
        .call = made->call,
        .tag = made->tag,
        .module = made->module,
        .slot = made->slot,
    };
    const size_t bins = (size_t)made->bins;
    return bins == 0 ? nauha_bus_publish_scalar(bus, made->topic, &stamps, data[0], err)
                     : nauha_bus_publish_histogram(bus, made->topic, &stamps, data,
                                                   (const uint64_t *)(data + bins + 1), bins, err);
}

/* What a failed call told. */
static void fail(const struct head *head, const unsigned char *at, struct nauha_bundle *bundle,
                 struct nauha_error *err) {
    const uint32_t *damaged = (const uint32_t *)(const void *)at;
    for (uint32_t i = 0; i < head->damaged; i++) {
        if (damaged[i] < bundle->count)
            bundle->messages[damaged[i]]->damaged = true;
    }
    bundle->messages[0]->unreadable = head->unreadable;
    nauha_error_set(err, (enum nauha_status)head->status, "%s",
                    (const char *)at + round_up(head->damaged * sizeof *damaged));
    if (err)
        err->saved_errno = head->saved_errno;
}

/* The outcome of this call, or nobody's. */
static enum nauha_status head_of(struct nauha__outcome_reader *reader, uint32_t metric,
                                 const struct nauha_bundle *bundle, const struct head **head,
                                 struct nauha_error *err) {
    const struct nauha_message_info *first = &bundle->messages[0]->info;
    enum nauha_status status = next_wanted(reader, head, err);
    if (status != NAUHA_OK)
        return status;
    const struct head *next = *head;
    if (!next || (next->metric != NOBODY &&
                  (next->metric != metric || next->seq != first->seq || next->rank != first->rank ||
                   next->global_step != first->global_step)))
        return out_of_step(err);
    return NAUHA_OK;
}

enum nauha_status nauha__outcome_take(struct nauha__outcome_reader *reader, uint32_t metric,
                                      struct nauha_bundle *bundle, struct nauha_bus *bus,
                                      struct nauha_error *err) {
    const struct head *head = NULL;
    enum nauha_status status = head_of(reader, metric, bundle, &head, err);
    if (status != NAUHA_OK || head->metric == NOBODY)
        bus->failed = true;
    if (status != NAUHA_OK)
        return status;
    const unsigned char *at = (const unsigned char *)(head + 1);
    const unsigned char *data =
        at + round_up(head->damaged * sizeof(uint32_t)) + round_up(head->text);
    for (uint32_t i = 0; i < head->publications && status == NAUHA_OK; i++) {
        const struct publication *made = (const struct publication *)(const void *)data;
        const double *values = (const double *)(made + 1);
        status = republish(bus, made, values, err);
        data = (const unsigned char *)(values + (made->bins > 0 ? 2 * made->bins + 1 : 1));
    }
    if (status != NAUHA_OK || head->status == NAUHA_OK)
        return status;
    fail(head, at, bundle, err);
    return (enum nauha_status)head->status;
}

/* A worker that gave up at a metric that was ended since is missed by nobody. */
enum nauha_status nauha__outcome_expect_end(struct nauha__outcome_reader *reader,
                                            struct nauha_error *err) {
    const struct head *head = NULL;
    enum nauha_status status;
    do
        status = next_wanted(reader, &head, err);
    while (status == NAUHA_OK && head && head->metric == NOBODY);
    return status == NAUHA_OK && head ? out_of_step(err) : status;
}
