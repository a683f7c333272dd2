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

#define BLOCK NAUHA__STATS_BLOCK
#define LANES 16u /* independent sums of powers */

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

/* The first n elements of a block: floats if all elements of the type are floats, too. */
struct block {
    const nauha__loose_float *floats;
    const nauha__loose_double *doubles; /* if floats is NULL */
    size_t n;
};

static void sum_powers(const struct block *block, bool moments, struct nauha__block_sums *sums) {
    if (block->floats)
        (moments ? nauha__powers_f32 : nauha__sums_f32)(block->floats, block->n, 0, sums);
    else
        (moments ? nauha__powers_f64 : nauha__sums_f64)(block->doubles, block->n, 0, sums);
}

static void sum_apart(const struct block *block, double from, struct nauha__block_sums *sums) {
    if (block->floats)
        nauha__apart_f32(block->floats, block->n, from, sums);
    else
        nauha__apart_f64(block->doubles, block->n, from, sums);
}

/* Sums of differences from the mean, from those of differences from `from`, by the binomial
 * theorem. */
static void center(const struct nauha__block_sums *sums, double from,
                   struct nauha__partial *partial) {
    const double rest = sums->first / partial->count, square = rest * rest;
    partial->shift = from;
    partial->rest = sums->first;
    partial->deviations = sums->second - sums->first * rest;
    if (partial->deviations < 0)
        partial->deviations = 0;
    partial->third = sums->third - 3 * rest * sums->second + 2 * square * sums->first;
    partial->fourth = sums->fourth - 4 * rest * sums->third + 6 * square * sums->second -
                      3 * square * rest * sums->first;
}

/* Whether differences from 0 give those from the mean: it is no more than a standard deviation
 * away, so that no more than a bit cancels. */
static bool is_centered(const struct nauha__partial *partial) {
    return partial->rest * partial->rest <= partial->deviations * partial->count;
}

static struct nauha__partial sum_up(unsigned which, const struct block *block) {
    const bool moments = (which & NAUHA_STATISTICS_MOMENTS) != 0;
    struct nauha__block_sums sums;
    struct nauha__partial partial = {.count = (double)block->n};
    sum_powers(block, moments, &sums);
    partial.sum = sums.first;
    partial.sum_abs = sums.sum_abs;
    partial.sum_squares = sums.second;
    if (!(which & NAUHA_STATISTICS_DEVIATIONS))
        return partial;
    center(&sums, 0, &partial);
    if (is_centered(&partial))
        return partial;
    const double mean = partial.sum / partial.count;
    sum_apart(block, mean, &sums);
    center(&sums, mean, &partial);
    return partial;
}

/* first: the number of the first element of the block. */
static void count_special(const nauha__loose_double *x, size_t n, uint64_t first,
                          struct nauha_stats *stats) {
    for (size_t i = 0; i < n; i++) {
        stats->nans += (uint64_t)(isnan(x[i]) != 0);
        stats->infs += (uint64_t)(isinf(x[i]) != 0);
        if (stats->first_nonfinite == UINT64_MAX && !isfinite(x[i]))
            stats->first_nonfinite = first + i;
    }
}

static void add_range(const struct block *block, uint64_t first, struct nauha_stats *stats) {
    struct nauha__block_range range = {.finite = false};
    double doubles[BLOCK];
    const nauha__loose_double *x = block->doubles;
    if (block->floats)
        nauha__range_f32(block->floats, block->n, &range);
    if (!range.finite && block->floats) {
        for (size_t i = 0; i < block->n; i++)
            doubles[i] = (double)block->floats[i];
        x = doubles;
    }
    if (!range.finite)
        nauha__range_f64(x, block->n, &range);
    if (!range.finite)
        count_special(x, block->n, first, stats);
    stats->zeros += range.zeros;
    stats->min = range.low < stats->min ? range.low : stats->min;
    stats->max = range.high > stats->max ? range.high : stats->max;
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

/* The statistics that are found without sums. */
#define WITHOUT_SUMS ((unsigned)(NAUHA_STATISTICS_RANGE | NAUHA_STATISTICS_ZEROS))

/* Combines results of equal numbers of blocks, as carries in a binary counter do. */
static void add_partial(struct nauha__pass *pass, struct nauha__partial partial) {
    for (size_t carry = ++pass->blocks; !(carry & 1); carry >>= 1)
        partial = combine(pass->which, &pass->levels[--pass->depth], &partial);
    pass->levels[pass->depth++] = partial;
}

static void add_block(struct nauha__pass *pass, const struct block *block) {
    struct nauha__partial partial = {.count = (double)block->n};
    if (pass->which & WITHOUT_SUMS)
        add_range(block, pass->stats.count, &pass->stats);
    if (pass->which & ~WITHOUT_SUMS)
        partial = sum_up(pass->which, block);
    add_partial(pass, partial);
    pass->stats.count += block->n;
}

void nauha__pass_add(struct nauha__pass *pass, const struct nauha_tensor *tensor) {
    const size_t count = element_count(tensor), size = nauha_dtype_size(tensor->dtype);
    const bool wide = tensor->dtype == NAUHA_DTYPE_F32 || tensor->dtype == NAUHA_DTYPE_F64;
    union {
        float floats[BLOCK];
        double doubles[BLOCK];
    } room;
    for (size_t first = 0; first < count; first += BLOCK) {
        const void *at = (const unsigned char *)tensor->data + first * size;
        struct block block = {.n = count - first < BLOCK ? count - first : BLOCK};
        if (tensor->dtype == NAUHA_DTYPE_F32 || nauha__is_small(tensor->dtype))
            block.floats = wide ? at : room.floats;
        else
            block.doubles = wide ? at : room.doubles;
        if (!wide && block.floats)
            nauha__small_to_float(tensor->dtype, at, block.n, room.floats);
        else if (!wide)
            nauha_tensor_to_f64(tensor, first, block.n, room.doubles);
        add_block(pass, &block);
    }
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

static double sum_lanes(const double *lanes) {
    double eight[LANES / 2], four[LANES / 4], two[LANES / 8];
    for (size_t i = 0; i < LANES / 2; i++)
        eight[i] = lanes[i] + lanes[i + LANES / 2];
    for (size_t i = 0; i < LANES / 4; i++)
        four[i] = eight[i] + eight[i + LANES / 4];
    for (size_t i = 0; i < LANES / 8; i++)
        two[i] = four[i] + four[i + LANES / 8];
    return two[0] + two[1];
}

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
