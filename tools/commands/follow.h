/* SPDX-License-Identifier: MIT */
/* Following traces that are being written: opening them, waiting, and being interrupted.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_COMMANDS_FOLLOW_H
#define NAUHA_TOOLS_COMMANDS_FOLLOW_H

#include "nauha/trace.h"

/* Between these two calls, SIGINT and SIGTERM end waiting instead of the program. */
void nauha__follow_begin(void);
void nauha__follow_end(void);
/* Whether one of these signals has arrived. */
bool nauha__follow_interrupted(void);

/* Waits a moment before the next look at the traces. False: interrupted. */
bool nauha__follow_wait(void);

/* As nauha_trace_open, but waits for a writer that is still creating the file, and then for the
 * first messages, because these bring the names that options are checked against. An interruption
 * or the end of the recording also ends the wait. */
enum nauha_status nauha__follow_open(const char *path, struct nauha_names *names,
                                     struct nauha_trace **trace, struct nauha_error *err);

#endif
