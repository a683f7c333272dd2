/* SPDX-License-Identifier: MIT */
/* What a recording will cost, told from a few recorded steps.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_COMMANDS_ESTIMATE_H
#define NAUHA_TOOLS_COMMANDS_ESTIMATE_H

#include "tools/cli/command.h"

/* Whether an estimate is asked for; *steps is its sample then. Says what is wrong with the options,
 * and *code is EXIT_USAGE. */
bool nauha__estimate_wanted(const struct invocation *invocation, uint64_t *steps, int *code);

/* Makes a folder for the sample; false, having said why, where it cannot be made. The trace is to
 * be "sample.h5" in it. */
bool nauha__estimate_folder(char *folder, size_t bytes);
/* Removes it with all that is in it. */
void nauha__estimate_remove(const char *folder);

/* Prints what the steps in a trace cost by kind, what 1,000 steps would, and what they would with
 * less selected; the options of the recording are those of the invocation. folder is where samples
 * may be written that are removed again. Returns the exit code. */
int nauha__estimate_print(const struct invocation *invocation, const char *trace,
                          const char *folder);

#endif
