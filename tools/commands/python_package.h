/* SPDX-License-Identifier: MIT */
/* Finding the Python package that belongs to this program.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_COMMANDS_PYTHON_PACKAGE_H
#define NAUHA_TOOLS_COMMANDS_PYTHON_PACKAGE_H

#include <stdbool.h>
#include <stddef.h>

/* The directory to put in PYTHONPATH: tools/python of a build tree, or lib/nauha/python of an
 * installation. False, after printing where it was looked for, if the package is in neither. */
bool nauha__python_directory(char *buffer, size_t size);

/* Puts a directory first in PYTHONPATH of this process's environment. False: out of memory. */
bool nauha__python_path_prepend(const char *directory);

#endif
