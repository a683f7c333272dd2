/* SPDX-License-Identifier: MIT */
/* What the processes of a recorded program tell the waiting `nauha record`: marks "VERB PID TEXT"
 * in memory of this process's, which they open through /proc (tools/python/nauha/status.py). Unlike
 * a folder it cannot fill up, nobody cleans it away, and no program closes or inherits it.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_COMMANDS_MARKS_H
#define NAUHA_TOOLS_COMMANDS_MARKS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct marks {
    int memory;    /* negative where the system has none: then nothing will be told */
    char path[64]; /* where other processes open it */
    char link[64]; /* what that is a link to: the number of a process comes again */
    char *text;    /* as last read */
    size_t bytes;
};

struct mark {
    const char *text; /* borrowed until the marks are read again */
    pid_t process;
};

void nauha__marks_init(struct marks *marks);
void nauha__marks_fini(struct marks *marks);

/* Takes in what has been told by now. */
void nauha__marks_read(struct marks *marks);

/* The next mark of those read that has this verb; *position begins with 0. False behind the last.
 */
bool nauha__marks_next(const struct marks *marks, const char *verb, size_t *position,
                       struct mark *mark);

/* Whether there is one, of this process (0: of any). */
bool nauha__marks_have(const struct marks *marks, const char *verb, pid_t process);

#endif
