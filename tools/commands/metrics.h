/* SPDX-License-Identifier: MIT */
/* A pipeline made from --metric and --sink, for replay and train.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_COMMANDS_METRICS_H
#define NAUHA_TOOLS_COMMANDS_METRICS_H

#include "nauha/pipeline.h"
#include "tools/cli/command.h"

/* Checks that the given metrics can be created, before anything else is done. */
enum nauha_status nauha__metrics_check(const struct invocation *invocation,
                                       struct nauha_error *err);

/* Adds the given metrics and sinks to a pipeline and starts it. directory NULL: standard output. */
enum nauha_status nauha__metrics_start(struct nauha_pipeline *pipeline,
                                       const struct invocation *invocation, const char *directory,
                                       struct nauha_error *err);

/* The same without sinks, for a process that computes a part of the metrics for another process. */
enum nauha_status nauha__metrics_start_part(struct nauha_pipeline *pipeline,
                                            const struct invocation *invocation,
                                            struct nauha_error *err);

/* Whether a given metric is written in Python, "FILE.py:CLASS:...". */
bool nauha__metrics_need_python(const struct invocation *invocation);

/* Runs the same command line again under Python; returns only if that fails, with an exit code. */
int nauha__metrics_run_python(const struct invocation *invocation);

/* Sets the number of threads to that of --jobs, or to the number of processors. Returns an exit
 * code. */
int nauha__choose_workers(struct nauha_pipeline *pipeline, const struct invocation *invocation);

/* Prints which metrics and rules of a pipeline have failed. Returns EXIT_PARTLY if there are any,
 * unless `code` tells of something graver; else `code`. */
int nauha__metrics_tell_failures(const struct nauha_pipeline *pipeline, int code);

/* Finishes the pipeline and prints what was written. Returns an exit code. */
int nauha__metrics_finish(struct nauha_pipeline *pipeline, const struct invocation *invocation);

#endif
