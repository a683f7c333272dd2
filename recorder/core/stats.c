/* SPDX-License-Identifier: MIT */
/* Statistics in one pass: of blocks that fit the first-level cache, combined pairwise.
 *
 * Threads: any thread.
 */
#include "nauha/internal/statistics.h"

#include <math.h>

#include "nauha/internal/convert.h"
#include "nauha/internal/wide.h"
#include "recorder/core/stats_block.h"

/* A block is summed in LANES independent sums of 16 elements each, as NumPy's pairwise summation
 * does at its lowest level (its blocks of 128 have 8), so the error is no larger. */
#define BLOCK NAUHA__STATS_BLOCK
#define LANES 16u
#define RANGE_LANES 32u

#define WIDE NAUHA__WIDE

static size_t element_count(const struct nauha_tensor *tensor) {
    size_t count = 1;
    for (uint32_t i = 0; i < tensor->ndim; i++)
        count *= (size_t)tensor->shape[i];
    return count;
}

/* Chan, Golub and LeVeque (1979), "Updating Formulae and a Pairwise Algorithm for Computing
 * Sample Variances", equation 2.1 in means. */
static void combine_deviations(const struct nauha__partial *a, const struct nauha__partial *b,
                               struct nauha__partial *both) {
    const double shift = b->shift - a->shift;
    const double apart = shift + (b->rest / b->count - a->rest / a->count);
    const double weight = a->count * b->count / both->count;
    both->deviations = a->deviations + b->deviations + apart * apart * weight;
    both->shift = a->shift;
    both->rest = a->rest + (b->rest + b->count * shift);
}

/* Pébay (2008), "Formulas for Robust, One-Pass Parallel Computation of Covariances and
 * Arbitrary-Order Statistical Moments", equations 2.1 and 2.2; `both` has its count already. */
static void combine_moments(const struct nauha__partial *a, const struct nauha__partial *b,
                            struct nauha__partial *both) {
    const double n = both->count, of_a = a->count / n, of_b = b->count / n;
    const double apart = b->shift - a->shift + (b->rest / b->count - a->rest / a->count);
    const double square = apart * apart, weight = a->count * of_b;
    both->third = a->third + b->third + square * apart * weight * (of_a - of_b) +
                  3 * apart * (of_a * b->deviations - of_b * a->deviations);
    both->fourth = a->fourth + b->fourth +
                   square * square * weight * (of_a * of_a - of_a * of_b + of_b * of_b) +
                   6 * square * (of_a * of_a * b->deviations + of_b * of_b * a->deviations) +
                   4 * apart * (of_a * b->third - of_b * a->third);
}

static struct nauha__partial combine(unsigned which, const struct nauha__partial *a,
                                     const struct nauha__partial *b) {
    struct nauha__partial both = {
        .count = a->count + b->count,
        .sum = a->sum + b->sum,
        .sum_abs = a->sum_abs + b->sum_abs,
        .sum_squares = a->sum_squares + b->sum_squares,
    };
    if (which & NAUHA_STATISTICS_DEVIATIONS)
        combine_deviations(a, b, &both);
    if (which & NAUHA_STATISTICS_MOMENTS)
        combine_moments(a, b, &both);
    return both;
}

/* ---- blocks ---- */

static inline double sum_lanes(const double *lanes) {
    double eight[LANES / 2], four[LANES / 4], two[LANES / 8];
    for (size_t i = 0; i < LANES / 2; i++)
        eight[i] = lanes[i] + lanes[i + LANES / 2];
    for (size_t i = 0; i < LANES / 4; i++)
        four[i] = eight[i] + eight[i + LANES / 4];
    for (size_t i = 0; i < LANES / 8; i++)
        two[i] = four[i] + four[i + LANES / 8];
    return two[0] + two[1];
}

/* Of the first n elements. */
WIDE static void two_powers(const double *restrict x, size_t n, double mean,
                            struct nauha__block_powers *restrict sums) {
    double first[LANES] = {0}, second[LANES] = {0};
    const size_t whole = n - n % LANES;
    for (size_t i = 0; i < whole; i += LANES) {
        for (size_t j = 0; j < LANES; j++)
            second[j] += (x[i + j] - mean) * (x[i + j] - mean);
    }
    for (size_t i = 0; i < whole; i += LANES) {
        for (size_t j = 0; j < LANES; j++)
            first[j] += x[i + j] - mean;
    }
    for (size_t j = 0; whole + j < n; j++) {
        second[j] += (x[whole + j] - mean) * (x[whole + j] - mean);
        first[j] += x[whole + j] - mean;
    }
    sums->first = sum_lanes(first);
    sums->second = sum_lanes(second);
}

WIDE static void higher_powers(const double *restrict x, size_t n, double mean,
                               struct nauha__block_powers *restrict sums) {
    double third[LANES] = {0}, fourth[LANES] = {0};
    const size_t whole = n - n % LANES;
    for (size_t i = 0; i < whole; i += LANES) {
        for (size_t j = 0; j < LANES; j++) {
            const double apart = x[i + j] - mean, square = apart * apart;
            third[j] += square * apart;
            fourth[j] += square * square;
        }
    }
    for (size_t j = 0; whole + j < n; j++) {
        const double apart = x[whole + j] - mean, square = apart * apart;
        third[j] += square * apart;
        fourth[j] += square * square;
    }
    sums->third = sum_lanes(third);
    sums->fourth = sum_lanes(fourth);
}

/* The corrected two-pass algorithm: subtracts the rounding error of the mean, from which the
 * differences are, by the binomial theorem. */
static void correct(const struct nauha__block_powers *powers, double mean,
                    struct nauha__partial *partial) {
    const double rest = powers->first / partial->count, square = rest * rest;
    partial->shift = mean;
    partial->rest = powers->first;
    partial->deviations = powers->second - powers->first * rest;
    if (partial->deviations < 0)
        partial->deviations = 0;
    partial->third = powers->third - 3 * rest * powers->second + 2 * square * powers->first;
    partial->fourth = powers->fourth - 4 * rest * powers->third + 6 * square * powers->second -
                      3 * square * rest * powers->first;
}

static void deviations_block(const double *x, size_t n, unsigned which,
                             struct nauha__partial *partial) {
    struct nauha__block_powers powers = {0};
    const double mean = partial->sum / partial->count;
    if (n == BLOCK)
        nauha__block_powers(x, mean, &powers);
    else
        two_powers(x, n, mean, &powers);
    if (n < BLOCK && (which & NAUHA_STATISTICS_MOMENTS))
        higher_powers(x, n, mean, &powers);
    correct(&powers, mean, partial);
}

/* first: the number of the first element of the block. */
static void count_special(const double *x, size_t n, uint64_t first, struct nauha_stats *stats) {
    for (size_t i = 0; i < n; i++) {
        stats->nans += (uint64_t)(isnan(x[i]) != 0);
        stats->infs += (uint64_t)(isinf(x[i]) != 0);
        if (stats->first_nonfinite == UINT64_MAX && !isfinite(x[i]))
            stats->first_nonfinite = first + i;
    }
}

/* Extremes of the first n elements. The block is filled up with NaN, which compares false and so
 * leaves the lanes alone. Lanes in memory: of comparisons kept in registers compilers make no
 * vectors. */
WIDE static void range_block(const double *restrict x, size_t n, uint64_t first,
                             struct nauha_stats *restrict stats) {
    double low[RANGE_LANES], high[RANGE_LANES];
    uint64_t numbers = 0;
    for (size_t j = 0; j < RANGE_LANES; j++) {
        low[j] = (double)INFINITY;
        high[j] = -(double)INFINITY;
    }
    for (size_t i = 0; i < BLOCK; i += RANGE_LANES) {
        for (size_t j = 0; j < RANGE_LANES; j++)
            low[j] = x[i + j] < low[j] ? x[i + j] : low[j];
        for (size_t j = 0; j < RANGE_LANES; j++)
            high[j] = x[i + j] > high[j] ? x[i + j] : high[j];
    }
    for (size_t i = 0; i < BLOCK; i++)
        numbers += x[i] == x[i];
    double block_low = low[0], block_high = high[0];
    for (size_t j = 1; j < RANGE_LANES; j++) {
        block_low = low[j] < block_low ? low[j] : block_low;
        block_high = high[j] > block_high ? high[j] : block_high;
    }
    stats->min = block_low < stats->min ? block_low : stats->min;
    stats->max = block_high > stats->max ? block_high : stats->max;
    if (numbers < n || isinf(block_low) || isinf(block_high))
        count_special(x, n, first, stats);
}

/* The same of a whole block of floats, with its zeros. */
static void range_floats(const nauha__loose_float *x, uint64_t first, struct nauha_stats *stats) {
    struct nauha__block_range range;
    nauha__block_range_f32(x, &range);
    stats->zeros += range.zeros;
    if (range.finite) {
        stats->min = (double)range.low < stats->min ? (double)range.low : stats->min;
        stats->max = (double)range.high > stats->max ? (double)range.high : stats->max;
        return;
    }
    double block[BLOCK];
    for (size_t i = 0; i < BLOCK; i++)
        block[i] = (double)x[i];
    range_block(block, BLOCK, first, stats);
}

WIDE static uint64_t count_zeros(const double *restrict x) {
    uint64_t zeros = 0;
    for (size_t i = 0; i < BLOCK; i++)
        zeros += x[i] == 0;
    return zeros;
}

/* ---- passes ---- */

void nauha__pass_begin(struct nauha__pass *pass, unsigned which) {
    if (which & NAUHA_STATISTICS_MOMENTS)
        which |= NAUHA_STATISTICS_DEVIATIONS;
    pass->which = which & NAUHA_STATISTICS_DEVIATIONS ? which | NAUHA_STATISTICS_SUM : which;
    pass->stats = (struct nauha_stats){
        .min = (double)INFINITY, .max = -(double)INFINITY, .first_nonfinite = UINT64_MAX};
    pass->blocks = 0;
    pass->depth = 0;
}

/* n elements from `first` on as doubles, filled up with NaN. */
static void fill_block(const struct nauha_tensor *tensor, size_t first, size_t n, double *block) {
    nauha_tensor_to_f64(tensor, first, n, block);
    for (size_t i = n; i < BLOCK; i++)
        block[i] = (double)NAN;
}

/* The statistics that are found without sums. */
#define WITHOUT_SUMS ((unsigned)(NAUHA_STATISTICS_RANGE | NAUHA_STATISTICS_ZEROS))

/* Sums of the first n elements of a block, which is filled up with zeros. Those that are computed
 * together cost little more than one. */
static struct nauha__partial sum_up(unsigned which, double *block, size_t n) {
    struct nauha__block_sums sums;
    if (!(which & ~WITHOUT_SUMS))
        return (struct nauha__partial){.count = (double)n};
    for (size_t i = n; i < BLOCK; i++)
        block[i] = 0;
    nauha__block_sums(block, &sums);
    struct nauha__partial partial = {.count = (double)n,
                                     .sum = sums.sum,
                                     .sum_abs = sums.sum_abs,
                                     .sum_squares = sums.sum_squares};
    if (which & NAUHA_STATISTICS_DEVIATIONS)
        deviations_block(block, n, which, &partial);
    return partial;
}

/* first: the number of the first element of the block in its piece. */
static struct nauha__partial reduce_block(struct nauha__pass *pass, double *block, size_t n,
                                          size_t first) {
    if (pass->which & NAUHA_STATISTICS_RANGE)
        range_block(block, n, pass->stats.count + first, &pass->stats);
    if (pass->which & NAUHA_STATISTICS_ZEROS)
        pass->stats.zeros += count_zeros(block);
    return sum_up(pass->which, block, n);
}

static struct nauha__partial reduce_floats(struct nauha__pass *pass, const nauha__loose_float *x,
                                           double *block, size_t first) {
    if (pass->which & WITHOUT_SUMS)
        range_floats(x, pass->stats.count + first, &pass->stats);
    if (pass->which & ~WITHOUT_SUMS)
        nauha__block_widen_f32(x, block);
    return sum_up(pass->which, block, BLOCK);
}

/* Combines results of equal numbers of blocks, as carries in a binary counter do. */
static void add_partial(struct nauha__pass *pass, struct nauha__partial partial) {
    for (size_t carry = ++pass->blocks; !(carry & 1); carry >>= 1)
        partial = combine(pass->which, &pass->levels[--pass->depth], &partial);
    pass->levels[pass->depth++] = partial;
}

void nauha__pass_add(struct nauha__pass *pass, const struct nauha_tensor *tensor) {
    const size_t count = element_count(tensor), size = nauha_dtype_size(tensor->dtype);
    const bool is_small = tensor->dtype == NAUHA_DTYPE_F16 || tensor->dtype == NAUHA_DTYPE_BF16;
    float floats[BLOCK];
    double block[BLOCK];
    for (size_t first = 0; first < count; first += BLOCK) {
        const size_t n = count - first < BLOCK ? count - first : BLOCK;
        const unsigned char *at = (const unsigned char *)tensor->data + first * size;
        if (n == BLOCK && tensor->dtype == NAUHA_DTYPE_F32) {
            add_partial(pass, reduce_floats(pass, (const nauha__loose_float *)(const void *)at,
                                            block, first));
        } else if (n == BLOCK && is_small) {
            nauha__small_to_float(tensor->dtype, at, n, floats);
            add_partial(pass, reduce_floats(pass, floats, block, first));
        } else {
            fill_block(tensor, first, n, block);
            add_partial(pass, reduce_block(pass, block, n, first));
        }
    }
    pass->stats.count += count;
}

void nauha__stats_derive(struct nauha_stats *stats) {
    stats->mean = stats->count > 0 ? stats->sum / (double)stats->count : (double)NAN;
    if (stats->nans == stats->count)
        stats->min = stats->max = (double)NAN;
    stats->abs_max = fabs(stats->min) > fabs(stats->max) ? fabs(stats->min) : fabs(stats->max);
}

void nauha__pass_end(struct nauha__pass *pass, struct nauha_stats *stats) {
    struct nauha__partial total = {.count = 0};
    if (pass->depth > 0) {
        total = pass->levels[--pass->depth];
        while (pass->depth > 0)
            total = combine(pass->which, &pass->levels[--pass->depth], &total);
    }
    *stats = pass->stats;
    stats->sum = total.sum;
    stats->sum_abs = total.sum_abs;
    stats->sum_squares = total.sum_squares;
    stats->deviations = total.deviations;
    stats->third = total.third;
    stats->fourth = total.fourth;
    nauha__stats_derive(stats);
}

void nauha_stats_compute(const struct nauha_tensor *tensor, struct nauha_stats *stats) {
    struct nauha__pass pass;
    nauha__pass_begin(&pass, NAUHA_STATISTICS_ALL);
    nauha__pass_add(&pass, tensor);
    nauha__pass_end(&pass, stats);
}

/* ---- powers ---- */

static double power_block(const double *x, size_t n, double p) {
    double lanes[LANES] = {0};
    if (p == 1.0) {
        for (size_t i = 0; i < n; i++)
            lanes[i % LANES] += fabs(x[i]);
    } else if (p == 2.0) {
        for (size_t i = 0; i < n; i++)
            lanes[i % LANES] += x[i] * x[i];
    } else if (p == 0.5) {
        for (size_t i = 0; i < n; i++)
            lanes[i % LANES] += sqrt(fabs(x[i]));
    } else {
        for (size_t i = 0; i < n; i++)
            lanes[i % LANES] += pow(fabs(x[i]), p);
    }
    return sum_lanes(lanes);
}

void nauha__add_powers(struct nauha__power_sum *sum, const struct nauha_tensor *tensor) {
    const size_t count = element_count(tensor);
    double block[BLOCK];
    for (size_t first = 0; first < count; first += BLOCK) {
        const size_t n = count - first < BLOCK ? count - first : BLOCK;
        nauha_tensor_to_f64(tensor, first, n, block);
        double partial = power_block(block, n, sum->p);
        for (size_t carry = ++sum->blocks; !(carry & 1); carry >>= 1)
            partial += sum->levels[--sum->depth];
        sum->levels[sum->depth++] = partial;
    }
}

double nauha__total_powers(struct nauha__power_sum *sum) {
    double total = 0;
    while (sum->depth > 0)
        total += sum->levels[--sum->depth];
    return total;
}

double nauha_stats_sum_powers(const struct nauha_tensor *tensor, double p) {
    struct nauha__power_sum sum = {.p = p};
    nauha__add_powers(&sum, tensor);
    return nauha__total_powers(&sum);
}
