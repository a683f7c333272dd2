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

#include "replay/pipeline/parts.h"

/* Starts workers where that is of use: *parallel is NULL where there is nothing to share out, where
 * a trace cannot be opened once more, or HDF5 is not made for threads. The selector is what the
 * pipeline walks over. Traces and selector are borrowed until nauha__parallel_end. NOMEM. With
 * several processes, the error of any of them in process 0. */
enum nauha_status nauha__parallel_begin(struct nauha_pipeline *pipeline,
                                        struct nauha_trace *const *traces, size_t count,
                                        const struct nauha_selector *selector,
                                        struct nauha__parallel **parallel, struct nauha_error *err);
/* In a process that publishes nothing: does its part, if it has one. IO. */
enum nauha_status nauha__parallel_serve(struct nauha__parallel *parallel, struct nauha_error *err);
/* After the last message: takes what other processes still send, so that nothing lies there when
 * the next replay begins. IO; SUBSCRIBER: an outcome nobody asked for. */
enum nauha_status nauha__parallel_finish(struct nauha__parallel *parallel, struct nauha_error *err);
/* Ends the workers, whether they have come to their end or not. */
void nauha__parallel_end(struct nauha__parallel *parallel);

/* One call of a metric, made by a worker: publishes what it published and returns what it returned.
 * Waits for it where need be. */
enum nauha_status nauha__parallel_take(struct nauha__parallel *parallel,
                                       const struct nauha__metric *metric,
                                       struct nauha_bundle *bundle, struct nauha_error *err);

#endif
