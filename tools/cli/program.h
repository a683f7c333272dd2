/* SPDX-License-Identifier: MIT */
/* The program as a function for the Python package, which runs commands with metrics that are
 * written in Python; and what the package asks when it loads the library.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_CLI_PROGRAM_H
#define NAUHA_TOOLS_CLI_PROGRAM_H

#include "nauha/analyzer.h"

/* find: returns the analyzer for a SPEC "FILE.py:CLASS[:KINDS][:key=value...]", borrowed until the
 * program ends; its name is CLASS. NULL, with *err set, if there is none. */
struct nauha_python {
    const struct nauha_analyzer *(*find)(void *context, const char *spec, struct nauha_error *err);
    void *context;
};

/* Runs a command line and returns the exit code. If python is NULL, a command line with metrics in
 * Python starts the program again under Python. */
NAUHA_API int nauha_main(int argc, char **argv, const struct nauha_python *python);

/* The name, "struct nauha_tensor" for example, and the size of each struct that the package
 * declares again, by position; the package compares the sizes with its own. NULL past the last. */
NAUHA_API const char *nauha_struct_at(size_t position, size_t *bytes);

#endif
