/* SPDX-License-Identifier: MIT */
/* nauha diff: where two trainings begin to differ, and how their difference grows. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/commands/crash.h"
#include "tools/commands/diff_result.h"
#include "tools/commands/opened.h"
#include "tools/commands/runs.h"
#include "tools/cli/path.h"
#include "tools/cli/terminal.h"

/* The kinds that must be equal in replicas; all others depend on the rank's part of the data. */
#define KINDS_OF_REPLICAS "weights,biases,weight_updates,bias_updates"

static const struct nauha_option diff_table[] = {
    {"rtol", 0, "X", NULL,
     "treat elements as equal if they differ by at most X times the larger magnitude"},
    {"atol", 0, "X", NULL, "treat elements as equal if they differ by at most X"},
    {"ulp", 0, "N", NULL,
     "treat elements as equal if they differ by at most N units in the last place"},
    {"rounding", 0, NULL, NULL,
     "treat tensors as equal if they differ by no more than another order of summation causes in "
     "their type; the default where shards are compared"},
    {"map", 0, "OLD=NEW", NULL,
     "compare the module OLD of the first trace, and the modules in it, with NEW of the second; "
     "each name may contain one *. May be repeated"},
    {"common", 0, NULL, NULL,
     "do not count messages that only one trace has as differences; they are still reported"},
    {"output", 'o', "DIR", NULL,
     "write how the difference grows to this directory, as CSV and pictures"},
    {"rows", 0, "N", "15", "rows of the table of modules; 0 is all"},
    {"json", 0, NULL, NULL, "print a JSON object"},
};
OPTION_GROUP(diff_options, "Comparing", diff_table);

struct comparison {
    const struct invocation *invocation;
    struct nauha_trace **traces; /* one for each argument */
    size_t trace_count;
    size_t *runs; /* the side of each argument */
    size_t runs_found;
    struct nauha_diff_side *sides; /* a trace each, or all ranks of a training with shards */
    size_t count;
    struct nauha_selector *selector;
    struct nauha_tolerance tolerance;
    bool tolerant;
    bool ranks;
    bool any_compared;
    const char **maps;
    size_t map_count;
    uint64_t rows;
    cJSON *json; /* an array of results; NULL: text */
    int code;
};

/* ---- options ---- */

static int take_real(const struct comparison *comparison, const char *name, double *value) {
    const char *text = nauha__get(comparison->invocation, name, NULL);
    char *end;
    if (!text)
        return EXIT_FINE;
    *value = strtod(text, &end);
    if (end == text || *end || !(*value >= 0))
        return nauha__usage(comparison->invocation->command,
                            "option \"--%s\": \"%s\" is not a number of 0 or more", name, text);
    return EXIT_FINE;
}

static int take_options(struct comparison *comparison) {
    const struct invocation *invocation = comparison->invocation;
    struct nauha_error err = NAUHA_ERROR_INIT;
    int code = take_real(comparison, "rtol", &comparison->tolerance.rtol);
    if (code == EXIT_FINE)
        code = take_real(comparison, "atol", &comparison->tolerance.atol);
    if (code == EXIT_FINE)
        comparison->tolerance.ulp = nauha__get_number(invocation, "ulp", 0, &code);
    if (code == EXIT_FINE)
        comparison->rows = nauha__get_number(invocation, "rows", 15, &code);
    if (code != EXIT_FINE)
        return code;
    comparison->tolerant = nauha__has(invocation, "rtol") || nauha__has(invocation, "atol") ||
                           nauha__has(invocation, "ulp") || nauha__has(invocation, "rounding");
    comparison->tolerance.rounding = nauha__has(invocation, "rounding");
    comparison->selector = nauha_selector_new();
    comparison->maps = calloc(invocation->given_count + 1, sizeof *comparison->maps);
    comparison->sides = calloc(invocation->argument_count, sizeof *comparison->sides);
    comparison->traces = calloc(invocation->argument_count, sizeof(struct nauha_trace *));
    comparison->runs = calloc(invocation->argument_count, sizeof *comparison->runs);
    if (!comparison->selector || !comparison->maps || !comparison->sides || !comparison->traces ||
        !comparison->runs)
        return nauha__fail_nomem();
    for (size_t i = 0; i < invocation->given_count; i++)
        if (strcmp(invocation->given[i].option->name, "map") == 0)
            comparison->maps[comparison->map_count++] = invocation->given[i].value;
    return nauha__apply_selection(comparison->selector, invocation, &err) == NAUHA_OK
               ? EXIT_FINE
               : nauha__fail(&err);
}

/* ---- traces ---- */

static void note_run(void *context, size_t run, const char *name) {
    struct comparison *comparison = context;
    (void)name;
    comparison->runs[comparison->runs_found++] = run;
    if (run >= comparison->count)
        comparison->count = run + 1;
}

/* Numbers the sides. Three traces or more may be those of two trainings; else each is a side. */
static int sort_sides(struct comparison *comparison) {
    const struct invocation *invocation = comparison->invocation;
    struct nauha_error err = NAUHA_ERROR_INIT;
    if (invocation->argument_count > 2 &&
        nauha_sort_runs(invocation->arguments, invocation->argument_count, note_run, comparison,
                        &err) != NAUHA_OK) {
        nauha__fail(&err);
        return EXIT_FAILED; /* the file caused the error, not the command line */
    }
    if (comparison->count == 2)
        return EXIT_FINE;
    comparison->count = invocation->argument_count;
    for (size_t i = 0; i < comparison->count; i++)
        comparison->runs[i] = i;
    return EXIT_FINE;
}

static int trace_by_rank(const void *left, const void *right) {
    struct nauha_trace_info a, b;
    nauha_trace_get_head(*(struct nauha_trace *const *)left, &a);
    nauha_trace_get_head(*(struct nauha_trace *const *)right, &b);
    return (a.rank > b.rank) - (a.rank < b.rank);
}

/* Opens the traces of a side on one names object. */
static enum nauha_status open_side(struct comparison *comparison, size_t which,
                                   struct nauha_error *err) {
    const struct invocation *invocation = comparison->invocation;
    struct nauha_diff_side *side = &comparison->sides[which];
    struct nauha_trace **first = &comparison->traces[comparison->trace_count];
    size_t count = 0;
    side->names = nauha_names_new();
    if (!side->names)
        return nauha_error_nomem(err);
    for (size_t i = 0; i < invocation->argument_count; i++) {
        if (comparison->runs[i] != which)
            continue;
        nauha__crash_watch(invocation->arguments[i]);
        enum nauha_status status =
            nauha_trace_open(invocation->arguments[i], side->names, &first[count], err);
        if (status != NAUHA_OK)
            return status;
        nauha__note_newer_format(first[count], invocation);
        comparison->trace_count++;
        count++;
    }
    qsort(first, count, sizeof *first, trace_by_rank);
    side->trace = first[0];
    side->ranks = count > 1 ? first : NULL;
    side->rank_count = count > 1 ? count : 0;
    return NAUHA_OK;
}

static int open_traces(struct comparison *comparison) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    const int code = sort_sides(comparison);
    if (code != EXIT_FINE)
        return code;
    for (size_t i = 0; i < comparison->count; i++)
        if (open_side(comparison, i, &err) != NAUHA_OK) {
            nauha__fail(&err);
            return EXIT_FAILED; /* the file caused the error, not the command line */
        }
    return EXIT_FINE;
}

/* ---- shards ---- */

static uint64_t count_shards(const struct nauha_diff_side *side, uint32_t kind) {
    uint64_t shards = 0;
    for (size_t i = 0; i < side->rank_count; i++)
        shards += nauha_trace_kind_shards(side->ranks[i], kind);
    return shards;
}

/* Updates are differences of rounded values, so that rounding is large in them. */
static bool is_update(uint32_t kind) {
    return kind == NAUHA_KIND_WEIGHT_UPDATES || kind == NAUHA_KIND_BIAS_UPDATES;
}

/* The kinds of which a side has shards, with commas. */
static bool list_sharded(const struct nauha_diff_side *side, char *text, size_t bytes) {
    for (uint32_t kind = 0; kind < nauha_names_kinds(side->names); kind++) {
        const size_t used = strlen(text);
        if (!is_update(kind) && count_shards(side, kind) > 0)
            snprintf(text + used, bytes - used, "%s%s", used ? "," : "",
                     nauha_names_kind(side->names, kind));
    }
    return text[0] != '\0';
}

/* Where a side is several ranks, chooses the kinds that are shards, and a tolerance. */
static int prepare_shards(struct comparison *comparison) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    char kinds[4096] = ""; /* of the last such side */
    bool any = false;
    for (size_t i = 0; i < comparison->count; i++) {
        const struct nauha_diff_side *side = &comparison->sides[i];
        if (!side->ranks)
            continue;
        any = true;
        kinds[0] = '\0';
        if (!list_sharded(side, kinds, sizeof kinds))
            return nauha__usage(comparison->invocation->command,
                                "diff compares two trainings, or the ranks of one; these %zu "
                                "traces are not the ranks of one training",
                                comparison->trace_count);
    }
    if (!any)
        return EXIT_FINE;
    if (!comparison->tolerant)
        comparison->tolerant = comparison->tolerance.rounding = true;
    return nauha__has(comparison->invocation, "kinds") ||
                   nauha_selector_set(comparison->selector, "kinds", kinds, &err) == NAUHA_OK
               ? EXIT_FINE
               : nauha__fail(&err);
}

/* Whether the traces are of different ranks of one distributed training. Traces of two trainings to
 * be compared have the same rank. */
static bool are_ranks(const struct comparison *comparison) {
    struct nauha_trace_info a, b;
    for (size_t i = 0; i < comparison->count; i++) {
        nauha_trace_get_head(comparison->sides[i].trace, &a);
        if (a.world_size < 2 || comparison->sides[i].ranks)
            return false;
        for (size_t j = 0; j < i; j++) {
            nauha_trace_get_head(comparison->sides[j].trace, &b);
            if (a.rank == b.rank || a.world_size != b.world_size)
                return false;
        }
    }
    return true;
}

static int by_rank(const void *left, const void *right) {
    struct nauha_trace_info a, b;
    nauha_trace_get_head(((const struct nauha_diff_side *)left)->trace, &a);
    nauha_trace_get_head(((const struct nauha_diff_side *)right)->trace, &b);
    return (a.rank > b.rank) - (a.rank < b.rank);
}

static int prepare_ranks(struct comparison *comparison) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    comparison->ranks = are_ranks(comparison);
    if (!comparison->ranks && comparison->count > 2)
        return nauha__usage(comparison->invocation->command,
                            "diff compares two trainings, or the ranks of one; these %zu traces "
                            "are not the ranks of one training",
                            comparison->count);
    if (!comparison->ranks)
        return EXIT_FINE;
    qsort(comparison->sides, comparison->count, sizeof *comparison->sides, by_rank);
    if (nauha__has(comparison->invocation, "kinds"))
        return EXIT_FINE;
    return nauha_selector_set(comparison->selector, "kinds", KINDS_OF_REPLICAS, &err) == NAUHA_OK
               ? EXIT_FINE
               : nauha__fail(&err);
}

/* ---- one pair of traces ---- */

static void print_file(void *context, const char *text) {
    (void)context;
    fprintf(stderr, "%s\n", text);
}

static enum nauha_status walk(struct comparison *comparison, struct diff_result *result,
                              struct nauha_diff *diff, struct nauha_diff_series *series,
                              struct nauha_error *err) {
    struct progress progress;
    const struct nauha_pair *pair;
    enum nauha_status status;
    nauha__progress_begin(&progress, "comparing", "messages", comparison->invocation->quiet);
    for (;;) {
        uint64_t done, total;
        status = nauha_diff_next(diff, &pair, err);
        if (status == NAUHA_DAMAGED) {
            if (result->damaged++ == 0)
                snprintf(result->damage, sizeof result->damage, "%s", err->message);
            continue;
        }
        if (status == NAUHA_OK)
            status = diff_result_take(result, pair, err);
        if (status == NAUHA_OK && series)
            status = nauha_diff_series_take(series, pair, err);
        if (status != NAUHA_OK)
            break;
        nauha_diff_progress(diff, &done, &total);
        nauha__progress_show(&progress, done, total, NULL);
    }
    nauha__progress_end(&progress);
    diff_result_end(result);
    return status == NAUHA_END ? NAUHA_OK : status;
}

static void tell(struct comparison *comparison, struct diff_result *result) {
    if (comparison->json) {
        cJSON_AddItemToArray(comparison->json, diff_json(result));
        return;
    }
    diff_print_text(result, (size_t)comparison->rows);
    if (comparison->tolerant && result->unmeasured && !comparison->invocation->quiet)
        fprintf(
            stderr,
            "nauha: the tolerance has no effect on hashes, which are only equal or different\n");
}

/* The ranks of a training of which no two hold the same shards. */
static int only_shards(const struct comparison *comparison) {
    return nauha__usage(comparison->invocation->command,
                        "nothing was compared: each rank holds other shards of the same tensors; "
                        "name the traces of all ranks and those of another training");
}

/* Two traces of which nothing was compared are not reported as equal. */
static int nothing_compared(const struct comparison *comparison, const struct diff_result *result) {
    const struct invocation *invocation = comparison->invocation;
    const struct nauha_diff_side *sides[] = {&result->a, &result->b};
    for (size_t i = 0; i < 2 && nauha__selects(invocation); i++)
        if (!nauha__has_chosen(sides[i]->trace, comparison->selector))
            return nauha__nothing_chosen(invocation, sides[i]->trace, sides[i]->names);
    return nauha__usage(
        invocation->command,
        "nothing was compared: the traces have no tensor in common that the options choose");
}

/* A difference that was found counts more than traces that could not be compared. */
static int code_of(const struct comparison *comparison, const struct diff_result *result) {
    if (result->differing ||
        (diff_result_only(result) && !nauha__has(comparison->invocation, "common")))
        return EXIT_FINDING;
    if (result->damaged)
        return EXIT_FAILED;
    if (!result->compared && result->shards)
        return comparison->count > 2 ? EXIT_FINE : only_shards(comparison);
    return result->compared ? EXIT_FINE : nothing_compared(comparison, result);
}

static enum nauha_status compare(struct comparison *comparison, struct diff_result *result,
                                 const char *directory, struct nauha_error *err) {
    const struct nauha_diff_options options = {
        .tolerance = comparison->tolerant ? &comparison->tolerance : NULL,
        .selector = comparison->selector,
        .maps = comparison->maps,
        .map_count = comparison->map_count,
    };
    struct nauha_diff *diff = NULL;
    struct nauha_diff_series *series = NULL;
    enum nauha_status status = nauha_diff_new(&result->a, &result->b, &options, &diff, err);
    if (status == NAUHA_OK && directory)
        status = nauha_diff_series_new(&result->a, &result->b, comparison->selector, directory,
                                       &series, err);
    if (status == NAUHA_OK)
        status = walk(comparison, result, diff, series, err);
    comparison->any_compared = comparison->any_compared || result->compared > 0;
    if (status == NAUHA_OK) {
        if (!nauha_diff_suggest(diff, result->map, sizeof result->map, &result->map_modules))
            result->map[0] = '\0';
        tell(comparison, result);
    }
    if (status == NAUHA_OK && series) {
        status = nauha_diff_series_finish(series, err);
        if (!comparison->invocation->quiet)
            nauha_diff_series_report(series, print_file, NULL);
    }
    nauha_diff_series_free(series);
    nauha_diff_free(diff);
    return status;
}

/* Compares side 0 with side `other`. */
static int compare_pair(struct comparison *comparison, size_t other) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_trace_info a, b;
    char name_a[32] = "a", name_b[32] = "b", below[4096];
    const char *directory = nauha__get(comparison->invocation, "output", NULL);
    nauha_trace_get_head(comparison->sides[0].trace, &a);
    nauha_trace_get_head(comparison->sides[other].trace, &b);
    if (comparison->ranks) {
        snprintf(name_a, sizeof name_a, "rank %u", a.rank);
        snprintf(name_b, sizeof name_b, "rank %u", b.rank);
    }
    if (directory && comparison->count > 2) {
        nauha__write_path(below, sizeof below, directory, "rank%u", b.rank);
        directory = below;
    }
    struct diff_result result = {
        .a = comparison->sides[0],
        .b = comparison->sides[other],
        .name_a = name_a,
        .name_b = name_b,
        .ranks = comparison->ranks,
        .tolerance = comparison->tolerant ? &comparison->tolerance : NULL,
    };
    int code;
    if (!diff_result_init(&result))
        code = nauha__fail_nomem();
    else if (compare(comparison, &result, directory, &err) == NAUHA_OK)
        code = code_of(comparison, &result);
    else
        code = nauha__fail(&err);
    diff_result_fini(&result);
    return code;
}

static int compare_all(struct comparison *comparison) {
    int code = EXIT_FINE;
    for (size_t i = 1; i < comparison->count; i++) {
        if (i > 1 && !comparison->json)
            printf("\n");
        const int of_pair = compare_pair(comparison, i);
        if (of_pair == EXIT_USAGE)
            return of_pair;
        code = of_pair > code ? of_pair : code;
    }
    return code == EXIT_FINE && !comparison->any_compared ? only_shards(comparison) : code;
}

/* An object for two traces; for the ranks of a training, an array of objects. */
static void print_json(const struct comparison *comparison) {
    const cJSON *printed = comparison->count > 2 ? comparison->json : comparison->json->child;
    char *text = printed ? cJSON_Print(printed) : NULL;
    if (text)
        printf("%s\n", text);
    cJSON_free(text);
}

static int run_diff(const struct invocation *invocation) {
    struct comparison comparison = {.invocation = invocation};
    int code = take_options(&comparison);
    if (code == EXIT_FINE)
        code = open_traces(&comparison);
    if (code == EXIT_FINE)
        code = prepare_ranks(&comparison);
    if (code == EXIT_FINE)
        code = prepare_shards(&comparison);
    if (code == EXIT_FINE && nauha__has(invocation, "json"))
        comparison.json = cJSON_CreateArray();
    if (code == EXIT_FINE)
        code = compare_all(&comparison);
    if (comparison.json)
        print_json(&comparison);
    cJSON_Delete(comparison.json);
    for (size_t i = 0; i < comparison.trace_count; i++)
        nauha_trace_close(comparison.traces[i]);
    for (size_t i = 0; comparison.sides && i < invocation->argument_count; i++)
        nauha_names_free(comparison.sides[i].names);
    free(comparison.traces);
    free(comparison.runs);
    free(comparison.sides);
    free(comparison.maps);
    nauha_selector_free(comparison.selector);
    return code;
}

const struct command nauha__command_diff = {
    .name = "diff",
    .summary = "find the first difference between two trainings",
    .arguments = "A B",
    .description =
        "Compares two traces, names the first message that differs, says what that means, and "
        "shows how the difference grows, by kind and by module. Within a step, the first message "
        "is the one from which the others follow. Messages are compared bit by bit, unless "
        "--rtol, --atol or --ulp gives a tolerance, with those of the same step, kind, tag, "
        "module, slot and call. Traces of fingerprints or hashes (--keep) can be compared with "
        "each "
        "other and with traces of tensors. The traces of the ranks of one training are compared "
        "with the "
        "first of them, by weights, biases and updates unless --kinds is given, to find where "
        "replicas drift apart. If the ranks of a training hold shards, its traces are one of the "
        "two trainings: the whole tensors are compared with those of the other one. The exit code "
        "is 1 if the traces differ.",
    .examples = "nauha diff a.h5 b.h5\n"
                "nauha diff a.h5 b.h5 --rtol 1e-5 --atol 1e-8 -o growth\n"
                "nauha diff plain.h5 parallel.h5 --map =module\n"
                "nauha diff run.rank*.h5\n"
                "nauha diff single.h5 sharded.rank*.h5",
    .min_arguments = 2,
    .max_arguments = SIZE_MAX,
    .groups = {&nauha__diff_options, &nauha__select_options},
    .run = run_diff,
};
