/* SPDX-License-Identifier: MIT */
/* Paths of files, and making directories.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_INTERNAL_PATH_H
#define NAUHA_INTERNAL_PATH_H

#include "nauha/status.h"

/* "DIRECTORY/NAME", where format and its arguments give NAME as in printf. NULL when out of memory.
 * Caller owns, release with free. */
char *nauha__path(const char *directory, const char *format, ...) NAUHA_PRINTF(2, 3);

/* Makes a directory and its parents, unless they exist. IO, NOMEM. */
enum nauha_status nauha__make_directory(const char *path, struct nauha_error *err);

#endif
