/* SPDX-License-Identifier: MIT */
/* Models in Python, --model FILE.py:NAME: recorded steps are run again with them. The package does
 * that (tools/python/nauha/proof.py), so the command has to run under Python.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_COMMANDS_PYTHON_MODEL_H
#define NAUHA_TOOLS_COMMANDS_PYTHON_MODEL_H

#include "tools/cli/command.h"
#include "tools/cli/program.h"

/* Whether --model names a model in Python. */
bool nauha__has_python_model(const struct invocation *invocation);

/* Loads the model, so that what is wrong with it is said before anything else. Prints errors and
 * returns an exit code. */
int nauha__load_python_model(const struct invocation *invocation);

/* Runs the selected steps of a trace again. pipeline, with its names: what receives the messages;
 * both NULL: they are only compared with what was recorded. take receives the report: its lines, or
 * one JSON object. *same: whether nothing is different. Prints errors and returns an exit code. */
int nauha__run_python_model(const struct invocation *invocation, const char *trace,
                            struct nauha_names *names, struct nauha_pipeline *pipeline, bool json,
                            void (*take)(void *context, const char *text), void *context,
                            bool *same);

#endif
