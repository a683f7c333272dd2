/* SPDX-License-Identifier: MIT */
/* The trainings that the traces of a command line are of: each by itself, or all its ranks
 * together.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_COMMANDS_RUNS_H
#define NAUHA_TOOLS_COMMANDS_RUNS_H

#include "tools/commands/opened.h"

struct run {
    char *name; /* of its file, or of what the files of its ranks have in common */
    struct opened opened;
};

struct runs {
    char **paths; /* the traces, in the order given; directories are those in them */
    size_t path_count, path_capacity;
    struct run *list;
    size_t count;
};

/* Opens all traces, sorted into runs. They are one training where no two are of the same rank, all
 * are of as many ranks, and where they are followed. Else the ranks of one are known by names that
 * differ in "rank0" alone or, without that, by having been opened together. Returns an exit code,
 * having said what went wrong. Release with nauha__runs_fini in any case. */
int nauha__runs_init(struct runs *runs, const struct invocation *invocation);
void nauha__runs_fini(struct runs *runs);

/* The same sorting for the Python package: calls `found` for each trace, in their order, with the
 * number of the run it is of and what that is called. */
NAUHA_API enum nauha_status nauha_sort_runs(const char *const *paths, size_t count,
                                            void (*found)(void *context, size_t run,
                                                          const char *name),
                                            void *context, struct nauha_error *err);

#endif
