/* SPDX-License-Identifier: MIT */
/* Which metrics of a pipeline workers compute (see replay/parallel/parallel.h), and how the
 * metrics' calls are made there and answered here.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_REPLAY_PIPELINE_SHARING_H
#define NAUHA_REPLAY_PIPELINE_SHARING_H

#include "replay/parallel/parallel.h"
#include "replay/pipeline/parts.h"

/* As nauha__parallel_begin, with the metrics of the pipeline that can be shared: until
 * nauha__sharing_end, their calls are answered with the workers' outcomes. */
enum nauha_status nauha__sharing_begin(struct nauha_pipeline *pipeline,
                                       struct nauha_trace *const *traces, size_t count,
                                       const struct nauha_selector *selector,
                                       struct nauha__parallel **parallel, struct nauha_error *err);
/* Ends the workers; the metrics compute for themselves again. parallel may be NULL. */
void nauha__sharing_end(struct nauha_pipeline *pipeline, struct nauha__parallel *parallel);

#endif
