/* SPDX-License-Identifier: MIT */
/* The processes that a program leaves running when it ends.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_COMMANDS_DESCENDANTS_H
#define NAUHA_TOOLS_COMMANDS_DESCENDANTS_H

#include <stdbool.h>
#include <sys/types.h>

/* Makes the orphans among the descendants of this process its children from now on. */
void nauha__descendants_adopt(void);

/* Reaps the children that have ended. False if none is left. */
bool nauha__descendants_left(void);

/* Whether a process is running and is this one or descends from it. */
bool nauha__is_descendant(pid_t process);

#endif
