/* SPDX-License-Identifier: MIT */
/* A replay on several threads or processes. The pipeline walks over the traces and delivers every
 * message as it always does, in order; but the metrics that look at each module alone are not run
 * there. Workers run them ahead, each for its part of the modules, and the pipeline takes the
 * outcome of each call where it would have made the call: so all that depends on order stays as it
 * is.
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
    bool per_kind; /* it looks at one kind at a time, too */
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
    /* Makes all of the metrics once more, for a worker, on a bus of their own. Each call of theirs
     * is put into the writer. Called within nauha__parallel_begin. */
    enum nauha_status (*make)(void *context, struct nauha__outcome_writer *writer, void **made,
                              struct nauha_bus **bus, struct nauha_error *err);
    void (*free)(void *made);
    void *context;
};

/* Starts workers where that is of use: *parallel is NULL where there is nothing to share out, where
 * a trace cannot be opened once more, or HDF5 is not made for threads. Names, traces, selector and
 * processes are borrowed until nauha__parallel_end, the rest until the call returns. NOMEM. With
 * several processes, the error of any of them in process 0. */
enum nauha_status nauha__parallel_begin(const struct nauha__work *work,
                                        struct nauha__parallel **parallel, struct nauha_error *err);
/* In a process that publishes nothing: does its part, if it has one. IO. */
enum nauha_status nauha__parallel_serve(struct nauha__parallel *parallel, struct nauha_error *err);
/* After the last message: takes what other processes still send, so that nothing lies there when
 * the next replay begins. IO; SUBSCRIBER: an outcome nobody asked for. */
enum nauha_status nauha__parallel_finish(struct nauha__parallel *parallel, struct nauha_error *err);
/* Ends the workers, whether they have come to their end or not. */
void nauha__parallel_end(struct nauha__parallel *parallel);

/* One call of a metric, made by a worker: publishes on the bus what it published and returns what
 * it returned. Waits for it where need be. metric: its number, as in outcome.h. */
enum nauha_status nauha__parallel_take(struct nauha__parallel *parallel, uint32_t metric,
                                       struct nauha_bundle *bundle, struct nauha_bus *bus,
                                       struct nauha_error *err);

#endif
