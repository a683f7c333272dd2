/* SPDX-License-Identifier: MIT */
/* Paths of files, and the directories that they need.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_INTERNAL_PATH_H
#define NAUHA_INTERNAL_PATH_H

#include "nauha/status.h"

/* "DIRECTORY/NAME", with the name as printf writes it. NULL when out of memory. Caller owns,
 * release with free. */
char *nauha__path(const char *directory, const char *format, ...) NAUHA_PRINTF(2, 3);

/* Makes a directory and those above it. IO, naming the one that failed. */
enum nauha_status nauha__make_directory(const char *path, struct nauha_error *err);

#endif
