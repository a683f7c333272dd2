/* SPDX-License-Identifier: MIT */
/* For metrics that compare what a module computes from the same data at successive probes:
 * everything but the representation of a probe and the comparison of two of them.
 *
 * A probe is all messages of one rank, module, slot and step with the tag. They are the rows of one
 * matrix of data points by neurons, in the order of the messages: batches of one pass, or calls of
 * one module.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_ANALYZERS_SUPPORT_PROBE_H
#define NAUHA_ANALYZERS_SUPPORT_PROBE_H

#include <float.h>
#include <limits.h>
#include <math.h>

#include "analyzers/support/linalg.h"
#include "nauha/array.h"

/* Which dimensions of a tensor are neurons; all others are data points. */
enum probe_neurons {
    PROBE_CHANNELS, /* the second */
    PROBE_FLAT,     /* all but the first */
    PROBE_LAST
};

/* The representation of a probe that is kept. */
struct probe_view {
    size_t rows, columns; /* of x; columns 0: there is nothing to compare */
    size_t points;        /* data points in the probe */
    double *x;
    bool gram;   /* cka: x is the Gram matrix of the points */
    double norm; /* cka: norm of the Gram matrix, of neurons or of points */
};

/* The state of one module. */
struct probe {
    uint32_t rank, module, slot;
    struct nauha_message_info stamps; /* of the first message of the open probe */
    bool is_open;
    bool broken;                    /* an element is not finite, or the messages' widths differ */
    size_t rows, columns, capacity; /* capacity: doubles that x has room for */
    double *x;                      /* rows x columns */
    bool has_view;
    struct probe_view view; /* the one to compare with */
};

struct probe_metric;

/* Makes a view of x[rows][columns], whose columns have mean 0 and magnitudes up to 1. x is
 * consumed, also on failure. view is zeroed. */
typedef enum nauha_status (*probe_view_fn)(const struct probe_metric *metric, double *x,
                                           size_t rows, size_t columns, struct probe_view *view);
/* Compares two views, which have as many data points as each other and at least one column. */
typedef enum nauha_status (*probe_compare_fn)(const struct probe_metric *metric,
                                              const struct probe_view *a,
                                              const struct probe_view *b, double *value);

struct probe_metric {
    const struct nauha_host *host;
    const struct linalg *linalg;
    probe_view_fn view;
    probe_compare_fn compare;
    double fraction; /* svcca: of the variance */
    enum probe_neurons neurons;
    bool to_first; /* compare with the first probe instead of the one before */
    uint32_t topic;
    size_t count, capacity;
    struct probe *probes;
};

static inline void probe_metric_free(void *self) {
    struct probe_metric *metric = self;
    for (size_t i = 0; i < metric->count; i++) {
        free(metric->probes[i].x);
        free(metric->probes[i].view.x);
    }
    free(metric->probes);
    free(metric);
}

/* ---- parameters ---- */

#define PROBE_PARAMETERS(neurons)                                                                  \
    {"tag", NAUHA_PARAMETER_TEXT, "svcca_testing", 0, 0, "tag of the probes"},                     \
        {"to",       NAUHA_PARAMETER_TEXT,                                                         \
         "previous", 0,                                                                            \
         0,          "compare each probe with this one: previous or first"},                       \
    {                                                                                              \
        "neurons", NAUHA_PARAMETER_TEXT, neurons, 0, 0,                                            \
            "channels: dimension 1 is the neurons; flat: all dimensions but the first; last: the " \
            "last dimension; the others are data points"                                           \
    }

/* Finds the position of `given` among `names`, which end with NULL. */
static inline enum nauha_status probe_choice(const struct nauha_host *host, const char *key,
                                             const char *given, const char *const *names,
                                             size_t *choice, struct nauha_error *err) {
    char list[128] = "";
    for (size_t i = 0; names[i]; i++) {
        if (strcmp(given, names[i]) == 0) {
            *choice = i;
            return NAUHA_OK;
        }
        const size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", names[i]);
    }
    return host->fail(err, NAUHA_INVALID, "key \"%s\" is \"%s\": expected one of %s", key, given,
                      list);
}

/* The `create` of such a metric. `made` has view and compare; PROBE_PARAMETERS begin at
 * values[first]. */
static inline enum nauha_status
probe_metric_create(const struct nauha_host *host, const struct nauha_analyzer_config *config,
                    size_t first, const char *topic, const struct nauha_plot *plot,
                    const struct probe_metric *made, void **self, struct nauha_error *err) {
    static const char *const ends[] = {"previous", "first", NULL};
    static const char *const neurons[] = {"channels", "flat", "last", NULL};
    size_t end = 0, choice = 0;
    struct probe_metric *metric = malloc(sizeof *metric);
    if (!metric)
        return NAUHA_HOST_NOMEM(host, err);
    *metric = *made;
    metric->host = host;
    enum nauha_status status =
        probe_choice(host, "to", config->values[first + 1].text, ends, &end, err);
    if (status == NAUHA_OK)
        status =
            probe_choice(host, "neurons", config->values[first + 2].text, neurons, &choice, err);
    metric->to_first = end == 1;
    metric->neurons = (enum probe_neurons)choice;
    if (status == NAUHA_OK)
        status = linalg_load(host, &metric->linalg, err);
    if (status == NAUHA_OK)
        status = host->register_topic(host, topic, NAUHA_SCOPE_MODULE, NAUHA_FORM_SCALAR, plot,
                                      &metric->topic, err);
    if (status != NAUHA_OK) {
        free(metric);
        return status;
    }
    *self = metric;
    return NAUHA_OK;
}

/* ---- a probe comes in ---- */

/* A tensor as [outer][neurons][inner]; its data points are outer x inner. */
struct probe_layout {
    size_t outer, neurons, inner;
};

static inline struct probe_layout probe_layout_of(const struct probe_metric *metric,
                                                  const struct nauha_tensor *tensor) {
    const uint32_t last = tensor->ndim > 0 ? tensor->ndim - 1 : 0;
    struct probe_layout layout = {1, 1, 1};
    for (uint32_t d = 0; d < tensor->ndim; d++) {
        bool is_neuron = d >= 1, is_outer = d == 0;
        if (metric->neurons == PROBE_CHANNELS) {
            is_neuron = d == 1;
        } else if (metric->neurons == PROBE_LAST && last > 0) {
            is_neuron = d == last;
            is_outer = d < last;
        }
        size_t *part = is_neuron ? &layout.neurons : is_outer ? &layout.outer : &layout.inner;
        *part *= (size_t)tensor->shape[d];
    }
    return layout;
}

static inline enum nauha_status probe_reserve(const struct probe_metric *metric,
                                              struct probe *probe, size_t rows, size_t columns,
                                              struct nauha_error *err) {
    size_t all = 0, need = 0, bytes = 0;
    if (__builtin_add_overflow(probe->rows, rows, &all) || all > INT_MAX || columns > INT_MAX ||
        __builtin_mul_overflow(all, columns, &need) ||
        __builtin_mul_overflow(need, 2 * sizeof(double), &bytes))
        return metric->host->fail(err, NAUHA_LIMIT,
                                  "a probe of more than %zu data points of %zu neurons is too "
                                  "large for LAPACK",
                                  probe->rows, columns);
    if (!NAUHA_GROW(probe->x, probe->capacity, need))
        return metric->host->fail(err, NAUHA_NOMEM,
                                  "no memory for a probe of %zu data points of %zu neurons", all,
                                  columns);
    return NAUHA_OK;
}

#define PROBE_BLOCK 1024u

static inline void probe_copy(const struct probe_metric *metric, struct probe *probe,
                              const struct nauha_tensor *tensor,
                              const struct probe_layout *layout) {
    const size_t inner = layout->inner, width = layout->neurons;
    double block[PROBE_BLOCK];
    for (size_t outer = 0; outer < layout->outer; outer++) {
        double *points = probe->x + (probe->rows + outer * inner) * width;
        const size_t start = outer * width * inner, n = width * inner;
        for (size_t first = 0; first < n; first += PROBE_BLOCK) {
            const size_t size = n - first < PROBE_BLOCK ? n - first : PROBE_BLOCK;
            metric->host->to_f64(tensor, start + first, size, block);
            for (size_t i = 0; i < size; i++) {
                const size_t neuron = (first + i) / inner, point = (first + i) % inner;
                points[point * width + neuron] = block[i];
            }
        }
    }
}

static inline enum nauha_status probe_add(const struct probe_metric *metric, struct probe *probe,
                                          struct nauha_message *message, struct nauha_error *err) {
    const struct nauha_stats *stats = NULL;
    struct nauha_tensor tensor;
    enum nauha_status status = metric->host->stats_of(message, NAUHA_STATISTICS_RANGE, &stats, err);
    if (status == NAUHA_OK)
        status = metric->host->tensor(message, &tensor, err);
    if (status != NAUHA_OK)
        return status;
    if (!probe->is_open) {
        probe->is_open = true;
        probe->broken = false;
        probe->rows = probe->columns = 0;
        probe->stamps = *metric->host->info(message);
        probe->stamps.call = 0;
    }
    const struct probe_layout layout = probe_layout_of(metric, &tensor);
    const size_t points = layout.outer * layout.inner;
    if (stats->count == 0)
        return NAUHA_OK;
    if (probe->rows > 0 && probe->columns != layout.neurons)
        probe->broken = true;
    if (stats->nans > 0 || stats->infs > 0)
        probe->broken = true;
    if (probe->broken)
        return NAUHA_OK;
    status = probe_reserve(metric, probe, points, layout.neurons, err);
    if (status != NAUHA_OK)
        return status;
    probe_copy(metric, probe, &tensor, &layout);
    probe->rows += points;
    probe->columns = layout.neurons;
    return NAUHA_OK;
}

/* ---- a probe is complete ---- */

/* Centres the columns and scales x to magnitudes up to 1, so that the comparison does not depend on
 * the scale. The first row is subtracted before the mean, so that constant columns become exactly
 * 0. */
static inline void probe_centre(double *x, size_t rows, size_t columns, double *row) {
    double most = 0;
    int exponent = 0;
    for (size_t i = 0; i < rows * columns; i++)
        most = fabs(x[i]) > most ? fabs(x[i]) : most;
    frexp(most, &exponent);
    for (size_t i = 0; i < rows * columns; i++)
        x[i] = ldexp(x[i], -exponent - 2);
    memcpy(row, x, columns * sizeof *row);
    for (size_t i = 0; i < rows * columns; i++)
        x[i] -= row[i % columns];
    memset(row, 0, columns * sizeof *row);
    for (size_t i = 0; i < rows * columns; i++)
        row[i % columns] += x[i];
    for (size_t i = 0; i < rows * columns; i++)
        x[i] -= row[i % columns] / (double)rows;
}

static inline enum nauha_status probe_make_view(const struct probe_metric *metric,
                                                struct probe *probe, struct probe_view *view) {
    double *x = probe->x;
    *view = (struct probe_view){0};
    if (probe->broken || probe->rows == 0)
        return NAUHA_OK;
    double *row = malloc(probe->columns * sizeof *row);
    if (!row)
        return NAUHA_NOMEM;
    probe->x = NULL; /* the view's now */
    probe->capacity = 0;
    probe_centre(x, probe->rows, probe->columns, row);
    free(row);
    enum nauha_status status = metric->view(metric, x, probe->rows, probe->columns, view);
    view->points = probe->rows;
    return status;
}

/* Publishes the comparison, and keeps the new view if the next probe is compared with it. */
static inline enum nauha_status probe_close(const struct probe_metric *metric, struct probe *probe,
                                            struct nauha_error *err) {
    const struct nauha_host *host = metric->host;
    struct probe_view view;
    double value = (double)NAN;
    if (!probe->is_open)
        return NAUHA_OK;
    probe->is_open = false;
    enum nauha_status status = probe_make_view(metric, probe, &view);
    const bool fits =
        view.points == probe->view.points && view.columns > 0 && probe->view.columns > 0;
    if (status == NAUHA_OK && probe->has_view && fits)
        status = metric->compare(metric, &probe->view, &view, &value);
    const bool publishes = probe->has_view;
    if (status != NAUHA_OK || (metric->to_first && probe->has_view)) {
        free(view.x);
    } else {
        free(probe->view.x);
        probe->view = view;
        probe->has_view = true;
    }
    if (status != NAUHA_OK)
        return host->fail(err, status, "no comparison of %zu data points of %zu neurons: %s",
                          probe->rows, probe->columns,
                          status == NAUHA_NOMEM ? "out of memory" : "LAPACK did not converge");
    return publishes ? host->publish_scalar(host, metric->topic, &probe->stamps, value, err)
                     : NAUHA_OK;
}

/* ---- the metric ---- */

static inline enum nauha_status probe_find(struct probe_metric *metric,
                                           const struct nauha_message_info *info,
                                           struct probe **found, struct nauha_error *err) {
    for (size_t i = 0; i < metric->count; i++) {
        struct probe *probe = &metric->probes[i];
        if (probe->module == info->module && probe->slot == info->slot &&
            probe->rank == info->rank) {
            *found = probe;
            return NAUHA_OK;
        }
    }
    if (!NAUHA_GROW(metric->probes, metric->capacity, metric->count + 1))
        return NAUHA_HOST_NOMEM(metric->host, err);
    *found = &metric->probes[metric->count++];
    **found = (struct probe){.rank = info->rank, .module = info->module, .slot = info->slot};
    return NAUHA_OK;
}

/* The callbacks. */
static inline enum nauha_status probe_metric_compute(void *self, struct nauha_bundle *bundle,
                                                     struct nauha_error *err) {
    struct probe_metric *metric = self;
    struct nauha_message *message = metric->host->bundle_message(bundle, 0);
    const struct nauha_message_info *info = metric->host->info(message);
    struct probe *probe = NULL;
    enum nauha_status status = probe_find(metric, info, &probe, err);
    if (status == NAUHA_OK && probe->is_open && probe->stamps.global_step != info->global_step)
        status = probe_close(metric, probe, err);
    return status == NAUHA_OK ? probe_add(metric, probe, message, err) : status;
}

static inline enum nauha_status probe_metric_finish(void *self, struct nauha_error *err) {
    struct probe_metric *metric = self;
    enum nauha_status status = NAUHA_OK;
    for (size_t i = 0; i < metric->count && status == NAUHA_OK; i++)
        status = probe_close(metric, &metric->probes[i], err);
    return status;
}

static inline enum nauha_status probe_metric_step_finished(void *self, uint64_t global_step,
                                                           struct nauha_error *err) {
    (void)global_step;
    return probe_metric_finish(self, err);
}

#endif
