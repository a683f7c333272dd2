/* SPDX-License-Identifier: MIT */
/* The result of nauha diff as text for people.
 *
 * Threads: the main thread.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/commands/diff_result.h"
#include "tools/cli/table.h"
#include "tools/cli/text.h"

#define NAMES_SHOWN 6u

static const char *module_text(const char *name) {
    return name[0] ? name : "(root)";
}

static void heading(const char *text) {
    nauha__heading(stdout, text);
}

/* ---- the two traces ---- */

static void print_side(char letter, const struct nauha_trace_info *info,
                       const struct nauha_diff_side *side) {
    char messages[32];
    printf("%s%c%s  %s: ", nauha__colour(stdout, COLOUR_DIM), letter,
           nauha__colour(stdout, COLOUR_PLAIN), info->path);
    if (side->ranks)
        printf("%zu of %u ranks together, of which this one has ", side->rank_count,
               info->world_size);
    else if (info->world_size > 1)
        printf("rank %u of %u, ", info->rank, info->world_size);
    printf("%" PRIu64 " steps, %s messages%s\n", info->steps,
           nauha__count_text(info->messages, messages), info->closed ? "" : ", cut off");
}

static void print_verdict(const struct diff_result *result) {
    const struct nauha_first *first = nauha_reading_first(result->reading);
    char differing[32], compared[32];
    nauha__count_text(result->differing, differing);
    nauha__count_text(result->compared, compared);
    if (first)
        printf("\n%sThe first difference is in step %" PRIu64
               "%s: %s of %s tensors that both have differ%s\n",
               nauha__colour(stdout, COLOUR_BAD), first->a.global_step,
               nauha__colour(stdout, COLOUR_PLAIN), differing, compared,
               result->tolerance ? " beyond the tolerance" : "");
    else if (result->compared == 0 && result->shards)
        printf("\nNothing was compared\n");
    else if (result->compared == 0)
        printf("\nThe traces have no tensor in common\n");
    else
        printf("\n%sNo difference%s: the %s tensors that both have are equal%s\n",
               nauha__colour(stdout, COLOUR_GOOD), nauha__colour(stdout, COLOUR_PLAIN), compared,
               result->within   ? " within the tolerance"
               : result->hashes ? " (by their hashes, where no elements were recorded)"
                                : ", bit by bit");
    if (result->within) {
        char within[32];
        printf("  the bits of %s differ within the tolerance\n",
               nauha__count_text(result->within, within));
    }
    if (result->shards)
        printf("  %" PRIu64 " are different shards of a tensor, which were not compared\n",
               result->shards);
    if (result->damaged)
        printf("  %" PRIu64 " could not be compared: %s\n", result->damaged, result->damage);
}

/* ---- the first that differs ---- */

static void print_shape(const struct nauha_message_info *info) {
    printf("[");
    for (uint32_t i = 0; i < info->ndim; i++)
        printf("%s%" PRId64, i ? "," : "", info->shape[i]);
    printf("]");
}

/* [3,0,17] of a flat index. */
static void print_index(const struct nauha_message_info *info, uint64_t at) {
    uint64_t index[NAUHA_MAX_NDIM];
    for (uint32_t i = info->ndim; i-- > 0;) {
        index[i] = at % (uint64_t)info->shape[i];
        at /= (uint64_t)info->shape[i];
    }
    printf("[");
    for (uint32_t i = 0; i < info->ndim; i++)
        printf("%s%" PRIu64, i ? "," : "", index[i]);
    printf("]");
}

static void print_numbers(const struct nauha_pair *pair) {
    const struct nauha_difference *d = &pair->difference;
    char differing[32], count[32], ulp[32];
    printf("  %s of %s elements differ, first %s", nauha__count_text(d->differing, differing),
           nauha__count_text(d->count, count), pair->a->ndim ? "at " : "");
    if (pair->a->ndim)
        print_index(pair->a, d->first);
    printf("%s%s in a, %s in b\n", pair->a->ndim ? ": " : "", pair->first_a, pair->first_b);
    if (d->max_abs > 0) {
        printf("  largest: %.3g absolute", d->max_abs);
        if (pair->a->ndim) {
            printf(" at ");
            print_index(pair->a, d->max_abs_at);
        }
        printf(", %.3g relative", d->max_rel);
        if (d->max_ulp)
            printf(", %s ULP", nauha__count_text(d->max_ulp, ulp));
        printf("\n  together: ||a - b|| is %.3g of the larger norm, cosine %.9g\n",
               nauha_difference_relative(d), nauha_difference_cosine(d));
    }
    if (d->zero_signs)
        printf("  %" PRIu64 " of them are 0 in one trace and -0 in the other\n", d->zero_signs);
    if (d->nan_payloads)
        printf("  %" PRIu64 " of them are NaN in both traces, with different bits\n",
               d->nan_payloads);
    if (d->not_finite)
        printf("  %" PRIu64
               " of them are NaN or infinite in one trace and another value in the other\n",
               d->not_finite);
}

static void print_first(struct diff_result *result) {
    const struct nauha_first *first = nauha_reading_first(result->reading);
    const struct nauha_pair *pair = &first->pair;
    const struct nauha_message_info *a = pair->a, *b = pair->b;
    heading("The first tensor that differs, in the order of the step");
    printf("  %s", a->kind_name);
    if (a->module != NAUHA_NONE)
        printf(" of %s (%s)", module_text(a->module_name), a->module_class);
    if (a->slot_name[0])
        printf(", %s", a->slot_name);
    if (a->call)
        printf(", call %u", a->call);
    if (strcmp(a->tag_name, "default") != 0)
        printf(", tag %s", a->tag_name);
    printf(", step %" PRIu64 " (epoch %u, batch %u), %s ", a->global_step, a->epoch, a->train_step,
           nauha_dtype_name(a->dtype));
    print_shape(a);
    if (a->module != NAUHA_NONE && strcmp(a->module_name, b->module_name) != 0)
        printf("; %s in b", module_text(b->module_name));
    printf("\n");
    if (pair->sort == NAUHA_PAIR_SHAPE) {
        printf("  different shapes: ");
        print_shape(a);
        printf(" in a, ");
        print_shape(b);
        printf(" in b\n");
    }
    if (pair->sort == NAUHA_PAIR_HASH && isnan(pair->apart))
        printf("  the hashes differ; by how much the tensors differ is not known, because only the "
               "hash was recorded\n");
    else if (pair->sort == NAUHA_PAIR_HASH)
        printf("  the hashes differ; statistics and samples differ by up to %.3g of their size\n",
               pair->apart);
    if (pair->sort == NAUHA_PAIR_DTYPE)
        printf("  different types: %s in a, %s in b\n", nauha_dtype_name(a->dtype),
               nauha_dtype_name(b->dtype));
    if (pair->compared && pair->difference.differing)
        print_numbers(pair);
    heading("What that means");
    printf("  ");
    nauha__text_wrap(stdout, nauha_reading_text(result->reading), 2, 2, nauha__prose_width(stdout));
    printf("\n");
}

/* ---- how it grows ---- */

static void add_value(struct table *table, double value) {
    if (value == GROWTH_UNKNOWN)
        nauha__table_cell(table, COLOUR_BAD, "differs");
    else if (value == 0)
        nauha__table_cell(table, COLOUR_DIM, "-");
    else
        nauha__table_cell(table, COLOUR_PLAIN, "%.2g", nauha__printable(value));
}

static void add_track(struct table *table, const struct track *track, const char *name,
                      const size_t *shown, size_t count) {
    const enum colour colour = track->differing ? COLOUR_PLAIN : COLOUR_DIM;
    nauha__table_cell(table, growth_is_kind(track) ? COLOUR_NAME : COLOUR_PLAIN, "%s", name);
    nauha__table_cell(table, COLOUR_DIM, "%" PRIu64, track->compared);
    nauha__table_cell(table, colour, "%" PRIu64, track->differing);
    if (track->differing)
        nauha__table_cell(table, COLOUR_PLAIN, "%" PRIu64, track->first_step);
    else
        nauha__table_cell(table, COLOUR_GOOD, "never");
    for (size_t i = 0; i < count; i++)
        add_value(table, track->columns[shown[i]]);
}

/* Prints names, counts, and a column for each step that is shown. If the width is too small, the
 * first and the last column stay. */
struct track_table {
    struct column columns[4 + GROWTH_COLUMNS];
    char steps[GROWTH_COLUMNS][32];
    size_t shown[GROWTH_COLUMNS], count;
};

static void make_columns(struct track_table *about, const struct growth *growth) {
    static const struct column first[] = {{"", TABLE_CUT, 0},
                                          {"compared", TABLE_RIGHT, 20},
                                          {"differ", TABLE_RIGHT, 0},
                                          {"since", TABLE_RIGHT, 0}};
    memcpy(about->columns, first, sizeof first);
    about->count = growth_shown(growth, about->shown);
    for (size_t i = 0; i < about->count; i++) {
        snprintf(about->steps[i], sizeof about->steps[i], "step %" PRIu64,
                 growth_step(growth, about->shown[i]));
        const bool end = i == 0 || i + 1 == about->count;
        about->columns[4 + i] =
            (struct column){about->steps[i], TABLE_RIGHT, end ? 0 : (unsigned)i};
    }
}

static void track_name(const struct track *track, char *text, size_t bytes) {
    if (growth_is_kind(track))
        snprintf(text, bytes, "%s", track->kind_name);
    else
        snprintf(text, bytes, "%s %s%s%s", track->kind_name, module_text(track->module_name),
                 track->slot_name[0] ? " " : "", track->slot_name);
}

/* Orders by the first step that differs, then by the order of messages within a step. */
static int by_first_step(const void *left, const void *right) {
    const struct track *a = *(const struct track *const *)left;
    const struct track *b = *(const struct track *const *)right;
    if ((a->differing > 0) != (b->differing > 0))
        return a->differing ? -1 : 1;
    if (a->differing && a->first_step != b->first_step)
        return a->first_step < b->first_step ? -1 : 1;
    if (a->stage != b->stage)
        return a->stage < b->stage ? -1 : 1;
    return a < b ? -1 : a > b;
}

static int by_stage(const void *left, const void *right) {
    const struct track *a = *(const struct track *const *)left;
    const struct track *b = *(const struct track *const *)right;
    if (a->stage != b->stage)
        return a->stage < b->stage ? -1 : 1;
    return a < b ? -1 : a > b;
}

/* Selects the tracks of kinds or of modules in the order in which they are printed. Returns how
 * many there are. */
static size_t choose_tracks(const struct growth *growth, bool kinds, const struct track **tracks) {
    size_t count = 0;
    for (size_t i = 0; i < growth->count; i++) {
        const struct track *track = &growth->tracks[i];
        if (growth_is_kind(track) == kinds &&
            (kinds || (track->module != NAUHA_NONE && track->differing > 0)))
            tracks[count++] = track;
    }
    qsort(tracks, count, sizeof(struct track *), kinds ? by_stage : by_first_step);
    return count;
}

static void print_tracks(const struct growth *growth, bool kinds, size_t rows) {
    struct track_table about;
    const struct track **tracks = malloc((growth->count + 1) * sizeof(struct track *));
    char name[600];
    if (!tracks)
        return;
    make_columns(&about, growth);
    const size_t count = choose_tracks(growth, kinds, tracks);
    const size_t printed = kinds || rows == 0 || count < rows ? count : rows;
    struct table *table = NULL;
    if (printed > 0) {
        heading(kinds ? "How the difference grows: ||a - b|| / max(||a||, ||b||), largest by kind"
                      : "By module, the earliest difference first");
        table = nauha__table_new(stdout, about.columns, 4 + about.count, 2);
    }
    for (size_t i = 0; i < printed; i++) {
        track_name(tracks[i], name, sizeof name);
        add_track(table, tracks[i], name, about.shown, about.count);
    }
    if (printed > 0)
        nauha__table_end(table);
    if (printed < count)
        printf("  ... and %zu more (--rows 0 for all)\n", count - printed);
    free(tracks);
}

/* ---- what only one has ---- */

static void print_modules_alone(char letter, const struct only_side *side,
                                const struct nauha_names *names) {
    unsigned count = 0;
    for (uint32_t i = 0; i < side->module_count; i++) {
        if (!side->has_alone[i] || side->has_both[i])
            continue;
        if (count == 0)
            printf("  only %c  modules ", letter);
        if (count < NAMES_SHOWN)
            printf("%s%s", count ? ", " : "", module_text(nauha_names_module(names, i)));
        count++;
    }
    if (count > NAMES_SHOWN)
        printf(" and %u more", count - NAMES_SHOWN);
    if (count)
        printf("\n");
}

static void print_alone(char letter, const struct only_side *side,
                        const struct nauha_names *names) {
    char text[32];
    if (side->steps)
        printf("  only %c  %s steps, the first %" PRIu64 "\n", letter,
               nauha__count_text(side->steps, text), side->first_step);
    print_modules_alone(letter, side, names);
    for (uint32_t i = 0; i < side->kind_count; i++) {
        const struct only_kind *kind = &side->kinds[i];
        if (kind->messages)
            printf("  only %c  %s messages of %s, the first in step %" PRIu64 "\n", letter,
                   nauha__count_text(kind->messages, text), nauha_names_kind(names, i),
                   kind->first_step);
    }
}

void diff_print_text(struct diff_result *result, size_t rows) {
    print_side('a', &result->info_a, &result->a);
    print_side('b', &result->info_b, &result->b);
    print_verdict(result);
    if (nauha_reading_first(result->reading)) {
        print_first(result);
        print_tracks(&result->growth, true, rows);
        print_tracks(&result->growth, false, rows);
    }
    if (diff_result_only(result)) {
        heading("What only one of the traces has");
        print_alone('a', &result->only_a, result->a.names);
        print_alone('b', &result->only_b, result->b.names);
    }
    if (result->map[0])
        printf("\n%zu modules seem to be the same under different names: try --map %s\n",
               result->map_modules, result->map);
}
