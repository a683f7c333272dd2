/* SPDX-License-Identifier: MIT */
/* Estimating the size of a recording from a few recorded steps.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_COMMANDS_ESTIMATE_H
#define NAUHA_TOOLS_COMMANDS_ESTIMATE_H

#include "tools/cli/command.h"

/* Whether an estimate is asked for; if so, *steps is how many steps it records. If the options are
 * wrong, prints an error and sets *code to EXIT_USAGE. */
bool nauha__estimate_wanted(const struct invocation *invocation, uint64_t *steps, int *code);

/* Creates a folder for the sample, in which the trace is to be "sample.h5". False, after printing
 * why, if it cannot be created. */
bool nauha__estimate_folder(char *folder, size_t bytes);
/* Removes the folder and everything in it. */
void nauha__estimate_remove(const char *folder);

/* Prints by kind how much the steps in a trace take, how much the steps of --max-steps (by default
 * 1,000) would take, and how much with a smaller selection. The options of the recording are those
 * of the invocation. Temporary samples are written to folder. Returns the exit code. */
int nauha__estimate_print(const struct invocation *invocation, const char *trace,
                          const char *folder);

#endif
