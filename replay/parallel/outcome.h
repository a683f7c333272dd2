/* SPDX-License-Identifier: MIT */
/* Outcomes: what a metric's compute published and returned, told by the one who ran it to the one
 * who has the sinks. A worker writes its outcomes in the order of its calls; the pipeline reads
 * them in the order of its own, of which the worker's is a part.
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

/* A call begins; what it publishes follows; it ends, and is put into the channel. Returns what the
 * call returned, or what kept it from being told: NOMEM, STATE where nobody listens. The metric is
 * told by its number, the bundle by its first message. */
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

/* The worker cannot go on: told to whoever asks for its next outcome. */
void nauha__outcome_give_up(struct nauha__outcome_writer *writer, const struct nauha_error *why);

struct nauha__outcome_reader {
    /* More bytes, a whole number of outcomes, borrowed until the next call; none at the end. */
    enum nauha_status (*refill)(void *context, const unsigned char **bytes, size_t *size,
                                struct nauha_error *err);
    void *context;
    const unsigned char *bytes;
    size_t size, at;
};

/* The next outcome, which is that of this metric and bundle: publishes on the bus what the call
 * published and returns what it returned; messages that it found damaged are so here. SUBSCRIBER:
 * it is another's, or there is none. */
enum nauha_status nauha__outcome_take(struct nauha__outcome_reader *reader, uint32_t metric,
                                      struct nauha_bundle *bundle, struct nauha_bus *bus,
                                      struct nauha_error *err);

/* There is no further outcome. SUBSCRIBER: there is. */
enum nauha_status nauha__outcome_expect_end(struct nauha__outcome_reader *reader,
                                            struct nauha_error *err);

#endif
