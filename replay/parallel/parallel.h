/* SPDX-License-Identifier: MIT */
/* A replay on several threads or processes. The pipeline walks over the traces and delivers all
 * messages in order, as it always does. But it does not itself compute the metrics that look at one
 * module at a time. Workers compute these ahead, each for its part of the modules, and the pipeline
 * takes the outcome of each call where it would have made the call. So everything that depends on
 * the order of messages stays the same.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_REPLAY_PARALLEL_PARALLEL_H
#define NAUHA_REPLAY_PARALLEL_PARALLEL_H

#include "nauha/processes.h"
#include "nauha/trace.h"
#include "replay/parallel/outcome.h"

struct nauha__parallel;

/* A metric that looks at one module at a time, so that workers can compute it. */
struct nauha__shared_metric {
    uint32_t kinds[NAUHA_KIND_BUILTIN_COUNT];
    size_t kind_count;
    bool per_kind; /* it also looks at one kind at a time */
    uint32_t cost; /* of a byte, as in struct nauha_analyzer */
};

/* What is to be shared out. */
struct nauha__work {
    struct nauha_names *names;
    struct nauha_trace *const *traces;
    size_t trace_count;
    const struct nauha_selector *selector; /* what the pipeline walks over */
    const struct nauha__shared_metric *metrics;
    size_t metric_count;
    uint32_t threads;                        /* at most so many workers in this process */
    const struct nauha_processes *processes; /* with one worker each; NULL: there is one process */
    /* Makes another instance of all metrics for a worker, on a bus of their own; each of their
     * calls is written with the writer. Called only within nauha__parallel_begin. */
    enum nauha_status (*make)(void *context, struct nauha__outcome_writer *writer, void **made,
                              struct nauha_bus **bus, struct nauha_error *err);
    void (*free)(void *made);
    void *context;
    /* Whether the pipeline has ended a metric, by its number: what workers still compute of it is
     * passed over. `ended_context` is borrowed until nauha__parallel_end. */
    bool (*ended)(const void *ended_context, uint32_t metric);
    const void *ended_context;
};

/* Starts workers if that is useful. *parallel is NULL if there is nothing to share out; without
 * processes also if there are fewer than two threads, if workers cannot be made (for example
 * because a trace cannot be opened again), or if HDF5 is built without thread safety. Names,
 * traces, selector and processes are borrowed until nauha__parallel_end, the rest until the call
 * returns. NOMEM. With several processes also UNAVAILABLE (HDF5 without thread safety), INVALID
 * (they see different traces or metrics) and the errors of making workers; process 0 gets the first
 * error of any of them. */
enum nauha_status nauha__parallel_begin(const struct nauha__work *work,
                                        struct nauha__parallel **parallel, struct nauha_error *err);
/* In a process other than 0: computes its part, if it has one, and sends the outcomes to process 0.
 * IO. */
enum nauha_status nauha__parallel_serve(struct nauha__parallel *parallel, struct nauha_error *err);
/* After the last message: receives what other processes still send, so that the next replay does
 * not get it. IO; SUBSCRIBER: there is an outcome that was not taken. */
enum nauha_status nauha__parallel_finish(struct nauha__parallel *parallel, struct nauha_error *err);
/* Ends the workers, even if they have not finished. */
void nauha__parallel_end(struct nauha__parallel *parallel);

/* Takes the outcome of a call of a metric that a worker made, waiting for it if necessary:
 * publishes on the bus what the call published and returns what it returned. metric: its number, as
 * in outcome.h. */
enum nauha_status nauha__parallel_take(struct nauha__parallel *parallel, uint32_t metric,
                                       struct nauha_bundle *bundle, struct nauha_bus *bus,
                                       struct nauha_error *err);

#endif
