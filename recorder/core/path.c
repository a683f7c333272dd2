/* SPDX-License-Identifier: MIT */
/* Paths of files, and creating the directories that they need.
 *
 * Threads: any thread.
 */
#include "nauha/internal/path.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

char *nauha__path(const char *directory, const char *format, ...) {
    const size_t length = strlen(directory);
    const char *slash = length > 0 && directory[length - 1] == '/' ? "" : "/";
    char *name = NULL, *path = NULL;
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&name, format, arguments) < 0)
        name = NULL;
    va_end(arguments);
    if (name && asprintf(&path, "%s%s%s", directory, slash, name) < 0)
        path = NULL;
    free(name);
    return path;
}

enum nauha_status nauha__make_directory(const char *path, struct nauha_error *err) {
    char *copy = strdup(path);
    if (!copy)
        return nauha_error_nomem(err);
    enum nauha_status status = NAUHA_OK;
    for (char *slash = copy; status == NAUHA_OK && slash;) {
        slash = strchr(slash + 1, '/');
        if (slash)
            *slash = 0;
        if (copy[0] && mkdir(copy, 0777) != 0 && errno != EEXIST)
            status = nauha_error_set_errno(err, errno, "cannot make directory \"%s\"", copy);
        if (slash)
            *slash = '/';
    }
    struct stat info;
    if (status == NAUHA_OK && (stat(path, &info) != 0 || !S_ISDIR(info.st_mode)))
        status = nauha_error_set_errno(err, ENOTDIR, "cannot make directory \"%s\"", path);
    free(copy);
    return status;
}
