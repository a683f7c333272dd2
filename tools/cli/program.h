/* SPDX-License-Identifier: MIT */
/* The program as a function for the Python package, which runs commands with metrics that are
 * written in Python; and what the package asks when it loads the library.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_CLI_PROGRAM_H
#define NAUHA_TOOLS_CLI_PROGRAM_H

#include "nauha/analyzer.h"
#include "nauha/pipeline.h"

/* What a model in Python is to run again. All is borrowed for the call. */
struct nauha_remaking {
    const char *model;               /* FILE.py:NAME */
    const char *trace;               /* path */
    const char *selection;           /* a JSON object: the options that select messages */
    const char *tolerance;           /* NULL: the default */
    struct nauha_names *names;       /* of the pipeline; NULL without one */
    struct nauha_pipeline *pipeline; /* receives the messages; NULL: they are only compared */
    bool json;                       /* the report is one JSON object, else lines */
    void (*take)(void *context, const char *text); /* receives the report */
    void *context;
};

/* find: returns the analyzer for a SPEC "FILE.py:CLASS[:KINDS][:key=value...]", borrowed until the
 * program ends; its name is CLASS. NULL, with *err set, if there is none.
 * load: loads the model that "FILE.py:NAME" names, which remake then uses.
 * remake: runs recorded steps again; *same: whether nothing is different from what was recorded. */
struct nauha_python {
    const struct nauha_analyzer *(*find)(void *context, const char *spec, struct nauha_error *err);
    enum nauha_status (*load)(void *context, const char *model, struct nauha_error *err);
    enum nauha_status (*remake)(void *context, const struct nauha_remaking *remaking, bool *same,
                                struct nauha_error *err);
    void *context;
};

/* Runs a command line and returns the exit code. If python is NULL, a command line with metrics in
 * Python starts the program again under Python. */
NAUHA_API int nauha_main(int argc, char **argv, const struct nauha_python *python);

/* The name, "struct nauha_tensor" for example, and the size of each struct that the package
 * declares again, by position; the package compares the sizes with its own. NULL past the last. */
NAUHA_API const char *nauha_struct_at(size_t position, size_t *bytes);

#endif
