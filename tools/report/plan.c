/* SPDX-License-Identifier: MIT */
/* Which series a report has; see plan.h.
 *
 * Threads: the main thread.
 */
#include "tools/report/plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tools/report/curves.h"

/* The tags under which a row is computed. */
enum tags { TRAINING, EVALUATIONS, ALL_TAGS };

struct row {
    const char *name;
    const char *kinds; /* with commas, as in a SPEC; NULL: the metric's own */
    uint32_t needs[2]; /* kinds, NAUHA_NONE for none */
    enum tags tags;
    bool classification;
    bool thinned; /* only as many steps as a picture has columns */
};

/* In the order of the page. */
static const struct row rows[] = {
    {"step_loss", NULL, {NAUHA_KIND_LOSS, NAUHA_NONE}, TRAINING, false, false},
    {"loss", NULL, {NAUHA_KIND_LOSS, NAUHA_NONE}, ALL_TAGS, false, false},
    {"train_accuracy",
     NULL,
     {NAUHA_KIND_NETWORK_OUTPUT, NAUHA_KIND_INPUT_LABELS},
     TRAINING,
     true,
     false},
    {"test_accuracy",
     NULL,
     {NAUHA_KIND_NETWORK_OUTPUT, NAUHA_KIND_INPUT_LABELS},
     EVALUATIONS,
     true,
     false},
    {"ratio",
     "weight_updates,weights",
     {NAUHA_KIND_WEIGHT_UPDATES, NAUHA_KIND_WEIGHTS},
     TRAINING,
     false,
     false},
    {"norm", "weights", {NAUHA_KIND_WEIGHTS, NAUHA_NONE}, TRAINING, false, false},
    {"norm", "weight_gradients", {NAUHA_KIND_WEIGHT_GRADIENTS, NAUHA_NONE}, TRAINING, false, false},
    {"rms", "activations", {NAUHA_KIND_ACTIVATIONS, NAUHA_NONE}, TRAINING, false, false},
    {"zeros", "activations", {NAUHA_KIND_ACTIVATIONS, NAUHA_NONE}, TRAINING, false, false},
    {"rms", "layer_gradients", {NAUHA_KIND_LAYER_GRADIENTS, NAUHA_NONE}, TRAINING, false, false},
    {"histogram", "weights", {NAUHA_KIND_WEIGHTS, NAUHA_NONE}, TRAINING, false, true},
    {"histogram",
     "weight_gradients",
     {NAUHA_KIND_WEIGHT_GRADIENTS, NAUHA_NONE},
     TRAINING,
     false,
     true},
};

/* Whether a SPEC is for the metric of the row and, if the row has one, its first kind. */
static bool is_of(const char *spec, const struct row *row) {
    const size_t name = strcspn(spec, ":");
    if (strlen(row->name) != name || strncmp(spec, row->name, name) != 0)
        return false;
    if (!row->kinds)
        return true;
    const size_t first = strcspn(row->kinds, ",");
    for (const char *at = spec + name; *at == ':' || *at == ',';) {
        const size_t length = strcspn(++at, ",:");
        if (length == first && strncmp(at, row->kinds, first) == 0)
            return true;
        at += length;
        if (*at == ':')
            break; /* keys */
    }
    return false;
}

/* Whether the user asked for the metric of a row with --metric, which then replaces the row. */
static bool is_given(const struct invocation *invocation, const struct row *row) {
    for (size_t i = 0; i < invocation->given_count; i++)
        if (strcmp(invocation->given[i].option->name, "metric") == 0 &&
            is_of(invocation->given[i].value, row))
            return true;
    return false;
}

static const struct nauha_analyzer *analyzer_of(const struct nauha_pipeline *pipeline,
                                                const struct row *row) {
    const struct nauha_analyzer *analyzer;
    for (size_t i = 0; (analyzer = nauha_pipeline_analyzer(pipeline, i)) != NULL; i++)
        if (strcmp(analyzer->name, row->name) == 0)
            return analyzer;
    return NULL;
}

static bool can_be(const struct nauha_pipeline *pipeline, const struct row *row,
                   const struct survey *survey, uint32_t tag) {
    const struct nauha_analyzer *analyzer = analyzer_of(pipeline, row);
    for (size_t i = 0; i < 2; i++)
        if (row->needs[i] != NAUHA_NONE &&
            (!analyzer || !survey_serves_tag(survey, analyzer, row->needs[i], tag)))
            return false;
    return !row->classification || survey_is_classification(survey, tag);
}

/* Every so many messages of a key fill the columns of a picture. */
static uint64_t subsample_of(const struct survey *survey, uint32_t kind_number) {
    const struct survey_kind *kind = survey_kind_of(survey, kind_number, 0);
    const uint64_t each = kind && kind->keys ? kind->messages / kind->keys : 1;
    return each / RIDGE_COLUMNS + 1;
}

static enum nauha_status add_row(struct nauha_pipeline *pipeline, const struct row *row,
                                 const struct survey *survey, const char *tag,
                                 struct nauha_error *err) {
    char spec[512], bins[64] = "";
    if (row->thinned)
        snprintf(bins, sizeof bins, ":bins=%u:subsample=%" PRIu64, RIDGE_BINS,
                 subsample_of(survey, row->needs[0]));
    snprintf(spec, sizeof spec, "%s%s%s%s%s%s", row->name, row->kinds ? ":" : "",
             row->kinds ? row->kinds : "", tag ? ":tag=" : "", tag ? tag : "", bins);
    return nauha_pipeline_add_metric(pipeline, spec, err);
}

static enum nauha_status add_rows(struct nauha_pipeline *pipeline, const struct row *row,
                                  const struct survey *survey, const struct nauha_names *names,
                                  size_t *count, struct nauha_error *err) {
    enum nauha_status status = NAUHA_OK;
    for (uint32_t tag = 0; tag < nauha_names_tags(names) && status == NAUHA_OK; tag++) {
        const bool training = tag == 0;
        const char *name = nauha_names_tag(names, tag);
        if ((training && row->tags == EVALUATIONS) || (!training && row->tags == TRAINING) ||
            !can_be(pipeline, row, survey, tag) || strpbrk(name, ":"))
            continue; /* a SPEC cannot name a tag that contains a colon */
        status = add_row(pipeline, row, survey, training ? NULL : name, err);
        *count += status == NAUHA_OK;
    }
    return status;
}

enum nauha_status plan_add(struct nauha_pipeline *pipeline, const struct invocation *invocation,
                           const struct survey *survey, size_t *count, struct nauha_error *err) {
    enum nauha_status status = NAUHA_OK;
    *count = 0;
    for (size_t i = 0; i < invocation->given_count && status == NAUHA_OK; i++) {
        if (strcmp(invocation->given[i].option->name, "metric") != 0)
            continue;
        status = nauha_pipeline_add_metric(pipeline, invocation->given[i].value, err);
        *count += status == NAUHA_OK;
    }
    const struct nauha_names *names = nauha_bus_names(nauha_pipeline_bus(pipeline));
    for (size_t i = 0; i < sizeof rows / sizeof *rows && status == NAUHA_OK; i++)
        if (!is_given(invocation, &rows[i]))
            status = add_rows(pipeline, &rows[i], survey, names, count, err);
    return status;
}
