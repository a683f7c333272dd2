/* SPDX-License-Identifier: MIT */
/* For metrics of sums and squares: statistics in which squares neither overflow nor vanish. Only
 * float64 has elements whose squares do not fit a double. If a result shows that it has met such
 * elements, it is computed again from the elements times a power of two, which rounds nothing. All
 * other tensors are read once.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_ANALYZERS_SUPPORT_SCALED_H
#define NAUHA_ANALYZERS_SUPPORT_SCALED_H

#include <math.h>

#include "analyzers/support/blocks.h"

/* Statistics of the elements times 2^-exponent: multiply a sum by 2^exponent, a sum of squares by
 * 2^(2 exponent). */
struct scaled {
    struct nauha_stats stats;
    int exponent;
};

/* 2^-exponent. If the largest element is smaller than 2^-1000, its scaled square is still at least
 * 2^-148. */
static inline double scaled_factor(int exponent) {
    return ldexp(1, -exponent);
}

/* Whether a sum of squares or of fourth powers, scaled or not, may lack terms that overflowed or
 * vanished. Terms that vanish from fewer than 2^64 elements do not change a sum of 2^-900. */
static inline bool scaled_is_lost(double sum) {
    return !(sum >= 0x1p-900 && isfinite(sum));
}

/* The exponent of the largest magnitude. It is 0 if scaling gains nothing: for other element types,
 * for elements that are not finite, for zeros, and for magnitudes whose fourth powers are doubles.
 */
static inline enum nauha_status scaled_exponent(const struct nauha_host *host,
                                                struct nauha_message *message, int *exponent,
                                                struct nauha_error *err) {
    const struct nauha_stats *range = NULL;
    *exponent = 0;
    if (host->info(message)->dtype != NAUHA_DTYPE_F64)
        return NAUHA_OK;
    enum nauha_status status = host->stats_of(message, NAUHA_STATISTICS_RANGE, &range, err);
    if (status != NAUHA_OK || range->nans + range->infs > 0 || !(range->abs_max > 0))
        return status;
    const int largest = ilogb(range->abs_max);
    if (abs(largest) > 128)
        *exponent = largest > -1000 ? largest : -1000;
    return NAUHA_OK;
}

/* ---- again ---- */

struct scaled_sums {
    double factor, mean;
    struct block_sum sum, squares; /* of x, x^2; of the second pass: of x - mean */
};

static inline void scaled_add_block(void *context, const double *x, size_t n, uint64_t first) {
    (void)first;
    struct scaled_sums *sums = context;
    double scaled[BLOCK], squares[BLOCK];
    for (size_t i = 0; i < n; i++) {
        scaled[i] = x[i] * sums->factor - sums->mean;
        squares[i] = scaled[i] * scaled[i];
    }
    block_sum_add(&sums->sum, scaled, n);
    block_sum_add(&sums->squares, squares, n);
}

/* The sums of the elements times 2^-exponent, except that of magnitudes, in two passes. */
static inline enum nauha_status scaled_again(const struct nauha_host *host,
                                             struct nauha_message *message, int exponent,
                                             struct scaled *scaled, struct nauha_error *err) {
    struct scaled_sums sums = {.factor = scaled_factor(exponent)};
    const double n = (double)scaled->stats.count;
    enum nauha_status status = for_each_block(host, message, scaled_add_block, &sums, err);
    if (status != NAUHA_OK)
        return status;
    scaled->exponent = exponent;
    scaled->stats.sum = block_sum_total(&sums.sum);
    scaled->stats.sum_squares = block_sum_total(&sums.squares);
    scaled->stats.mean = scaled->stats.sum / n;
    sums = (struct scaled_sums){.factor = sums.factor, .mean = scaled->stats.mean};
    status = for_each_block(host, message, scaled_add_block, &sums, err);
    const double rest = block_sum_total(&sums.sum); /* what rounding took from the mean */
    scaled->stats.deviations = fmax(block_sum_total(&sums.squares) - rest * (rest / n), 0);
    return status;
}

/* As host->stats_of: `which` of SUM, SUM_SQUARES, DEVIATIONS and others, which are never scaled. */
static inline enum nauha_status scaled_stats(const struct nauha_host *host,
                                             struct nauha_message *message, unsigned which,
                                             struct scaled *scaled, struct nauha_error *err) {
    const struct nauha_stats *stats = NULL;
    enum nauha_status status = host->stats_of(message, which, &stats, err);
    if (status != NAUHA_OK)
        return status;
    *scaled = (struct scaled){.stats = *stats};
    const bool lost =
        ((which & NAUHA_STATISTICS_SUM) && !isfinite(stats->sum)) ||
        ((which & NAUHA_STATISTICS_SUM_SQUARES) && scaled_is_lost(stats->sum_squares)) ||
        ((which & NAUHA_STATISTICS_DEVIATIONS) && scaled_is_lost(stats->deviations));
    int exponent = 0;
    if (lost)
        status = scaled_exponent(host, message, &exponent, err);
    return status == NAUHA_OK && exponent != 0 ? scaled_again(host, message, exponent, scaled, err)
                                               : status;
}

#endif
