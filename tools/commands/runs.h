/* SPDX-License-Identifier: MIT */
/* The trainings whose traces a command line names. A run is a trace, or the traces of all ranks of
 * a training.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_COMMANDS_RUNS_H
#define NAUHA_TOOLS_COMMANDS_RUNS_H

#include "tools/commands/opened.h"

struct run {
    char *name; /* name of its file, or what the names of its ranks' files have in common */
    struct opened opened;
};

struct runs {
    char **paths; /* the traces in the order given, also those in directories */
    size_t path_count, path_capacity;
    struct run *list;
    size_t count;
};

/* Opens all traces and sorts them into runs. They are one training if no two have the same rank and
 * all have the same number of ranks, if they are followed, or with --resume. Otherwise the ranks of
 * a training are recognised by names that differ only in "rank0" or, without such names, by having
 * been opened together. Prints errors and returns an exit code. Release with nauha__runs_fini in
 * any case. */
int nauha__runs_init(struct runs *runs, const struct invocation *invocation);
void nauha__runs_fini(struct runs *runs);

/* The same sorting for the Python package: calls `found` for each trace, in the given order, with
 * the number and the name of its run. */
NAUHA_API enum nauha_status nauha_sort_runs(const char *const *paths, size_t count,
                                            void (*found)(void *context, size_t run,
                                                          const char *name),
                                            void *context, struct nauha_error *err);

#endif
