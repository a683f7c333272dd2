/* SPDX-License-Identifier: MIT */
/* The result of nauha diff, and printing it.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_COMMANDS_DIFF_RESULT_H
#define NAUHA_TOOLS_COMMANDS_DIFF_RESULT_H

#include "tools/commands/diff_growth.h"

/* Messages of one kind that only one of the traces has, in steps that both have. */
struct only_kind {
    uint64_t messages, first_step;
    uint64_t in_step; /* of the current step */
};

struct only_side {
    struct only_kind *kinds; /* by the side's numbers */
    uint32_t kind_count;
    uint64_t steps, first_step; /* that the other does not have */
    uint64_t in_step;           /* messages of the current step */
    bool *has_alone, *has_both; /* modules, by the side's numbers */
    uint32_t module_count;
};

struct diff_result {
    struct nauha_diff_side a, b;
    struct nauha_trace_info info_a, info_b;
    const char *name_a, *name_b;             /* names used in sentences */
    bool ranks;                              /* two ranks of one training */
    const struct nauha_tolerance *tolerance; /* NULL: bit by bit */
    uint64_t compared, differing, within, hashes, damaged;
    uint64_t unmeasured; /* of `hashes`: of which no fingerprint was recorded */
    uint64_t shards;     /* pairs of different shards, which were not compared */
    uint64_t in_step;    /* compared in the current step */
    uint64_t step;
    bool any;
    char damage[1024]; /* the first */
    struct only_side only_a, only_b;
    struct growth growth;
    struct nauha_reading *reading;
    char map[600]; /* suggested; "" for none */
    size_t map_modules;
};

/* The caller has set sides, names and tolerance, which are borrowed until diff_result_fini. False
 * when out of memory. */
bool diff_result_init(struct diff_result *result);
void diff_result_fini(struct diff_result *result);
/* Adds a pair; to be called for every pair, in order. NOMEM. */
enum nauha_status diff_result_take(struct diff_result *result, const struct nauha_pair *pair,
                                   struct nauha_error *err);
/* To be called after the last pair. */
void diff_result_end(struct diff_result *result);
/* Whether one trace has something that the other does not have. */
bool diff_result_only(const struct diff_result *result);

/* rows: the largest number of rows in the table of modules; 0: all. */
void diff_print_text(struct diff_result *result, size_t rows);

struct cJSON;
struct cJSON *diff_json(struct diff_result *result);

#endif
