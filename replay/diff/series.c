/* SPDX-License-Identifier: MIT */
/* Writing the difference of two traces as series, through the sinks of pipelines; see nauha/diff.h.
 *
 * Threads: one at a time.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nauha/diff.h"
#include "nauha/internal/message.h"
#include "replay/sinks/sink.h"

#define NO_SERIES SIZE_MAX
#define SINKS 2u

/* A kind, by a's names. */
struct of_kind {
    struct nauha__series series;
    size_t position; /* of its series in the sinks */
    char *name, *title;
    struct nauha_message_info stamps; /* of the current step */
    double largest;                   /* in this step; NaN if none is known */
    bool any;                         /* in this step */
};

struct nauha_diff_series {
    const struct nauha__sink_ops *ops[SINKS]; /* csv first: the other works on its files */
    void *sinks[SINKS];
    struct of_kind *kinds; /* by the numbers of a */
    uint32_t kind_count;
    struct nauha__series overview; /* the last series */
    size_t overview_position;
    uint64_t step;
};

static const struct nauha_plot plot_of_all = {.title = "Largest difference, by kind",
                                              .xlabel = "step",
                                              .ylabel = "||a - b|| / max(||a||, ||b||)",
                                              .y_low = NAN,
                                              .y_high = NAN,
                                              .log_y = true};

void nauha_diff_series_free(struct nauha_diff_series *series) {
    if (!series)
        return;
    for (size_t i = 0; i < SINKS; i++)
        if (series->sinks[i])
            series->ops[i]->free(series->sinks[i]);
    for (uint32_t i = 0; i < series->kind_count; i++) {
        free(series->kinds[i].name);
        free(series->kinds[i].title);
    }
    free(series->kinds);
    free(series);
}

static bool has_tensors(const struct nauha_diff_side *side, uint32_t kind) {
    uint64_t messages = 0, bytes = 0;
    if (kind != NAUHA_NONE)
        nauha_trace_kind_totals(side->trace, kind, &messages, &bytes);
    return bytes > 0;
}

static bool describe(struct of_kind *kind, const char *name) {
    const size_t bytes = strlen(name) + sizeof "Difference of _difference";
    kind->name = malloc(bytes);
    kind->title = malloc(bytes);
    if (!kind->name || !kind->title)
        return false;
    snprintf(kind->name, bytes, "%s_difference", name);
    snprintf(kind->title, bytes, "Difference of %s", name);
    kind->series =
        (struct nauha__series){.name = kind->name, .form = NAUHA_FORM_SCALAR, .plot = plot_of_all};
    kind->series.plot.series = kind->name;
    kind->series.plot.title = kind->title;
    return true;
}

static enum nauha_status add(struct nauha_diff_series *series, const struct nauha__series *one,
                             struct nauha_error *err) {
    enum nauha_status status = NAUHA_OK;
    for (size_t i = 0; i < SINKS && status == NAUHA_OK; i++)
        status = series->ops[i]->add_series(series->sinks[i], one, err);
    return status;
}

static enum nauha_status add_all(struct nauha_diff_series *series, const struct nauha_diff_side *a,
                                 const struct nauha_diff_side *b, struct nauha_selector *selector,
                                 struct nauha_error *err) {
    size_t position = 0;
    for (uint32_t i = 0; i < series->kind_count; i++) {
        struct of_kind *kind = &series->kinds[i];
        const char *name = nauha_names_kind(a->names, i);
        kind->position = NO_SERIES;
        if (!has_tensors(a, i) || !has_tensors(b, nauha_names_find_kind(b->names, name)) ||
            (selector && !nauha_selector_accepts_kind(selector, a->names, i)))
            continue;
        if (!describe(kind, name))
            return nauha_error_nomem(err);
        enum nauha_status status = add(series, &kind->series, err);
        if (status != NAUHA_OK)
            return status;
        kind->position = position++;
    }
    series->overview = (struct nauha__series){
        .name = "difference", .form = NAUHA_FORM_SCALAR, .plot = plot_of_all};
    series->overview.plot.series = series->overview.name;
    series->overview_position = position;
    return add(series, &series->overview, err);
}

enum nauha_status nauha_diff_series_new(const struct nauha_diff_side *a,
                                        const struct nauha_diff_side *b,
                                        const struct nauha_selector *selector,
                                        const char *directory, struct nauha_diff_series **out,
                                        struct nauha_error *err) {
    struct nauha_diff_series *series = calloc(1, sizeof *series);
    struct nauha_selector *copy = selector ? nauha_selector_copy(selector) : NULL;
    enum nauha_status status = NAUHA_OK;
    const uint32_t kinds = nauha_names_kinds(a->names);
    if (series) {
        series->ops[0] = &nauha__sink_csv;
        series->ops[1] = &nauha__sink_gnuplot;
        series->kinds = calloc(kinds + 1, sizeof *series->kinds);
        series->kind_count = series->kinds ? kinds : 0;
    }
    if (!series || !series->kinds || (selector && !copy))
        status = nauha_error_nomem(err);
    for (size_t i = 0; i < SINKS && status == NAUHA_OK; i++)
        status = series->ops[i]->create(directory, &series->sinks[i], err);
    if (status == NAUHA_OK)
        status = add_all(series, a, b, copy, err);
    for (size_t i = 0; i < SINKS && status == NAUHA_OK; i++)
        status = series->ops[i]->start(series->sinks[i], err);
    nauha_selector_free(copy);
    if (status != NAUHA_OK) {
        nauha_diff_series_free(series);
        return status;
    }
    *out = series;
    return NAUHA_OK;
}

/* Writes one row with these stamps. */
static enum nauha_status put(struct nauha_diff_series *series, size_t position,
                             const struct nauha_message_info *stamps, double value,
                             struct nauha_error *err) {
    struct nauha_message message = {.info = *stamps, .data = &value};
    message.info.has_tensor = true;
    message.info.kept = NAUHA_KEPT_ELEMENTS;
    message.info.dtype = NAUHA_DTYPE_F64;
    message.info.ndim = 0;
    message.info.bytes = sizeof value;
    return series->ops[0]->take(series->sinks[0], position, &message, err);
}

/* Writes the largest difference of each kind in the step that ended. */
static enum nauha_status end_step(struct nauha_diff_series *series, struct nauha_error *err) {
    enum nauha_status status = NAUHA_OK;
    for (uint32_t i = 0; i < series->kind_count && status == NAUHA_OK; i++) {
        struct of_kind *kind = &series->kinds[i];
        if (!kind->any)
            continue;
        struct nauha_message_info stamps = kind->stamps;
        stamps.module_name = stamps.kind_name;
        stamps.slot_name = "";
        stamps.call = 0;
        kind->any = false;
        status = put(series, series->overview_position, &stamps, kind->largest, err);
    }
    return status;
}

enum nauha_status nauha_diff_series_take(struct nauha_diff_series *series,
                                         const struct nauha_pair *pair, struct nauha_error *err) {
    if (!pair->a || !pair->b || pair->sort == NAUHA_PAIR_DAMAGED ||
        pair->sort == NAUHA_PAIR_SHARDS || pair->a->kind >= series->kind_count ||
        series->kinds[pair->a->kind].position == NO_SERIES)
        return NAUHA_OK;
    enum nauha_status status = NAUHA_OK;
    if (pair->a->global_step != series->step) {
        status = end_step(series, err);
        series->step = pair->a->global_step;
    }
    struct of_kind *kind = &series->kinds[pair->a->kind];
    const double value = pair->compared ? nauha_difference_relative(&pair->difference)
                         : pair->sort == NAUHA_PAIR_EQUAL && isnan(pair->apart) ? 0
                                                                                : pair->apart;
    if (!kind->any) {
        kind->stamps = *pair->a;
        kind->stamps.tag_name = "default";
        kind->largest = NAN;
        kind->any = true;
    }
    kind->largest = fmax(kind->largest, value);
    return status == NAUHA_OK ? put(series, kind->position, pair->a, value, err) : status;
}

enum nauha_status nauha_diff_series_finish(struct nauha_diff_series *series,
                                           struct nauha_error *err) {
    enum nauha_status status = end_step(series, err);
    for (size_t i = 0; i < SINKS && status == NAUHA_OK; i++)
        status = series->ops[i]->finish(series->sinks[i], err);
    return status;
}

void nauha_diff_series_report(const struct nauha_diff_series *series,
                              void (*line)(void *context, const char *text), void *context) {
    for (size_t i = 0; i < SINKS; i++)
        series->ops[i]->report(series->sinks[i], line, context);
}
