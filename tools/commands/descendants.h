/* SPDX-License-Identifier: MIT */
/* The processes that a program leaves running as it ends.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_COMMANDS_DESCENDANTS_H
#define NAUHA_TOOLS_COMMANDS_DESCENDANTS_H

#include <stdbool.h>
#include <sys/types.h>

/* From now on, orphans among this process's descendants become its children. */
void nauha__descendants_adopt(void);

/* Takes in those that have ended. False where none is left. */
bool nauha__descendants_left(void);

/* Whether a process runs and descends from this one. */
bool nauha__is_descendant(pid_t process);

#endif
