/* SPDX-License-Identifier: MIT */
/* Counts of the elements of each message in bins of equal width. */
#include <float.h>
#include <math.h>

#include "analyzers/support/blocks.h"
#include "analyzers/support/kinds.h"

struct histogram {
    const struct nauha_host *host;
    size_t bins;
    double low, high; /* of the given range; NaN: that of the message */
    struct kind_topics topics;
    double *edges; /* bins + 1 */
    uint64_t *counts;
};

static void destroy(void *self) {
    struct histogram *histogram = self;
    free(histogram->edges);
    free(histogram->counts);
    free(histogram);
}

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    static const struct kind_topics_plan plan = {.suffix = "_histogram",
                                                 .scope = NAUHA_SCOPE_MODULE,
                                                 .form = NAUHA_FORM_HISTOGRAM,
                                                 .title = "Histogram",
                                                 .ylabel = "value"};
    struct histogram *histogram = calloc(1, sizeof *histogram);
    if (!histogram)
        return NAUHA_HOST_NOMEM(host, err);
    histogram->host = host;
    histogram->bins = (size_t)config->values[0].integer;
    histogram->low = config->values[1].range.low;
    histogram->high = config->values[1].range.high;
    histogram->edges = calloc(histogram->bins + 1, sizeof *histogram->edges);
    histogram->counts = calloc(histogram->bins, sizeof *histogram->counts);
    enum nauha_status status =
        histogram->edges && histogram->counts
            ? kind_topics_register(&histogram->topics, host, config, &plan, err)
            : host->fail(err, NAUHA_NOMEM, "no memory for %zu bins", histogram->bins);
    if (status != NAUHA_OK) {
        destroy(histogram);
        return status;
    }
    *self = histogram;
    return NAUHA_OK;
}

/* ---- range and edges ---- */

struct finite_range {
    double low, high;
};

static void widen(void *context, const double *x, size_t n, uint64_t first) {
    (void)first;
    struct finite_range *range = context;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(x[i]))
            continue;
        range->low = x[i] < range->low ? x[i] : range->low;
        range->high = x[i] > range->high ? x[i] : range->high;
    }
}

/* Finds the smallest and the largest finite element; low > high if there is none. */
static enum nauha_status find_range(const struct nauha_host *host, struct nauha_message *message,
                                    const struct nauha_stats *stats, struct finite_range *range,
                                    struct nauha_error *err) {
    *range = (struct finite_range){stats->min, stats->max};
    if (stats->infs == 0 && stats->nans < stats->count)
        return NAUHA_OK;
    *range = (struct finite_range){(double)INFINITY, -(double)INFINITY};
    return for_each_block(host, message, widen, range, err);
}

/* Chooses the range as numpy.histogram does: [0, 1] if there are no elements, and half to each side
 * of a constant tensor. If only one end was given, the other one is that of the message. */
static void choose_range(const struct histogram *histogram, double *low, double *high) {
    const bool low_given = !isnan(histogram->low), high_given = !isnan(histogram->high);
    if (*low > *high) {
        *low = high_given ? histogram->high - 1 : 0;
        *high = low_given ? histogram->low + 1 : 1;
    }
    if (low_given)
        *low = histogram->low;
    if (high_given)
        *high = histogram->high;
    if (*low < *high)
        return;
    /* A given end stays. If the other end is not beyond it, that one is moved. */
    if (low_given)
        *high = *low + 1 > *low ? *low + 1 : nextafter(*low, (double)INFINITY);
    else if (high_given)
        *low = *high - 1 < *high ? *high - 1 : nextafter(*high, -(double)INFINITY);
    else if (*low - 0.5 < *high + 0.5) {
        *low -= 0.5;
        *high += 0.5;
    } else {
        /* If adding a half does not change the number, the neighbouring numbers are taken. */
        *low = nextafter(*low, -(double)DBL_MAX);
        *high = nextafter(*high, (double)DBL_MAX);
    }
}

/* numpy.linspace(low, high, bins + 1): multiples of the step or, if the step underflows to 0,
 * fractions of the width; the last edge is `high` itself. A width that overflows, for which NumPy
 * has no result, is never computed. */
static void make_edges(double low, double high, size_t bins, double *edges) {
    const double width = high - low, count = (double)bins, step = width / count;
    for (size_t i = 0; i < bins; i++) {
        const double position = (double)i;
        if (!isfinite(width))
            edges[i] = low * (1 - position / count) + high * (position / count);
        else if (step == 0)
            edges[i] = position / count * width + low;
        else
            edges[i] = position * step + low;
    }
    edges[bins] = high;
}

/* ---- counting ---- */

static void count_block(void *context, const double *x, size_t n, uint64_t first) {
    (void)first;
    struct histogram *histogram = context;
    const double *edges = histogram->edges;
    const size_t last = histogram->bins - 1;
    const double low = edges[0], high = edges[last + 1];
    const double bins = (double)histogram->bins;
    const double half_width = high / 2 - low / 2;
    const bool wide = !isfinite(high - low);
    for (size_t i = 0; i < n; i++) {
        if (!(x[i] >= low && x[i] <= high))
            continue;
        const double place =
            (wide ? (x[i] / 2 - low / 2) / half_width : (x[i] - low) / (high - low)) * bins;
        size_t bin = place < bins ? (size_t)place : last;
        /* Rounding may have chosen a bin beside the right one: the edges decide. */
        while (bin > 0 && x[i] < edges[bin])
            bin--;
        while (bin < last && x[i] >= edges[bin + 1])
            bin++;
        histogram->counts[bin]++;
    }
}

static enum nauha_status compute(void *self, struct nauha_bundle *bundle, struct nauha_error *err) {
    struct histogram *histogram = self;
    const struct nauha_host *host = histogram->host;
    struct nauha_message *message = host->bundle_message(bundle, 0);
    const struct nauha_message_info *info = host->info(message);
    const struct nauha_stats *stats = NULL;
    struct finite_range range;
    enum nauha_status status = host->stats_of(message, NAUHA_STATISTICS_RANGE, &stats, err);
    if (status == NAUHA_OK)
        status = find_range(host, message, stats, &range, err);
    if (status != NAUHA_OK)
        return status;
    choose_range(histogram, &range.low, &range.high);
    make_edges(range.low, range.high, histogram->bins, histogram->edges);
    memset(histogram->counts, 0, histogram->bins * sizeof *histogram->counts);
    status = for_each_block(host, message, count_block, histogram, err);
    if (status != NAUHA_OK)
        return status;
    const size_t i = kind_topics_find(&histogram->topics, info);
    return host->publish_histogram(host, histogram->topics.rows[i].topic, info, histogram->edges,
                                   histogram->counts, histogram->bins, err);
}

static const struct nauha_analyzer_parameter parameters[] = {
    {"bins", NAUHA_PARAMETER_INTEGER, "30", 1, 1000000, "number of bins"},
    {"range", NAUHA_PARAMETER_RANGE, ":", 0, 0,
     "range of the bins; an end that is missing is taken from each message"},
};

NAUHA_ANALYZER(histogram) = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "histogram",
    .summary = "counts of the elements of each message in bins of equal width",
    .formula = "numpy.histogram of the finite elements as float64: a bin includes its lower edge, "
               "the last one also its upper edge; elements outside the range are not counted",
    .flags = NAUHA_ANALYZER_PER_MODULE | NAUHA_ANALYZER_PER_KIND,
    .min_kinds = 1,
    .max_kinds = KINDS_MAX,
    .parameters = parameters,
    .parameter_count = sizeof parameters / sizeof *parameters,
    .create = create,
    .compute = compute,
    .destroy = destroy,
    .cost = 30,
};
