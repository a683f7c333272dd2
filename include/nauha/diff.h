/* SPDX-License-Identifier: MIT */
/* Two traces side by side: which messages belong together, how they differ, and what the first that
 * differs says about why the trainings part.
 *
 * Messages belong together that have the same step, kind, tag, module, slot and call, by name; of
 * several such in a step, the first with the first, and so on. The walk goes step by step, and in a
 * step in the first trace's order of publication; it keeps one step's messages of the second trace,
 * and a piece of the elements of one message of each.
 *
 * Threads: one at a time per trace.
 */
#ifndef NAUHA_DIFF_H
#define NAUHA_DIFF_H

#include "nauha/compare.h"
#include "nauha/trace.h"

#ifdef __cplusplus
extern "C" {
#endif

struct nauha_diff;

struct nauha_diff_side {
    struct nauha_trace *trace;
    struct nauha_names *names; /* which the trace was opened on, and no other trace */
};

struct nauha_diff_options {
    const struct nauha_tolerance *tolerance; /* NULL: bit by bit */
    const struct nauha_selector *selector;   /* NULL: everything. Modules by the names in a, where
                                                it has the module */
    const char *const *maps; /* "OLD=NEW": what is called OLD in a, or lies below it, is called NEW
                                in b; or with one * each, which stands for the same text. The first
                                that fits a name counts; either side may be empty: the root */
    size_t map_count;
};

/* Sides, and what options point to, are borrowed until nauha_diff_free. INVALID: a malformed map,
 * or two modules of a that maps make one in b. UNKNOWN: the selector names what neither trace has,
 * or a map a module that a does not have. Caller owns *diff, release with nauha_diff_free. */
NAUHA_API enum nauha_status nauha_diff_new(const struct nauha_diff_side *a,
                                           const struct nauha_diff_side *b,
                                           const struct nauha_diff_options *options,
                                           struct nauha_diff **diff, struct nauha_error *err);
NAUHA_API void nauha_diff_free(struct nauha_diff *diff);

enum nauha_pair_sort {
    NAUHA_PAIR_EQUAL,  /* or two events, or within the tolerance */
    NAUHA_PAIR_VALUES, /* elements differ */
    NAUHA_PAIR_HASH,   /* hashes differ: one of them was recorded without elements */
    NAUHA_PAIR_DTYPE,  /* other element types */
    NAUHA_PAIR_SHAPE,  /* other shapes */
    NAUHA_PAIR_ONLY_A, /* the other trace does not have it */
    NAUHA_PAIR_ONLY_B,
    NAUHA_PAIR_DAMAGED /* cannot be compared */
};

/* Two messages that belong together, or one without the other. */
struct nauha_pair {
    enum nauha_pair_sort sort;
    const struct nauha_message_info *a, *b; /* NULL: the other trace's alone. The strings live as
                                               long as the traces' names */
    bool compared; /* the elements were, and `difference` holds; also for DTYPE */
    struct nauha_difference difference;
    char first_a[40], first_b[40]; /* the first elements that differ, where any do */
    struct nauha_error damage;     /* of DAMAGED */
};

/* The next pair, borrowed until the next call; NAUHA_END after the last. DAMAGED: rows of an index,
 * named in err, are damaged; the next call goes on behind them. */
NAUHA_API enum nauha_status nauha_diff_next(struct nauha_diff *diff, const struct nauha_pair **pair,
                                            struct nauha_error *err);

/* Rows of the indexes passed, and in all. */
NAUHA_API void nauha_diff_progress(const struct nauha_diff *diff, uint64_t *done, uint64_t *total);

/* Where modules of a and b without a partner look like the same under other names: a map that
 * joins the most of them, and how many. False: there is none. */
NAUHA_API bool nauha_diff_suggest(const struct nauha_diff *diff, char *map, size_t bytes,
                                  size_t *modules);

/* ---- what the first difference says ---- */

/* The place of a message's kind in the order in which a step's values follow from each other:
 * parameters, input and labels, the forward pass, the loss, the backward pass, buffers, updates;
 * messages of other kinds, and of other tags than "default", come last. */
NAUHA_API unsigned nauha_diff_stage(const struct nauha_message_info *info);

struct nauha_reading;

struct nauha_reading_options {
    const char *a, *b; /* what the two are called in sentences; copied */
    bool ranks;        /* two ranks of one training */
};

/* NULL when out of memory. Caller owns, release with nauha_reading_free. */
NAUHA_API struct nauha_reading *nauha_reading_new(const struct nauha_reading_options *options);
NAUHA_API void nauha_reading_free(struct nauha_reading *reading);

/* Takes every pair of a diff, in order. NOMEM. */
NAUHA_API enum nauha_status nauha_reading_take(struct nauha_reading *reading,
                                               const struct nauha_pair *pair,
                                               struct nauha_error *err);

/* The first pair that differs: of the first step with one, the first in the order in which its
 * values follow from each other. That is the one of the lowest stage, only that forward passes,
 * losses and backward passes come as they were published: they may take turns in a step. Its infos
 * are copies, in a and b. NULL: none differs. Borrowed until the reading is freed. */
struct nauha_first {
    struct nauha_pair pair;
    struct nauha_message_info a, b;
};
NAUHA_API const struct nauha_first *nauha_reading_first(const struct nauha_reading *reading);

/* What that means, in sentences. Borrowed until the reading is freed; "" where nothing differs. */
NAUHA_API const char *nauha_reading_text(struct nauha_reading *reading);

/* ---- how the difference grows, as series ---- */

struct nauha_diff_series;

/* Writes, to a directory, which is made, and in the form of a pipeline's sinks: for each kind of
 * tensor that both traces have KIND_difference.csv with nauha_difference_relative of each pair (NaN
 * where it is not known), and difference.csv with the largest of each step and kind, whose name
 * stands in the column `module`; a script and pictures of each. IO. Caller owns *series, release
 * with nauha_diff_series_free. */
NAUHA_API enum nauha_status
nauha_diff_series_new(const struct nauha_diff_side *a, const struct nauha_diff_side *b,
                      const struct nauha_selector *selector, const char *directory,
                      struct nauha_diff_series **series, struct nauha_error *err);
NAUHA_API void nauha_diff_series_free(struct nauha_diff_series *series);

/* Takes every pair of a diff, in order. IO. */
NAUHA_API enum nauha_status nauha_diff_series_take(struct nauha_diff_series *series,
                                                   const struct nauha_pair *pair,
                                                   struct nauha_error *err);

/* Puts the files in place and draws. UNAVAILABLE: gnuplot is not installed or failed; CSV files and
 * scripts are in place. IO. */
NAUHA_API enum nauha_status nauha_diff_series_finish(struct nauha_diff_series *series,
                                                     struct nauha_error *err);

/* Calls line for each file written. */
NAUHA_API void nauha_diff_series_report(const struct nauha_diff_series *series,
                                        void (*line)(void *context, const char *text),
                                        void *context);

#ifdef __cplusplus
}
#endif
#endif
