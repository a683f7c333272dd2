/* SPDX-License-Identifier: MIT */
/* For metrics of the central moments of a message's elements: all but the number.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_ANALYZERS_SUPPORT_MOMENTS_H
#define NAUHA_ANALYZERS_SUPPORT_MOMENTS_H

#include "analyzers/support/kinds.h"
#include "analyzers/support/scaled.h"

/* Means of (x - mean)^k, maybe of elements times a power of two. */
struct moments {
    double mean, second, third, fourth;
};

typedef double (*moments_fn)(const struct moments *moments);

struct moments_metric {
    const struct nauha_host *host;
    moments_fn value;
    struct kind_topics topics;
};

/* The `create` of such a metric; `destroy` is free. */
static inline enum nauha_status moments_create(const struct nauha_host *host,
                                               const struct nauha_analyzer_config *config,
                                               const struct kind_topics_plan *plan,
                                               moments_fn value, void **self,
                                               struct nauha_error *err) {
    struct moments_metric *metric = calloc(1, sizeof *metric);
    if (!metric)
        return NAUHA_HOST_NOMEM(host, err);
    metric->host = host;
    metric->value = value;
    enum nauha_status status = kind_topics_register(&metric->topics, host, config, plan, err);
    if (status != NAUHA_OK) {
        free(metric);
        return status;
    }
    *self = metric;
    return NAUHA_OK;
}

struct moment_sums {
    double factor;              /* of the elements */
    double mean;                /* with that */
    struct block_sum powers[4]; /* of (x - mean)^(i + 1) */
};

static inline void moments_add_block(void *context, const double *x, size_t n, uint64_t first) {
    (void)first;
    struct moment_sums *sums = context;
    double powers[4][BLOCK];
    for (size_t i = 0; i < n; i++) {
        const double apart = x[i] * sums->factor - sums->mean, square = apart * apart;
        powers[0][i] = apart;
        powers[1][i] = square;
        powers[2][i] = square * apart;
        powers[3][i] = square * square;
    }
    for (size_t k = 0; k < 4; k++)
        block_sum_add(&sums->powers[k], powers[k], n);
}

/* The moments about the mean from those about its rounded value, by the binomial theorem. */
static inline struct moments moments_of(const struct moment_sums *sums, double n) {
    double m[4];
    for (size_t k = 0; k < 4; k++)
        m[k] = block_sum_total(&sums->powers[k]) / n;
    const double rest = m[0], square = rest * rest;
    return (struct moments){
        .mean = sums->mean,
        .second = m[1] - square,
        .third = m[2] - 3 * rest * m[1] + 2 * square * rest,
        .fourth = m[3] - 4 * rest * m[2] + 6 * square * m[1] - 3 * square * square,
    };
}

/* The fourth powers of float64 may over- or underflow, and are made again. */
static inline enum nauha_status moments_compute_sums(const struct nauha_host *host,
                                                     struct nauha_message *message,
                                                     struct moments *moments,
                                                     struct nauha_error *err) {
    struct scaled scaled;
    struct moment_sums sums;
    int exponent = 0;
    enum nauha_status status = scaled_stats(host, message, NAUHA_STATISTICS_SUM, &scaled, err);
    for (bool more = status == NAUHA_OK; more;) {
        sums = (struct moment_sums){.factor = scaled_factor(scaled.exponent),
                                    .mean = scaled.stats.mean};
        status = for_each_block(host, message, moments_add_block, &sums, err);
        more = status == NAUHA_OK && scaled.exponent == 0 &&
               scaled_is_lost(block_sum_total(&sums.powers[3]));
        if (more)
            status = scaled_exponent(host, message, &exponent, err);
        more = more && exponent != 0;
        if (more)
            status = scaled_again(host, message, exponent, &scaled, err);
        more = more && status == NAUHA_OK;
    }
    if (status == NAUHA_OK)
        *moments = moments_of(&sums, (double)scaled.stats.count);
    return status;
}

/* Its `compute`. NaN for a tensor that is constant to the last digits of its mean, by the bound
 * that scipy.stats has: what is left of its moments is rounding. */
static inline enum nauha_status moments_compute(void *self, struct nauha_bundle *bundle,
                                                struct nauha_error *err) {
    struct moments_metric *metric = self;
    const struct nauha_host *host = metric->host;
    struct nauha_message *message = host->bundle_message(bundle, 0);
    const struct nauha_message_info *info = host->info(message);
    struct moments moments;
    enum nauha_status status = moments_compute_sums(host, message, &moments, err);
    if (status != NAUHA_OK)
        return status;
    const double rounding = 1e-15 * moments.mean;
    const bool constant = !(moments.second > rounding * rounding);
    const size_t i = kind_topics_find(&metric->topics, info);
    return host->publish_scalar(host, metric->topics.rows[i].topic, info,
                                constant ? (double)NAN : metric->value(&moments), err);
}

#endif
