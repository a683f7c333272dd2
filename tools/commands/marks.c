/* SPDX-License-Identifier: MIT */
/* Marks in memory that other processes can open; see marks.h.
 *
 * Threads: the main thread.
 */
#include "tools/commands/marks.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/cli/terminal.h"

void nauha__marks_init(struct marks *marks) {
    char name[32];
    snprintf(name, sizeof name, "nauha-%" PRIx64, nauha__clock_ns());
    *marks = (struct marks){.memory = memfd_create(name, MFD_CLOEXEC)};
    if (marks->memory < 0)
        return;
    snprintf(marks->path, sizeof marks->path, "/proc/%ld/fd/%d", (long)getpid(), marks->memory);
    snprintf(marks->link, sizeof marks->link, "/memfd:%s (deleted)", name);
}

void nauha__marks_fini(struct marks *marks) {
    if (marks->memory >= 0)
        close(marks->memory);
    free(marks->text);
    *marks = (struct marks){.memory = -1};
}

void nauha__marks_read(struct marks *marks) {
    struct stat about;
    if (marks->memory < 0 || fstat(marks->memory, &about) != 0 || about.st_size <= 0)
        return;
    char *text = malloc((size_t)about.st_size);
    const ssize_t bytes = text ? pread(marks->memory, text, (size_t)about.st_size, 0) : -1;
    if (bytes <= 0) {
        free(text);
        return;
    }
    free(marks->text);
    marks->text = text;
    marks->bytes = (size_t)bytes;
}

bool nauha__marks_next(const struct marks *marks, const char *verb, size_t *position,
                       struct mark *mark) {
    const size_t length = strlen(verb);
    while (*position < marks->bytes) {
        const char *line = marks->text + *position;
        const char *end = memchr(line, '\0', marks->bytes - *position);
        if (!end)
            return false; /* a process is writing it */
        *position = (size_t)(end - marks->text) + 1;
        if (strncmp(line, verb, length) != 0 || line[length] != ' ')
            continue;
        char *text;
        const long process = strtol(line + length, &text, 10);
        *mark = (struct mark){*text ? text + 1 : text, (pid_t)process};
        return true;
    }
    return false;
}

bool nauha__marks_have(const struct marks *marks, const char *verb, pid_t process) {
    struct mark mark;
    size_t position = 0;
    while (nauha__marks_next(marks, verb, &position, &mark)) {
        if (!process || mark.process == process)
            return true;
    }
    return false;
}
