/* SPDX-License-Identifier: MIT */
/* Outcomes: what a metric's compute published and returned. A worker calls compute and writes the
 * outcomes in the order of its calls; the pipeline, which has the sinks, reads them in place of its
 * own calls. The worker's calls are a part of the pipeline's, in the same order.
 *
 * Threads: one at a time for a writer, and for a reader.
 */
#ifndef NAUHA_REPLAY_PARALLEL_OUTCOME_H
#define NAUHA_REPLAY_PARALLEL_OUTCOME_H

#include "nauha/bus.h"
#include "replay/parallel/channel.h"

struct nauha__outcome_writer {
    struct nauha__channel *channel; /* borrowed */
    unsigned char *bytes;           /* the outcome that is being written */
    size_t size, capacity;
    uint32_t publications;
};

void nauha__outcome_writer_fini(struct nauha__outcome_writer *writer);

/* nauha__outcome_begin begins a call, the next two note what it publishes, and nauha__outcome_end
 * puts its outcome into the channel. The metric is identified by its number, the bundle by its
 * first message. status is what the call returned, err what it said. nauha__outcome_end fails, and
 * then sets err, if the outcome cannot be put: NOMEM, or STATE if the reader has left. */
void nauha__outcome_begin(struct nauha__outcome_writer *writer);
enum nauha_status nauha__outcome_scalar(struct nauha__outcome_writer *writer, uint32_t topic,
                                        const struct nauha_message_info *stamps, double value,
                                        struct nauha_error *err);
enum nauha_status nauha__outcome_histogram(struct nauha__outcome_writer *writer, uint32_t topic,
                                           const struct nauha_message_info *stamps,
                                           const double *edges, const uint64_t *counts, size_t bins,
                                           struct nauha_error *err);
enum nauha_status nauha__outcome_end(struct nauha__outcome_writer *writer, uint32_t metric,
                                     struct nauha_bundle *bundle, enum nauha_status status,
                                     struct nauha_error *err);

/* The worker cannot go on; whoever takes its next outcome gets this error. */
void nauha__outcome_give_up(struct nauha__outcome_writer *writer, const struct nauha_error *why);

struct nauha__outcome_reader {
    /* Gets more bytes, a whole number of outcomes, borrowed until the next call; size 0 at the end.
     */
    enum nauha_status (*refill)(void *context, const unsigned char **bytes, size_t *size,
                                struct nauha_error *err);
    void *context;
    /* Whether a metric has been ended: its outcomes are passed over. NULL: none is. */
    bool (*ended)(const void *metrics, uint32_t metric);
    const void *metrics;
    const unsigned char *bytes;
    size_t size, at;
};

/* Takes the next outcome, which must be that of this metric and bundle: publishes on the bus what
 * the call published, marks the messages that it found damaged or unreadable, and returns what it
 * returned. SUBSCRIBER: the next outcome is another one, or there is none. That, and a worker that
 * cannot go on, are no failures of the metric: the bus is marked as failed. */
enum nauha_status nauha__outcome_take(struct nauha__outcome_reader *reader, uint32_t metric,
                                      struct nauha_bundle *bundle, struct nauha_bus *bus,
                                      struct nauha_error *err);

/* Checks that there is no further outcome. SUBSCRIBER: there is one. */
enum nauha_status nauha__outcome_expect_end(struct nauha__outcome_reader *reader,
                                            struct nauha_error *err);

#endif
