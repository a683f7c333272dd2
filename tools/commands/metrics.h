/* SPDX-License-Identifier: MIT */
/* A pipeline made from --metric and --sink, for replay and train alike.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_COMMANDS_METRICS_H
#define NAUHA_TOOLS_COMMANDS_METRICS_H

#include "nauha/pipeline.h"
#include "tools/cli/command.h"

/* Whether the metrics that were given can be made at all, before anything else is touched. */
enum nauha_status nauha__metrics_check(const struct invocation *invocation,
                                       struct nauha_error *err);

/* Adds the metrics and sinks that were given, and starts. directory NULL: standard output. */
enum nauha_status nauha__metrics_start(struct nauha_pipeline *pipeline,
                                       const struct invocation *invocation, const char *directory,
                                       struct nauha_error *err);

/* The same without sinks, in a process that does a part of another's work. */
enum nauha_status nauha__metrics_start_part(struct nauha_pipeline *pipeline,
                                            const struct invocation *invocation,
                                            struct nauha_error *err);

/* Whether a metric is one of Python's, "FILE.py:CLASS:...". */
bool nauha__metrics_need_python(const struct invocation *invocation);

/* Runs the same command line again under Python; comes back only where that fails. */
int nauha__metrics_run_python(const struct invocation *invocation);

/* As many threads as --jobs says, or as there are processors. Returns an exit code. */
int nauha__choose_workers(struct nauha_pipeline *pipeline, const struct invocation *invocation);

/* Ends the run and says what was written. Returns an exit code. */
int nauha__metrics_finish(struct nauha_pipeline *pipeline, const struct invocation *invocation);

#endif
