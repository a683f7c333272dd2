/* SPDX-License-Identifier: MIT */
/* Chooses the metrics of a pipeline that workers compute (see replay/parallel/parallel.h), makes
 * their instances for the workers, and answers their calls in the pipeline with the outcomes.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_REPLAY_PIPELINE_SHARING_H
#define NAUHA_REPLAY_PIPELINE_SHARING_H

#include "replay/parallel/parallel.h"
#include "replay/pipeline/parts.h"

/* As nauha__parallel_begin, for the metrics of the pipeline that can be shared. Until
 * nauha__sharing_end, their calls are answered with the workers' outcomes. */
enum nauha_status nauha__sharing_begin(struct nauha_pipeline *pipeline,
                                       struct nauha_trace *const *traces, size_t count,
                                       const struct nauha_selector *selector,
                                       struct nauha__parallel **parallel, struct nauha_error *err);
/* Ends the workers; the metrics compute for themselves again. parallel may be NULL. */
void nauha__sharing_end(struct nauha_pipeline *pipeline, struct nauha__parallel *parallel);

#endif
