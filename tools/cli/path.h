/* SPDX-License-Identifier: MIT */
/* Paths of files, and the directory of the program.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_TOOLS_CLI_PATH_H
#define NAUHA_TOOLS_CLI_PATH_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "nauha/status.h"

/* Writes "DIRECTORY/NAME" to path, with the name formatted as printf does. False: it does not fit,
 * and is cut off. */
bool nauha__write_path(char *path, size_t size, const char *directory, const char *format, ...)
    NAUHA_PRINTF(4, 5);

/* The directory of the running program; "" if the system does not tell. */
void nauha__program_directory(char directory[PATH_MAX]);

#endif
