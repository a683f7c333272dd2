/* SPDX-License-Identifier: MIT */
/* What the processes of a recorded program tell the waiting `nauha record`: marks, "VERB PID TEXT",
 * in memory of this process, which they open through /proc (tools/python/nauha/status.py). Unlike
 * files in a folder, this needs no disk, nobody removes it, and no recorded program closes or
 * inherits it.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_COMMANDS_MARKS_H
#define NAUHA_TOOLS_COMMANDS_MARKS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct marks {
    int memory;    /* descriptor; negative: the system has no such memory, and there are no marks */
    char path[64]; /* where other processes open it */
    char link[64]; /* what the path must be a link to, as numbers of processes are reused */
    char *text;    /* as last read */
    size_t bytes;
};

struct mark {
    const char *text; /* borrowed until the marks are read again */
    pid_t process;
};

void nauha__marks_init(struct marks *marks);
void nauha__marks_fini(struct marks *marks);

/* Reads the marks that are there by now. */
void nauha__marks_read(struct marks *marks);

/* The next mark with this verb among those read; *position is 0 at first. False past the last. */
bool nauha__marks_next(const struct marks *marks, const char *verb, size_t *position,
                       struct mark *mark);

/* Whether there is a mark with this verb of this process (0: of any). */
bool nauha__marks_have(const struct marks *marks, const char *verb, pid_t process);

#endif
