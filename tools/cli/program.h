/* SPDX-License-Identifier: MIT */
/* The whole program as a function, for the Python package: it runs `nauha replay` with metrics that
 * are written in Python. And what the package asks when it loads the library.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_CLI_PROGRAM_H
#define NAUHA_TOOLS_CLI_PROGRAM_H

#include "nauha/analyzer.h"

/* Finds the analyzer behind a SPEC "FILE.py:CLASS[:KINDS][:key=value...]", which is called CLASS;
 * borrowed for the rest of the run. NULL, with *err set, where there is none. */
struct nauha_python {
    const struct nauha_analyzer *(*find)(void *context, const char *spec, struct nauha_error *err);
    void *context;
};

/* Runs a command line; python NULL: metrics in Python make the program start itself under Python.
 * Returns the exit code. */
NAUHA_API int nauha_main(int argc, char **argv, const struct nauha_python *python);

/* The structs that the package declares a second time, by position: "struct nauha_tensor" and its
 * size, which the package compares with its own. NULL past the end. */
NAUHA_API const char *nauha_struct_at(size_t position, size_t *bytes);

#endif
