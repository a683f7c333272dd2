/* SPDX-License-Identifier: MIT */
/* One-pass statistics: blocks that fit the first cache, combined pairwise.
 *
 * Threads: any thread.
 */
#include "nauha/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nauha/internal/message.h"

/* A block is summed in LANES independent sums of 16 elements each, as NumPy's pairwise summation
 * does at its lowest level (its blocks of 128 have 8), so the error is no larger. */
#define BLOCK 256u
#define LANES 16u
#define RANGE_LANES 32u

/* The loops over blocks are compiled twice and chosen from when the program is loaded, where
 * that can be done. Lanes are fixed, and multiplications and additions are not fused: results do
 * not depend on the processor. */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__has_attribute) &&                       \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#if __has_attribute(target_clones)
#define WIDE __attribute__((target_clones("avx2", "default")))
#endif
#endif
#if defined(__has_feature) /* clang tells of sanitizers so */
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#undef WIDE
#endif
#endif
#ifndef WIDE
#define WIDE
#endif

/* Partials of 2^i blocks; more than 2^64 elements cannot be. */
#define LEVELS 64u

/* What blocks and runs of blocks have in common. */
struct partial {
    double count;
    double sum, sum_abs, sum_squares;
    double deviations;
    /* The mean is shift + rest / count: a sum of differences from a number close to it, which keeps
     * the digits that the mean of large numbers has no room for. */
    double shift, rest;
};

static size_t element_count(const struct nauha_tensor *tensor) {
    size_t count = 1;
    for (uint32_t i = 0; i < tensor->ndim; i++)
        count *= (size_t)tensor->shape[i];
    return count;
}

static double sum_lanes(const double *lanes) {
    double half[LANES / 2];
    for (size_t width = LANES / 2, first = 1; width > 0; width /= 2, first = 0) {
        const double *from = first ? lanes : half;
        for (size_t i = 0; i < width; i++)
            half[i] = from[i] + from[i + width];
    }
    return half[0];
}

/* Chan, Golub and LeVeque (1979), "Updating Formulae and a Pairwise Algorithm for Computing
 * Sample Variances", equation 2.1 in means. */
static struct partial combine(const struct partial *a, const struct partial *b) {
    const double count = a->count + b->count;
    const double shift = b->shift - a->shift;
    const double apart = shift + (b->rest / b->count - a->rest / a->count);
    return (struct partial){
        .count = count,
        .sum = a->sum + b->sum,
        .sum_abs = a->sum_abs + b->sum_abs,
        .sum_squares = a->sum_squares + b->sum_squares,
        .deviations = a->deviations + b->deviations + apart * apart * (a->count * b->count / count),
        .shift = a->shift,
        .rest = a->rest + (b->rest + b->count * shift),
    };
}

/* n elements of a block, n <= BLOCK; past n it is filled with zeros for the sums. */
WIDE static struct partial sum_block(const double *restrict x, size_t n) {
    double sum[LANES] = {0}, sum_abs[LANES] = {0}, sum_squares[LANES] = {0};
    for (size_t i = 0; i < BLOCK; i += LANES) {
        for (size_t j = 0; j < LANES; j++)
            sum[j] += x[i + j];
    }
    for (size_t i = 0; i < BLOCK; i += LANES) {
        for (size_t j = 0; j < LANES; j++)
            sum_abs[j] += fabs(x[i + j]);
    }
    for (size_t i = 0; i < BLOCK; i += LANES) {
        for (size_t j = 0; j < LANES; j++)
            sum_squares[j] += x[i + j] * x[i + j];
    }
    struct partial partial = {
        .count = (double)n,
        .sum = sum_lanes(sum),
        .sum_abs = sum_lanes(sum_abs),
        .sum_squares = sum_lanes(sum_squares),
    };
    const double mean = partial.sum / partial.count;
    double deviations[LANES] = {0}, rest[LANES] = {0};
    const size_t whole = n - n % LANES;
    for (size_t i = 0; i < whole; i += LANES) {
        for (size_t j = 0; j < LANES; j++)
            deviations[j] += (x[i + j] - mean) * (x[i + j] - mean);
    }
    for (size_t i = 0; i < whole; i += LANES) {
        for (size_t j = 0; j < LANES; j++)
            rest[j] += x[i + j] - mean;
    }
    for (size_t j = 0; whole + j < n; j++) {
        deviations[j] += (x[whole + j] - mean) * (x[whole + j] - mean);
        rest[j] += x[whole + j] - mean;
    }
    partial.shift = mean;
    partial.rest = sum_lanes(rest);
    /* The corrected two-pass algorithm: less what the rounding of the mean added */
    partial.deviations = sum_lanes(deviations) - partial.rest * (partial.rest / partial.count);
    if (partial.deviations < 0)
        partial.deviations = 0;
    return partial;
}

/* The block is filled up with NaN, which compares false and so leaves the lanes alone. Lanes in
 * memory: of comparisons kept in registers compilers make no vectors. */
WIDE static void range_block(const double *restrict x, struct nauha_stats *restrict stats) {
    double low[RANGE_LANES], high[RANGE_LANES];
    uint64_t zeros = 0;
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
        zeros += x[i] == 0;
    for (size_t j = 0; j < RANGE_LANES; j++) {
        stats->min = low[j] < stats->min ? low[j] : stats->min;
        stats->max = high[j] > stats->max ? high[j] : stats->max;
    }
    stats->zeros += zeros;
}

static void count_special(const double *x, size_t n, struct nauha_stats *stats) {
    for (size_t i = 0; i < n; i++) {
        stats->nans += (uint64_t)(isnan(x[i]) != 0);
        stats->infs += (uint64_t)(isinf(x[i]) != 0);
    }
}

void nauha_stats_compute(const struct nauha_tensor *tensor, struct nauha_stats *stats) {
    const size_t count = element_count(tensor);
    struct partial levels[LEVELS];
    unsigned depth = 0;
    double block[BLOCK];
    *stats =
        (struct nauha_stats){.count = count, .min = (double)INFINITY, .max = -(double)INFINITY};
    for (size_t first = 0, blocks = 1; first < count; first += BLOCK, blocks++) {
        const size_t n = count - first < BLOCK ? count - first : BLOCK;
        nauha_tensor_to_f64(tensor, first, n, block);
        for (size_t i = n; i < BLOCK; i++)
            block[i] = (double)NAN;
        range_block(block, stats);
        for (size_t i = n; i < BLOCK; i++)
            block[i] = 0;
        struct partial partial = sum_block(block, n);
        if (!isfinite(partial.sum_abs))
            count_special(block, n, stats);
        /* As carries run in a binary counter: equal numbers of blocks are combined. */
        for (size_t carry = blocks; !(carry & 1); carry >>= 1)
            partial = combine(&levels[--depth], &partial);
        levels[depth++] = partial;
    }
    struct partial total = {.count = 0};
    if (depth > 0) {
        total = levels[--depth];
        while (depth > 0)
            total = combine(&levels[--depth], &total);
    }
    stats->sum = total.sum;
    stats->sum_abs = total.sum_abs;
    stats->sum_squares = total.sum_squares;
    stats->deviations = total.deviations;
    stats->mean = count > 0 ? total.sum / (double)count : (double)NAN;
    if (stats->nans == count)
        stats->min = stats->max = (double)NAN;
    stats->abs_max = fabs(stats->min) > fabs(stats->max) ? fabs(stats->min) : fabs(stats->max);
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

struct power_sum {
    double p;
    double levels[LEVELS];
    unsigned depth;
    size_t blocks;
};

/* The next elements of a sum; a whole number of blocks, but for the last ones. */
static void add_powers(struct power_sum *sum, const struct nauha_tensor *tensor) {
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

static double total_powers(struct power_sum *sum) {
    double total = 0;
    while (sum->depth > 0)
        total += sum->levels[--sum->depth];
    return total;
}

double nauha_stats_sum_powers(const struct nauha_tensor *tensor, double p) {
    struct power_sum sum = {.p = p};
    add_powers(&sum, tensor);
    return total_powers(&sum);
}

/* ---- of messages ---- */

enum nauha_status nauha_message_stats(struct nauha_message *message,
                                      const struct nauha_stats **stats, struct nauha_error *err) {
    if (!message->stats) {
        struct nauha_tensor tensor;
        enum nauha_status status = nauha_message_tensor(message, &tensor, err);
        if (status != NAUHA_OK)
            return status;
        message->stats = malloc(sizeof *message->stats);
        if (!message->stats)
            return nauha_error_set(err, NAUHA_NOMEM, "out of memory");
        nauha_stats_compute(&tensor, message->stats);
    }
    *stats = message->stats;
    return NAUHA_OK;
}

static enum nauha_status add_powers_of_piece(void *context, const struct nauha_tensor *piece,
                                             uint64_t first, struct nauha_error *err) {
    (void)first;
    (void)err;
    add_powers(context, piece);
    return NAUHA_OK;
}

enum nauha_status nauha_message_sum_powers(struct nauha_message *message, double p, double *sum,
                                           struct nauha_error *err) {
    struct power_sum powers = {.p = p};
    enum nauha_status status =
        nauha_message_for_each_piece(message, add_powers_of_piece, &powers, err);
    if (status == NAUHA_OK)
        *sum = total_powers(&powers);
    return status;
}
