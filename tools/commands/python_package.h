/* SPDX-License-Identifier: MIT */
/* Where the Python package lies that belongs to this program.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_COMMANDS_PYTHON_PACKAGE_H
#define NAUHA_TOOLS_COMMANDS_PYTHON_PACKAGE_H

#include <stdbool.h>
#include <stddef.h>

/* The directory to put in PYTHONPATH: tools/python of a build tree, else lib/nauha/python of an
 * installation. False, having said where it was looked for, where it is in neither. */
bool nauha__python_directory(char *buffer, size_t size);

/* Puts a directory in front of PYTHONPATH in this process's environment. False: out of memory. */
bool nauha__python_path_prepend(const char *directory);

#endif
