/* SPDX-License-Identifier: MIT */
/* Which traces belong to one training; see runs.h.
 *
 * Threads: the main thread.
 */
#include "nauha/array.h"
#include "tools/commands/crash.h"
#include "tools/commands/runs.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tools/cli/path.h"

/* Ranks of one training create their traces within this time of each other. */
#define TOGETHER_NS 600000000000

/* Facts about a trace before it is opened together with the others of its run. */
struct candidate {
    size_t position; /* position among the paths */
    const char *path;
    uint32_t rank, world_size;
    int64_t created_ns;
    size_t run;
};

/* ---- paths ---- */

static bool add_path(struct runs *runs, const char *path) {
    if (!NAUHA_GROW(runs->paths, runs->path_capacity, runs->path_count + 1))
        return false;
    char *copy = runs->paths[runs->path_count] = strdup(path);
    runs->path_count += copy != NULL;
    return copy != NULL;
}

static int is_trace(const struct dirent *entry) {
    const size_t length = strlen(entry->d_name);
    return entry->d_name[0] != '.' && length > 3 && strcmp(entry->d_name + length - 3, ".h5") == 0;
}

static int add_directory(struct runs *runs, const char *directory) {
    struct dirent **entries = NULL;
    const int count = scandir(directory, &entries, is_trace, alphasort);
    int code = EXIT_FINE;
    if (count < 0) {
        struct nauha_error err = NAUHA_ERROR_INIT;
        nauha_error_set_errno(&err, errno, "cannot read directory \"%s\"", directory);
        return nauha__fail(&err);
    }
    for (int i = 0; i < count; i++) {
        char path[PATH_MAX + NAME_MAX];
        nauha__write_path(path, sizeof path, directory, "%s", entries[i]->d_name);
        if (code == EXIT_FINE && !add_path(runs, path))
            code = nauha__fail_nomem();
        free(entries[i]);
    }
    free(entries);
    if (count > 0)
        return code;
    fprintf(stderr, "nauha: directory \"%s\" contains no traces (*.h5)\n", directory);
    return EXIT_FAILED;
}

static int list_paths(struct runs *runs, const struct invocation *invocation) {
    int code = EXIT_FINE;
    for (size_t i = 0; i < invocation->argument_count && code == EXIT_FINE; i++) {
        struct stat status;
        const char *path = invocation->arguments[i];
        if (stat(path, &status) == 0 && S_ISDIR(status.st_mode))
            code = add_directory(runs, path);
        else if (!add_path(runs, path))
            code = nauha__fail_nomem();
    }
    return code;
}

/* ---- names ---- */

/* The last place in a path where "rank" precedes a number; NULL: there is none. */
static const char *find_rank(const char *path, size_t *length) {
    const char *found = NULL;
    for (const char *at = path; (at = strstr(at, "rank")); at += 4) {
        const size_t digits = strspn(at + 4, "0123456789");
        if (digits == 0)
            continue;
        found = at;
        *length = 4 + digits;
    }
    return found;
}

/* Whether two paths differ only in the number after "rank". */
static bool same_but_rank(const char *a, const char *b) {
    size_t of_a = 0, of_b = 0;
    const char *in_a = find_rank(a, &of_a), *in_b = find_rank(b, &of_b);
    return in_a && in_b && in_a - a == in_b - b && memcmp(a, b, (size_t)(in_a - a)) == 0 &&
           strcmp(in_a + of_a, in_b + of_b) == 0;
}

/* A path without ".h5" and, for several ranks, without ".rank0". */
static char *stem_of(const char *path, bool ranks) {
    char *stem = strdup(path);
    if (!stem)
        return NULL;
    size_t length = strlen(stem), rank_length = 0;
    if (length > 3 && strcmp(stem + length - 3, ".h5") == 0)
        stem[length -= 3] = 0;
    char *rank = ranks ? (char *)find_rank(stem, &rank_length) : NULL;
    if (rank && rank > stem && strchr("._-", rank[-1]) && rank - 1 > stem && rank[-2] != '/') {
        memmove(rank - 1, rank + rank_length, strlen(rank + rank_length) + 1);
    }
    return stem;
}

/* The last `parts` parts of a path. */
static const char *tail_of(const char *path, size_t parts) {
    const char *at = path + strlen(path);
    while (at > path) {
        if (at[-1] == '/' && --parts == 0)
            break;
        at--;
    }
    return at;
}

static bool is_unique(char *const *stems, size_t count, size_t which, size_t parts) {
    for (size_t i = 0; i < count; i++) {
        if (i != which && strcmp(tail_of(stems[i], parts), tail_of(stems[which], parts)) == 0)
            return false;
    }
    return true;
}

/* The shortest end of its path that distinguishes a run from the others; a number if the whole path
 * does not. */
static char *name_of(char *const *stems, size_t count, size_t which) {
    size_t most = 1, before = 0;
    char *name = NULL;
    for (const char *at = stems[which]; *at; at++)
        most += *at == '/';
    for (size_t parts = 1; parts <= most; parts++) {
        if (is_unique(stems, count, which, parts))
            return strdup(tail_of(stems[which], parts));
    }
    for (size_t i = 0; i < which; i++)
        before += strcmp(stems[i], stems[which]) == 0;
    return asprintf(&name, before > 0 ? "%s (%zu)" : "%s", tail_of(stems[which], 1), before + 1) < 0
               ? NULL
               : name;
}

/* ---- runs ---- */

static enum nauha_status look_at(const char *path, struct candidate *candidate,
                                 struct nauha_error *err) {
    struct nauha_names *names = nauha_names_new();
    struct nauha_trace *trace = NULL;
    struct nauha_trace_info info;
    if (!names)
        return nauha_error_nomem(err);
    nauha__crash_watch(path);
    const enum nauha_status status = nauha_trace_open(path, names, &trace, err);
    if (status == NAUHA_OK) {
        nauha_trace_get_head(trace, &info);
        candidate->path = path;
        candidate->rank = info.rank;
        candidate->world_size = info.world_size;
        candidate->created_ns = info.created_ns;
    }
    nauha_trace_close(trace);
    nauha_names_free(names);
    return status;
}

static int by_time(const void *a, const void *b) {
    const struct candidate *left = a, *right = b;
    if (left->created_ns != right->created_ns)
        return left->created_ns < right->created_ns ? -1 : 1;
    return left->position < right->position ? -1 : left->position > right->position;
}

static int by_position(const void *a, const void *b) {
    const struct candidate *left = a, *right = b;
    return left->position < right->position ? -1 : left->position > right->position;
}

static bool are_one_training(const struct candidate *list, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (list[i].world_size != list[0].world_size)
            return false;
        for (size_t j = 0; j < i; j++) {
            if (list[j].rank == list[i].rank)
                return false;
        }
    }
    return true;
}

/* Whether the candidate at `which` can be another rank of the run of an earlier one. */
static bool joins(const struct candidate *list, size_t which, size_t run) {
    const struct candidate *one = &list[which];
    bool fits = false;
    size_t length;
    for (size_t i = 0; i < which; i++) {
        const struct candidate *other = &list[i];
        if (other->run != run)
            continue;
        if (other->world_size != one->world_size || other->rank == one->rank)
            return false;
        fits = fits || (find_rank(one->path, &length) && find_rank(other->path, &length)
                            ? same_but_rank(one->path, other->path)
                            : one->created_ns - other->created_ns <= TOGETHER_NS);
    }
    return fits;
}

/* Numbers the runs in the order in which their first traces were given; returns how many. */
static size_t sort_into_runs(struct candidate *list, size_t count) {
    size_t runs = 0;
    if (are_one_training(list, count))
        return 1;
    qsort(list, count, sizeof *list, by_time);
    for (size_t i = 0; i < count; i++) {
        size_t run = runs;
        while (list[i].world_size > 1 && run > 0 && !joins(list, i, run - 1))
            run--;
        list[i].run = list[i].world_size > 1 && run > 0 ? run - 1 : runs;
        runs += list[i].run == runs;
    }
    qsort(list, count, sizeof *list, by_position);
    size_t numbered = 0;
    for (size_t i = 0; i < count; i++) {
        const size_t run = list[i].run;
        if (run < runs) { /* marked by runs + its new number when it has one */
            for (size_t j = i; j < count; j++)
                list[j].run = list[j].run == run ? runs + numbered : list[j].run;
            numbered++;
        }
    }
    for (size_t i = 0; i < count; i++)
        list[i].run -= runs;
    return runs;
}

static int open_run(struct runs *runs, size_t which, const struct candidate *list, char **stem,
                    const struct invocation *invocation) {
    const char **paths = calloc(runs->path_count, sizeof *paths);
    size_t count = 0;
    if (!paths)
        return nauha__fail_nomem();
    for (size_t i = 0; i < runs->path_count; i++) {
        if (list[i].run == which)
            paths[count++] = runs->paths[i];
    }
    *stem = stem_of(paths[0], count > 1);
    const int code = nauha__opened_paths(&runs->list[which].opened, invocation, paths, count);
    free(paths);
    return *stem ? code : nauha__fail_nomem();
}

static int open_runs(struct runs *runs, size_t count, const struct candidate *list,
                     const struct invocation *invocation) {
    char **stems = calloc(count, sizeof *stems);
    int code = EXIT_FINE;
    runs->list = calloc(count, sizeof *runs->list);
    if (!stems || !runs->list)
        code = nauha__fail_nomem();
    while (runs->count < count && code == EXIT_FINE) {
        code = open_run(runs, runs->count, list, &stems[runs->count], invocation);
        runs->count++;
    }
    for (size_t i = 0; i < count && code == EXIT_FINE; i++) {
        runs->list[i].name = name_of(stems, count, i);
        if (!runs->list[i].name)
            code = nauha__fail_nomem();
    }
    for (size_t i = 0; stems && i < count; i++)
        free(stems[i]);
    free(stems);
    return code;
}

/* One training may have ended before the steps that are selected in others. Traces that are still
 * being written, and those whose messages are computed anew, may get such steps. */
static int check_chosen(const struct runs *runs, const struct invocation *invocation) {
    if (!nauha__selects(invocation) || nauha__has(invocation, "follow") ||
        nauha__has(invocation, "model"))
        return EXIT_FINE;
    for (size_t i = 0; i < runs->count; i++) {
        const struct opened *opened = &runs->list[i].opened;
        for (size_t j = 0; j < opened->trace_count; j++)
            if (nauha__has_chosen(opened->traces[j], opened->selector))
                return EXIT_FINE;
    }
    const struct opened *first = &runs->list[0].opened;
    return nauha__nothing_chosen(invocation, first->trace, first->names);
}

int nauha__runs_init(struct runs *runs, const struct invocation *invocation) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    *runs = (struct runs){0};
    int code = list_paths(runs, invocation);
    struct candidate *list = calloc(runs->path_count + 1, sizeof *list);
    const bool together = runs->path_count == 1 || nauha__has(invocation, "follow") ||
                          nauha__has(invocation, "resume");
    if (!list)
        code = nauha__fail_nomem();
    for (size_t i = 0; i < runs->path_count && code == EXIT_FINE && !together; i++) {
        list[i].position = i;
        if (look_at(runs->paths[i], &list[i], &err) != NAUHA_OK) {
            nauha__fail(&err);
            code = EXIT_FAILED; /* the file caused the error, not the command line */
        }
    }
    if (code == EXIT_FINE)
        code = open_runs(runs, together ? 1 : sort_into_runs(list, runs->path_count), list,
                         invocation);
    if (code == EXIT_FINE)
        code = check_chosen(runs, invocation);
    free(list);
    return code;
}

void nauha__runs_fini(struct runs *runs) {
    for (size_t i = 0; i < runs->count; i++) {
        nauha__opened_fini(&runs->list[i].opened);
        free(runs->list[i].name);
    }
    for (size_t i = 0; i < runs->path_count; i++)
        free(runs->paths[i]);
    free(runs->list);
    free(runs->paths);
}

/* ---- for Python ---- */

/* Sets the stem of each run. */
static char **list_stems(const struct candidate *list, size_t count, size_t runs) {
    char **stems = calloc(runs, sizeof *stems);
    for (size_t i = 0; stems && i < count; i++) {
        size_t traces = 0;
        for (size_t j = 0; j < count; j++)
            traces += list[j].run == list[i].run;
        if (!stems[list[i].run])
            stems[list[i].run] = stem_of(list[i].path, traces > 1);
    }
    return stems;
}

enum nauha_status nauha_sort_runs(const char *const *paths, size_t count,
                                  void (*found)(void *context, size_t run, const char *name),
                                  void *context, struct nauha_error *err) {
    struct candidate *list = calloc(count + 1, sizeof *list);
    char **stems = NULL;
    size_t runs = 0;
    enum nauha_status status = list ? NAUHA_OK : nauha_error_nomem(err);
    for (size_t i = 0; i < count && status == NAUHA_OK; i++) {
        list[i].position = i;
        status = look_at(paths[i], &list[i], err);
    }
    if (status == NAUHA_OK) {
        runs = sort_into_runs(list, count);
        stems = list_stems(list, count, runs);
    }
    for (size_t i = 0; i < count && status == NAUHA_OK; i++) {
        char *name = stems ? name_of(stems, runs, list[i].run) : NULL;
        if (name)
            found(context, list[i].run, name);
        else
            status = nauha_error_nomem(err);
        free(name);
    }
    for (size_t i = 0; stems && i < runs; i++)
        free(stems[i]);
    free(stems);
    free(list);
    return status;
}
