/* SPDX-License-Identifier: MIT */
/* For rules on layers of units (neurons, channels): how many units of a layer are hardly ever
 * active. A share of 1 % cannot be seen in a batch of 32 samples, so units are counted over as many
 * steps as it takes.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_ANALYZERS_SUPPORT_UNITS_H
#define NAUHA_ANALYZERS_SUPPORT_UNITS_H

#include "analyzers/support/keys.h"
#include "analyzers/support/rule.h"

#define UNITS_BLOCK 1024u

/* A tensor as [outer, count, inner]; `count` is the number of units. */
struct units_layout {
    size_t outer, count, inner;
};

/* The counts of one layer. */
struct units {
    size_t count;
    uint64_t seen;    /* observations of each unit */
    uint64_t *active; /* observations in which each unit was active */
};

struct units_rule {
    struct rule rule;
    struct key_table keys; /* struct units */
    double inactivity;     /* per cent of observations below which a unit is inactive */
    double layer;          /* per cent of inactive units above which a layer is */
    int64_t dimension;     /* of the units; -1: the last */
    char classes[256];     /* of the modules to check, with commas around each */
};

/* The parameters that such rules share, in this order. */
#define UNITS_PARAMETERS(classes, inactive)                                                        \
    {"inactivity", NAUHA_PARAMETER_REAL,                                                           \
     "1",          0,                                                                              \
     100,          "a unit is " inactive " if it is active in less than this percentage"},         \
        {"layer", NAUHA_PARAMETER_REAL,                                                            \
         "50",    0,                                                                               \
         100,     "largest percentage of a layer's units that may be " inactive},                  \
        {"dimension", NAUHA_PARAMETER_INTEGER,                                                     \
         "1",         -1,                                                                          \
         31,          "dimension of the tensor that counts the units; -1 is the last"},            \
    {                                                                                              \
        "classes", NAUHA_PARAMETER_TEXT, classes, 0, 0,                                            \
            "classes of the modules to check, separated by commas"                                 \
    }
enum { UNITS_PARAMETER_COUNT = 4 };

static inline void units_fini(void *units) {
    free(((struct units *)units)->active);
}

static inline void units_rule_free(void *self) {
    struct units_rule *rule = self;
    key_table_fini(&rule->keys, units_fini);
    free(rule);
}

static inline enum nauha_status units_rule_create(const struct nauha_host *host,
                                                  const struct nauha_analyzer_config *config,
                                                  const struct kind_topics_plan *plan, size_t bytes,
                                                  void **self, struct nauha_error *err) {
    enum nauha_status status = rule_create(host, config, plan, bytes, self, err);
    if (status != NAUHA_OK)
        return status;
    struct units_rule *rule = *self;
    rule->keys.state_bytes = sizeof(struct units);
    rule->inactivity = config->values[0].real;
    rule->layer = config->values[1].real;
    rule->dimension = config->values[2].integer;
    snprintf(rule->classes, sizeof rule->classes, ",%.250s,", config->values[3].text);
    return NAUHA_OK;
}

/* Whether the rule checks modules of this class. */
static inline bool units_of_class(const struct units_rule *rule, const char *class_name) {
    char name[128];
    const int length = snprintf(name, sizeof name, ",%s,", class_name);
    return class_name[0] && length < (int)sizeof name && strstr(rule->classes, name);
}

/* Finds the layout of a message. False: there is nothing to count. */
static inline bool units_layout_of(const struct units_rule *rule,
                                   const struct nauha_message_info *info,
                                   struct units_layout *layout) {
    if (info->ndim < 2)
        return false;
    const int64_t last = (int64_t)info->ndim - 1;
    const int64_t at = rule->dimension < 0 || rule->dimension > last ? last : rule->dimension;
    *layout = (struct units_layout){1, (size_t)info->shape[at], 1};
    for (int64_t d = 0; d <= last; d++) {
        if (d < at)
            layout->outer *= (size_t)info->shape[d];
        else if (d > at)
            layout->inner *= (size_t)info->shape[d];
    }
    return layout->outer > 0 && layout->count > 0 && layout->inner > 0;
}

/* Whether an element shows that its unit is active. */
typedef bool (*units_active_fn)(const void *context, double x);

struct units_visit {
    const struct nauha_host *host;
    const struct units_layout *layout;
    struct units *units;
    units_active_fn active;
    const void *context;
};

static inline enum nauha_status units_visit_piece(void *context, const struct nauha_tensor *piece,
                                                  uint64_t first, struct nauha_error *err) {
    const struct units_visit *visit = context;
    const size_t inner = visit->layout->inner, count = visit->layout->count;
    const size_t n = (size_t)piece->shape[0];
    size_t place = (size_t)(first % inner), unit = (size_t)(first / inner % count);
    double block[UNITS_BLOCK];
    (void)err;
    for (size_t done = 0; done < n; done += UNITS_BLOCK) {
        const size_t take = n - done < UNITS_BLOCK ? n - done : UNITS_BLOCK;
        visit->host->to_f64(piece, done, take, block);
        for (size_t i = 0; i < take; i++) {
            visit->units->active[unit] += visit->active(visit->context, block[i]);
            if (++place == inner) {
                place = 0;
                unit = unit + 1 == count ? 0 : unit + 1;
            }
        }
    }
    return NAUHA_OK;
}

/* The percentage of units that are active in less than `inactivity` per cent of their observations.
 */
static inline double units_inactive(const struct units *units, double inactivity) {
    size_t inactive = 0;
    for (size_t i = 0; i < units->count; i++)
        inactive += 100 * (double)units->active[i] / (double)units->seen < inactivity;
    return 100 * (double)inactive / (double)units->count;
}

/* Counts a message. Once all units were observed often enough, *inactive is the percentage of
 * inactive units, and counting starts anew; otherwise it is NaN. */
static inline enum nauha_status units_count(struct units_rule *rule, struct nauha_message *message,
                                            units_active_fn active, const void *context,
                                            double *inactive, struct nauha_error *err) {
    const struct nauha_host *host = rule->rule.host;
    const struct nauha_message_info *info = host->info(message);
    struct units_layout layout;
    *inactive = (double)NAN;
    if (!units_layout_of(rule, info, &layout))
        return NAUHA_OK;
    struct units *units = key_table_get(&rule->keys, key_of(info, info->kind));
    if (!units)
        return NAUHA_HOST_NOMEM(host, err);
    if (units->count != layout.count) {
        free(units->active);
        *units = (struct units){.active = calloc(layout.count, sizeof *units->active)};
        if (!units->active)
            return host->fail(err, NAUHA_NOMEM, "no memory for %zu units", layout.count);
        units->count = layout.count;
    }
    struct units_visit visit = {host, &layout, units, active, context};
    enum nauha_status status = host->for_each_piece(message, units_visit_piece, &visit, err);
    if (status != NAUHA_OK) { /* some of it has been counted */
        memset(units->active, 0, units->count * sizeof *units->active);
        units->seen = 0;
        return status;
    }
    units->seen += (uint64_t)layout.outer * layout.inner;
    if ((double)units->seen * rule->inactivity < 100)
        return NAUHA_OK;
    *inactive = units_inactive(units, rule->inactivity);
    memset(units->active, 0, units->count * sizeof *units->active);
    units->seen = 0;
    return NAUHA_OK;
}

/* Handles a message for a rule on units: counts, publishes and judges. */
static inline enum nauha_status units_judge(struct units_rule *rule, struct nauha_message *message,
                                            units_active_fn active, const void *context,
                                            const char *measure, const char *meaning,
                                            struct nauha_error *err) {
    const struct nauha_host *host = rule->rule.host;
    const struct nauha_message_info *info = host->info(message);
    double inactive = (double)NAN;
    enum nauha_status status = units_count(rule, message, active, context, &inactive, err);
    if (status == NAUHA_OK && !isnan(inactive))
        status = rule_publish(&rule->rule, info, inactive, err);
    if (status == NAUHA_OK && inactive > rule->layer)
        status = host->finding(host, info, inactive, rule->layer, measure, meaning, err);
    return status;
}

#endif
