/* SPDX-License-Identifier: MIT */
/* A pipeline made from --metric and --sink, for replay and train alike.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_METRICS_H
#define NAUHA_TOOLS_METRICS_H

#include "nauha/pipeline.h"
#include "tools/command.h"

/* Adds the metrics and sinks that were given, and starts. directory NULL: standard output. Returns
 * an exit code, having said what went wrong. */
int nauha__metrics_start(struct nauha_pipeline *pipeline, const struct invocation *invocation,
                         const char *directory);

/* Ends the run and says what was written. Returns an exit code. */
int nauha__metrics_finish(struct nauha_pipeline *pipeline, const struct invocation *invocation);

#endif
