/* SPDX-License-Identifier: MIT */
/* Following traces that are being written: opening them, waiting, and being interrupted.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_COMMANDS_FOLLOW_H
#define NAUHA_TOOLS_COMMANDS_FOLLOW_H

#include "nauha/trace.h"

/* From begin to end, SIGINT and SIGTERM make waiting end instead of the program. */
void nauha__follow_begin(void);
void nauha__follow_end(void);
/* Whether one of them came. */
bool nauha__follow_interrupted(void);

/* Waits a moment, until the next look. False: interrupted. */
bool nauha__follow_wait(void);

/* As nauha_trace_open, but waits for a writer that is still setting the file up, and then for the
 * first messages: they bring the names that options are checked against. An interruption or the end
 * of the recording ends the wait, too. */
enum nauha_status nauha__follow_open(const char *path, struct nauha_names *names,
                                     struct nauha_trace **trace, struct nauha_error *err);

#endif
