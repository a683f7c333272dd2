/* SPDX-License-Identifier: MIT */
/* The series of a report: standard ones, if the trace has what they need, and those of --metric.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_REPORT_PLAN_H
#define NAUHA_TOOLS_REPORT_PLAN_H

#include "nauha/pipeline.h"
#include "tools/report/survey.h"

/* Adds the metrics for them to a pipeline, those of --metric first; *count is how many metrics were
 * added. */
enum nauha_status plan_add(struct nauha_pipeline *pipeline, const struct invocation *invocation,
                           const struct survey *survey, size_t *count, struct nauha_error *err);

#endif
