/* SPDX-License-Identifier: MIT */
/* Comparing two traces: which messages correspond, how they differ, and what the first difference
 * says about why the two trainings diverge.
 *
 * Messages correspond if they have the same step and call and the same names of kind, tag, module
 * and slot. If a step has several such messages, the first one corresponds to the first, and so on.
 * The comparison goes step by step, within a step in the order of publication of the first trace.
 * In memory it keeps the messages, without elements, of one step of the second trace, and a piece
 * of the elements of one message of each trace.
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
    struct nauha_names *names; /* on which this trace was opened, and no other one */
    /* NULL, or the traces of the ranks of a training, of which `trace` is the lowest, opened on the
     * same names. The shards that they hold are compared as whole tensors; of all other messages
     * those of `trace` are compared. */
    struct nauha_trace *const *ranks;
    size_t rank_count;
};

struct nauha_diff_options {
    const struct nauha_tolerance *tolerance; /* NULL: bit by bit */
    const struct nauha_selector *selector;   /* NULL: everything. Modules have the names in a, or
                                                those in b if only b has the module */
    const char *const *maps; /* "OLD=NEW": module OLD of a, and what is in it, is called NEW in b.
                                Both sides may have one *, which stands for the same text. The
                                first map that fits a name applies. An empty side is the root */
    size_t map_count;
};

/* Begins a comparison. The traces and names, and what options points to, are borrowed until
 * nauha_diff_free. INVALID: a malformed map, or maps that give two modules of a the same name in b.
 * UNKNOWN: the selector has a name that neither trace has, or a map a module that a does not have.
 * Caller owns *diff, release with nauha_diff_free. */
NAUHA_API enum nauha_status nauha_diff_new(const struct nauha_diff_side *a,
                                           const struct nauha_diff_side *b,
                                           const struct nauha_diff_options *options,
                                           struct nauha_diff **diff, struct nauha_error *err);
NAUHA_API void nauha_diff_free(struct nauha_diff *diff);

enum nauha_pair_sort {
    NAUHA_PAIR_EQUAL,  /* equal, or within the tolerance; or two events */
    NAUHA_PAIR_VALUES, /* elements differ */
    NAUHA_PAIR_HASH,   /* hashes differ; at least one message was recorded without elements. If both
                          have at least a fingerprint, `apart` is known */
    NAUHA_PAIR_DTYPE,  /* element types differ */
    NAUHA_PAIR_SHAPE,  /* shapes differ, or only one has a tensor */
    NAUHA_PAIR_ONLY_A, /* b has no such message */
    NAUHA_PAIR_ONLY_B, /* a has no such message */
    NAUHA_PAIR_DAMAGED, /* cannot be compared */
    NAUHA_PAIR_SHARDS   /* parts of tensors that lie in different places, which are not compared */
};

/* Two corresponding messages, or a message without a corresponding one. */
struct nauha_pair {
    enum nauha_pair_sort sort;
    const struct nauha_message_info *a, *b; /* NULL: no such message. The strings live as long as
                                               the names of the traces */
    /* If fingerprints were compared and the hashes differ, also where this is within the tolerance:
     * nauha_fingerprint_difference. Else NaN. */
    double apart;
    bool compared; /* elements were compared, and `difference` is set; also for DTYPE */
    struct nauha_difference difference;
    char first_a[40], first_b[40]; /* the first differing elements, if there are any */
    struct nauha_error damage;     /* for DAMAGED */
};

/* The next pair, borrowed until the next call; NAUHA_END after the last one. DAMAGED: rows of an
 * index, which err names, are damaged; the next call goes on after them. */
NAUHA_API enum nauha_status nauha_diff_next(struct nauha_diff *diff, const struct nauha_pair **pair,
                                            struct nauha_error *err);

/* The number of index rows of both traces that have been passed, and of all. */
NAUHA_API void nauha_diff_progress(const struct nauha_diff *diff, uint64_t *done, uint64_t *total);

/* If modules that only one trace has seem to be the same under different names: writes a map that
 * joins the most of them, and their number. False if there is none. */
NAUHA_API bool nauha_diff_suggest(const struct nauha_diff *diff, char *map, size_t bytes,
                                  size_t *modules);

/* ---- what the first difference says ---- */

/* The position of a message in the order in which the values of a step are computed: parameters,
 * input and labels, forward pass, loss, backward pass, buffers, updates. Messages of other kinds,
 * and of tags other than "default", come last. */
NAUHA_API unsigned nauha_diff_stage(const struct nauha_message_info *info);

struct nauha_reading;

struct nauha_reading_options {
    const char *a, *b; /* the names of the two in sentences; copied */
    bool ranks;        /* they are two ranks of one training */
};

/* An interpretation of the first difference. NULL when out of memory. Caller owns, release with
 * nauha_reading_free. */
NAUHA_API struct nauha_reading *nauha_reading_new(const struct nauha_reading_options *options);
NAUHA_API void nauha_reading_free(struct nauha_reading *reading);

/* Takes the next pair: call it for every pair of a comparison, in order. NOMEM. */
NAUHA_API enum nauha_status nauha_reading_take(struct nauha_reading *reading,
                                               const struct nauha_pair *pair,
                                               struct nauha_error *err);

/* The first difference: in the first step that has one, the differing pair that was computed first.
 * That is the pair with the lowest nauha_diff_stage, except that forward passes, losses and
 * backward passes, which may alternate in a step, are in the order of publication. pair.a and
 * pair.b point to the copies a and b. */
struct nauha_first {
    struct nauha_pair pair;
    struct nauha_message_info a, b;
};
/* NULL if nothing differs. Borrowed until nauha_reading_free. */
NAUHA_API const struct nauha_first *nauha_reading_first(const struct nauha_reading *reading);

/* What the first difference means, in sentences; "" if nothing differs. Borrowed until
 * nauha_reading_free. */
NAUHA_API const char *nauha_reading_text(struct nauha_reading *reading);

/* ---- how the difference grows, as series ---- */

struct nauha_diff_series;

/* Writes series to a directory, which is made if it does not exist, in the format of the sinks csv
 * and gnuplot. For each kind of tensor that both traces have, KIND_difference has
 * nauha_difference_relative of each pair (NaN if it is not known). `difference` has the largest of
 * them for each step and kind; the name of the kind is in the column `module`. IO. Caller owns
 * *series, release with nauha_diff_series_free. */
NAUHA_API enum nauha_status
nauha_diff_series_new(const struct nauha_diff_side *a, const struct nauha_diff_side *b,
                      const struct nauha_selector *selector, const char *directory,
                      struct nauha_diff_series **series, struct nauha_error *err);
NAUHA_API void nauha_diff_series_free(struct nauha_diff_series *series);

/* Takes the next pair: call it for every pair of a comparison, in order. IO. */
NAUHA_API enum nauha_status nauha_diff_series_take(struct nauha_diff_series *series,
                                                   const struct nauha_pair *pair,
                                                   struct nauha_error *err);

/* Gives the files their final names and draws the pictures. UNAVAILABLE: gnuplot is not installed
 * or failed; CSV files and scripts are complete. IO. */
NAUHA_API enum nauha_status nauha_diff_series_finish(struct nauha_diff_series *series,
                                                     struct nauha_error *err);

/* Calls line for each file that was written. */
NAUHA_API void nauha_diff_series_report(const struct nauha_diff_series *series,
                                        void (*line)(void *context, const char *text),
                                        void *context);

#ifdef __cplusplus
}
#endif
#endif
