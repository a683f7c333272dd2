/* SPDX-License-Identifier: MIT */
/* The series of a report: those it always has where their inputs are there, and those of --metric.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_REPORT_PLAN_H
#define NAUHA_TOOLS_REPORT_PLAN_H

#include "nauha/pipeline.h"
#include "tools/report/survey.h"

/* Adds them to a pipeline, those of --metric first; *count is how many metrics that are. */
enum nauha_status plan_add(struct nauha_pipeline *pipeline, const struct invocation *invocation,
                           const struct survey *survey, size_t *count, struct nauha_error *err);

#endif
