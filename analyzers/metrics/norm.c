/* SPDX-License-Identifier: MIT */
/* The p-norm of all elements, as one vector. */
#include <math.h>

#include "analyzers/support/kinds.h"
#include "analyzers/support/scaled.h"

struct norm {
    const struct nauha_host *host;
    double order;
    struct kind_topics topics;
};

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    struct norm *norm = calloc(1, sizeof *norm);
    if (!norm)
        return NAUHA_HOST_NOMEM(host, err);
    norm->host = host;
    norm->order = config->values[0].real + 0.0; /* -0 becomes 0 */
    char suffix[48], note[48];
    snprintf(suffix, sizeof suffix, "_norm%g", norm->order);
    snprintf(note, sizeof note, " (p = %g)", norm->order);
    const struct kind_topics_plan plan = {.suffix = suffix,
                                          .scope = NAUHA_SCOPE_MODULE,
                                          .form = NAUHA_FORM_SCALAR,
                                          .title = "Norm",
                                          .note = note,
                                          .ylabel = "norm",
                                          .log_y = true};
    enum nauha_status status = kind_topics_register(&norm->topics, host, config, &plan, err);
    if (status != NAUHA_OK) {
        free(norm);
        return status;
    }
    *self = norm;
    return NAUHA_OK;
}

/* The statistics that norm_of_stats needs for an order; 0: it cannot compute this order. */
static unsigned statistics_of(double order) {
    if (order == 0)
        return NAUHA_STATISTICS_ZEROS;
    if (order == 1)
        return NAUHA_STATISTICS_SUM_ABS;
    if (order == 2)
        return NAUHA_STATISTICS_SUM_SQUARES;
    return isinf(order) ? NAUHA_STATISTICS_RANGE : 0;
}

/* A NaN is not zero, and the largest element of a tensor that holds one is NaN. */
static double norm_of_stats(const struct nauha_stats *stats, double order) {
    if (order == 0)
        return (double)(stats->count - stats->zeros);
    if (order == 1)
        return stats->sum_abs;
    if (order == 2)
        return sqrt(stats->sum_squares);
    if (stats->nans > 0)
        return (double)NAN;
    return stats->count > 0 ? stats->abs_max : 0;
}

struct powers {
    double order, largest;
    struct block_sum sum;
};

static void add_powers(void *context, const double *x, size_t n, uint64_t first) {
    (void)first;
    struct powers *powers = context;
    double block[BLOCK];
    for (size_t i = 0; i < n; i++)
        block[i] = pow(fabs(x[i]) / powers->largest, powers->order);
    block_sum_add(&powers->sum, block, n);
}

/* The inverse of the order is rounded, which matters the more the larger the logarithm of the sum
 * is; hence long double. */
static double root(double sum, double order) {
    return (double)powl(sum, 1 / (long double)order);
}

/* The norm of any other order. If powers over- or underflow, the elements are divided by the
 * largest one first. */
static enum nauha_status norm_of_powers(const struct nauha_host *host,
                                        struct nauha_message *message, double order, double *value,
                                        struct nauha_error *err) {
    const struct nauha_stats *range = NULL;
    double sum = 0;
    enum nauha_status status = host->sum_powers_of(message, order, &sum, err);
    *value = root(sum, order);
    if (status != NAUHA_OK || !scaled_is_lost(sum))
        return status;
    status = host->stats_of(message, NAUHA_STATISTICS_RANGE, &range, err);
    if (status != NAUHA_OK || range->nans + range->infs > 0 || !(range->abs_max > 0))
        return status;
    struct powers powers = {.order = order, .largest = range->abs_max};
    status = for_each_block(host, message, add_powers, &powers, err);
    *value = range->abs_max * root(block_sum_total(&powers.sum), order);
    return status;
}

/* The norm of an order for which statistics_of returns statistics. */
static enum nauha_status norm_of_statistics(const struct nauha_host *host,
                                            struct nauha_message *message, double order,
                                            double *value, struct nauha_error *err) {
    struct scaled scaled;
    enum nauha_status status = scaled_stats(host, message, statistics_of(order), &scaled, err);
    if (status == NAUHA_OK)
        *value = ldexp(norm_of_stats(&scaled.stats, order), scaled.exponent);
    return status;
}

static enum nauha_status compute(void *self, struct nauha_bundle *bundle, struct nauha_error *err) {
    struct norm *norm = self;
    const struct nauha_host *host = norm->host;
    struct nauha_message *message = host->bundle_message(bundle, 0);
    const struct nauha_message_info *info = host->info(message);
    const double order = norm->order;
    double value = 0;
    enum nauha_status status = statistics_of(order)
                                   ? norm_of_statistics(host, message, order, &value, err)
                                   : norm_of_powers(host, message, order, &value, err);
    if (status != NAUHA_OK)
        return status;
    const size_t i = kind_topics_find(&norm->topics, info);
    return host->publish_scalar(host, norm->topics.rows[i].topic, info, value, err);
}

static const struct nauha_analyzer_parameter parameters[] = {
    {"order", NAUHA_PARAMETER_REAL, "2", 0, (double)INFINITY,
     "p of the norm: 0 counts the elements that are not 0, inf takes the largest magnitude"},
};

NAUHA_ANALYZER(norm) = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "norm",
    .summary = "p-norm of all elements",
    .formula = "sum(|x|^p)^(1/p); for p = 0, count(x != 0); for p = inf, max(|x|)",
    .flags = NAUHA_ANALYZER_PER_MODULE | NAUHA_ANALYZER_PER_KIND | NAUHA_ANALYZER_STATISTICS,
    .min_kinds = 1,
    .max_kinds = KINDS_MAX,
    .parameters = parameters,
    .parameter_count = sizeof parameters / sizeof *parameters,
    .create = create,
    .compute = compute,
    .destroy = free,
};
