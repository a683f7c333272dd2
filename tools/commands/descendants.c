/* SPDX-License-Identifier: MIT */
/* The processes that a program leaves running; see descendants.h.
 *
 * Threads: the main thread.
 */
#include "tools/commands/descendants.h"

#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

void nauha__descendants_adopt(void) {
    prctl(PR_SET_CHILD_SUBREAPER, 1);
}

bool nauha__descendants_left(void) {
    pid_t ended;
    do
        ended = waitpid(-1, NULL, WNOHANG);
    while (ended > 0);
    return ended == 0;
}

/* The parent of a process that runs; 0: there is none. */
static pid_t parent_of(pid_t process) {
    char path[32], line[512];
    snprintf(path, sizeof path, "/proc/%ld/stat", (long)process);
    FILE *file = fopen(path, "re");
    const char *name_end = file && fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL;
    if (file)
        fclose(file);
    char state;
    long parent;
    if (!name_end || sscanf(name_end + 1, " %c %ld", &state, &parent) != 2 || state == 'Z')
        return 0;
    return (pid_t)parent;
}

bool nauha__is_descendant(pid_t process) {
    const pid_t here = getpid();
    while (process > 1 && process != here)
        process = parent_of(process);
    return process == here;
}
