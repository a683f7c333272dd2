/* SPDX-License-Identifier: MIT */
/* Finding the Python package; see python_package.h.
 *
 * Threads: the main thread.
 */
#include "tools/commands/python_package.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/cli/path.h"

/* Relative to the directory of the program: in a build tree, installed, within the package. */
static const char *const places[] = {"../tools/python", "../lib/nauha/python", "../.."};

static bool holds_package(const char *directory) {
    char path[4400];
    nauha__write_path(path, sizeof path, directory, "nauha/native.py");
    return access(path, R_OK) == 0;
}

bool nauha__python_directory(char *buffer, size_t size) {
    char program[PATH_MAX], path[4200];
    nauha__program_directory(program);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        nauha__write_path(path, sizeof path, program, "%s", places[i]);
        if (!holds_package(path))
            continue;
        char *real = realpath(path, NULL);
        if (real && strlen(real) < size) {
            strcpy(buffer, real);
            free(real);
            return true;
        }
        free(real);
    }
    fprintf(stderr,
            "nauha: the Python package is not found in any of \"%s/{%s,%s,%s}\": install it in one "
            "of them\n",
            program, places[0], places[1], places[2]);
    return false;
}

bool nauha__python_path_prepend(const char *directory) {
    const char *before = getenv("PYTHONPATH");
    const size_t bytes = strlen(directory) + (before ? strlen(before) : 0) + 2;
    char *path = malloc(bytes);
    if (!path)
        return false;
    snprintf(path, bytes, "%s%s%s", directory, before && *before ? ":" : "", before ? before : "");
    const bool set = setenv("PYTHONPATH", path, 1) == 0;
    free(path);
    return set;
}
