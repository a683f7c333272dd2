/* SPDX-License-Identifier: MIT */
/* Paths of files, and the directory of the program.
 *
 * Threads: any thread.
 */
#include "tools/cli/path.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool nauha__write_path(char *path, size_t size, const char *directory, const char *format, ...) {
    const size_t length = strlen(directory);
    const char *slash = length > 0 && directory[length - 1] == '/' ? "" : "/";
    const int start = snprintf(path, size, "%s%s", directory, slash);
    if (start < 0 || (size_t)start >= size)
        return false;
    va_list arguments;
    va_start(arguments, format);
    const int rest = vsnprintf(path + start, size - (size_t)start, format, arguments);
    va_end(arguments);
    return rest >= 0 && (size_t)rest < size - (size_t)start;
}

void nauha__program_directory(char directory[PATH_MAX]) {
    const ssize_t length = readlink("/proc/self/exe", directory, PATH_MAX - 1);
    directory[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(directory, '/');
    if (slash)
        *slash = '\0';
}
