/* SPDX-License-Identifier: MIT */
/* Statistics in one pass: of blocks that fit the first-level cache, combined pairwise.
 *
 * Threads: any thread.
 */
#include "nauha/bus.h"
#include "nauha/stats.h"

#include <math.h>
#include <stdlib.h>

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
#if defined(__has_feature) /* clang's way to ask for sanitizers */
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#undef WIDE
#endif
#endif
#ifndef WIDE
#define WIDE
#endif

/* Partial results of 2^i blocks. More than 2^64 elements are impossible. */
#define LEVELS 64u

/* Sums over a block or over a sequence of blocks. */
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

/* Chan, Golub and LeVeque (1979), "Updating Formulae and a Pairwise Algorithm for Computing
 * Sample Variances", equation 2.1 in means. */
static void combine_deviations(const struct partial *a, const struct partial *b,
                               struct partial *both) {
    const double shift = b->shift - a->shift;
    const double apart = shift + (b->rest / b->count - a->rest / a->count);
    const double weight = a->count * b->count / both->count;
    both->deviations = a->deviations + b->deviations + apart * apart * weight;
    both->shift = a->shift;
    both->rest = a->rest + (b->rest + b->count * shift);
}

static struct partial combine(unsigned which, const struct partial *a, const struct partial *b) {
    struct partial both = {
        .count = a->count + b->count,
        .sum = a->sum + b->sum,
        .sum_abs = a->sum_abs + b->sum_abs,
        .sum_squares = a->sum_squares + b->sum_squares,
    };
    if (which & NAUHA_STATISTICS_DEVIATIONS)
        combine_deviations(a, b, &both);
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

/* Elements of a user's tensor may lie at any address. */
typedef float loose_float __attribute__((aligned(1), may_alias));

WIDE static void widen_f32(const loose_float *restrict x, double *restrict out) {
    for (size_t i = 0; i < BLOCK; i++)
        out[i] = (double)x[i];
}

/* Blocks are filled up with zeros for the sums. */
WIDE static double sum_block(const double *restrict x) {
    double lanes[LANES] = {0};
    for (size_t i = 0; i < BLOCK; i += LANES) {
        for (size_t j = 0; j < LANES; j++)
            lanes[j] += x[i + j];
    }
    return sum_lanes(lanes);
}

WIDE static double sum_abs_block(const double *restrict x) {
    double lanes[LANES] = {0};
    for (size_t i = 0; i < BLOCK; i += LANES) {
        for (size_t j = 0; j < LANES; j++)
            lanes[j] += fabs(x[i + j]);
    }
    return sum_lanes(lanes);
}

WIDE static double sum_squares_block(const double *restrict x) {
    double lanes[LANES] = {0};
    for (size_t i = 0; i < BLOCK; i += LANES) {
        for (size_t j = 0; j < LANES; j++)
            lanes[j] += x[i + j] * x[i + j];
    }
    return sum_lanes(lanes);
}

/* The same directly from floats, for 2-norms alone. */
WIDE static double sum_squares_f32(const loose_float *restrict x) {
    double lanes[LANES] = {0};
    for (size_t i = 0; i < BLOCK; i += LANES) {
        for (size_t j = 0; j < LANES; j++)
            lanes[j] += (double)x[i + j] * (double)x[i + j];
    }
    return sum_lanes(lanes);
}

/* Extremes of the first n elements of a block; the rest of the block is padding. */
WIDE static void deviations_block(const double *restrict x, size_t n,
                                  struct partial *restrict partial) {
    const double mean = partial->sum / partial->count;
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
    partial->shift = mean;
    partial->rest = sum_lanes(rest);
    /* the corrected two-pass algorithm: subtracts the rounding error of the mean */
    partial->deviations = sum_lanes(deviations) - partial->rest * (partial->rest / partial->count);
    if (partial->deviations < 0)
        partial->deviations = 0;
}

static void count_special(const double *x, size_t n, struct nauha_stats *stats) {
    for (size_t i = 0; i < n; i++) {
        stats->nans += (uint64_t)(isnan(x[i]) != 0);
        stats->infs += (uint64_t)(isinf(x[i]) != 0);
    }
}

/* The block is filled up with NaN, which compares false and so leaves the lanes alone. Lanes in
 * memory: of comparisons kept in registers compilers make no vectors. */
WIDE static void range_block(const double *restrict x, size_t n,
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
        count_special(x, n, stats);
}

WIDE static uint64_t count_zeros(const double *restrict x) {
    uint64_t zeros = 0;
    for (size_t i = 0; i < BLOCK; i++)
        zeros += x[i] == 0;
    return zeros;
}

/* ---- passes ---- */

/* One pass over the elements of a tensor, in any number of pieces. */
struct pass {
    unsigned which;
    struct nauha_stats stats; /* of elements that are not in partials yet */
    size_t blocks;
    unsigned depth;
    struct partial levels[LEVELS];
};

static void pass_begin(struct pass *pass, unsigned which) {
    pass->which = which & NAUHA_STATISTICS_DEVIATIONS ? which | NAUHA_STATISTICS_SUM : which;
    pass->stats = (struct nauha_stats){.min = (double)INFINITY, .max = -(double)INFINITY};
    pass->blocks = 0;
    pass->depth = 0;
}

/* n elements from `first` on as doubles, filled up with NaN. */
static void fill_block(const struct nauha_tensor *tensor, size_t first, size_t n, double *block) {
    if (tensor->dtype == NAUHA_DTYPE_F32 && n == BLOCK)
        widen_f32((const loose_float *)tensor->data + first, block);
    else
        nauha_tensor_to_f64(tensor, first, n, block);
    for (size_t i = n; i < BLOCK; i++)
        block[i] = (double)NAN;
}

static struct partial reduce_block(struct pass *pass, double *block, size_t n) {
    struct partial partial = {.count = (double)n};
    const unsigned which = pass->which;
    if (which & NAUHA_STATISTICS_RANGE)
        range_block(block, n, &pass->stats);
    if (which & NAUHA_STATISTICS_ZEROS)
        pass->stats.zeros += count_zeros(block);
    for (size_t i = n; i < BLOCK; i++)
        block[i] = 0;
    if (which & NAUHA_STATISTICS_SUM)
        partial.sum = sum_block(block);
    if (which & NAUHA_STATISTICS_SUM_ABS)
        partial.sum_abs = sum_abs_block(block);
    if (which & NAUHA_STATISTICS_SUM_SQUARES)
        partial.sum_squares = sum_squares_block(block);
    if (which & NAUHA_STATISTICS_DEVIATIONS)
        deviations_block(block, n, &partial);
    return partial;
}

/* Adds the next elements: a whole number of blocks, except for the last call. */
static void pass_add(struct pass *pass, const struct nauha_tensor *tensor) {
    const size_t count = element_count(tensor);
    const bool squares_alone =
        pass->which == NAUHA_STATISTICS_SUM_SQUARES && tensor->dtype == NAUHA_DTYPE_F32;
    double block[BLOCK];
    for (size_t first = 0; first < count; first += BLOCK) {
        const size_t n = count - first < BLOCK ? count - first : BLOCK;
        struct partial partial = {.count = (double)n};
        if (squares_alone && n == BLOCK) {
            partial.sum_squares = sum_squares_f32((const loose_float *)tensor->data + first);
        } else {
            fill_block(tensor, first, n, block);
            partial = reduce_block(pass, block, n);
        }
        /* Combines results of equal numbers of blocks, as carries in a binary counter do. */
        for (size_t carry = ++pass->blocks; !(carry & 1); carry >>= 1)
            partial = combine(pass->which, &pass->levels[--pass->depth], &partial);
        pass->levels[pass->depth++] = partial;
    }
    pass->stats.count += count;
}

static void pass_end(struct pass *pass, struct nauha_stats *stats) {
    struct partial total = {.count = 0};
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
    stats->mean = stats->count > 0 ? total.sum / (double)stats->count : (double)NAN;
    if (stats->nans == stats->count)
        stats->min = stats->max = (double)NAN;
    stats->abs_max = fabs(stats->min) > fabs(stats->max) ? fabs(stats->min) : fabs(stats->max);
}

void nauha_stats_compute(const struct nauha_tensor *tensor, struct nauha_stats *stats) {
    struct pass pass;
    pass_begin(&pass, NAUHA_STATISTICS_ALL);
    pass_add(&pass, tensor);
    pass_end(&pass, stats);
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

/* Adds the next elements to a sum: a whole number of blocks, except for the last call. */
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

static enum nauha_status add_piece(void *context, const struct nauha_tensor *piece, uint64_t first,
                                   struct nauha_error *err) {
    (void)first;
    (void)err;
    pass_add(context, piece);
    return NAUHA_OK;
}

/* Merges the results of a pass into what was known before. */
static void add_known(const struct nauha_stats *found, unsigned which, struct nauha_stats *known) {
    known->count = found->count;
    if (which & NAUHA_STATISTICS_ZEROS)
        known->zeros = found->zeros;
    if (which & NAUHA_STATISTICS_RANGE) {
        known->nans = found->nans;
        known->infs = found->infs;
        known->min = found->min;
        known->max = found->max;
        known->abs_max = found->abs_max;
    }
    if (which & NAUHA_STATISTICS_SUM) {
        known->sum = found->sum;
        known->mean = found->mean;
    }
    if (which & NAUHA_STATISTICS_SUM_ABS)
        known->sum_abs = found->sum_abs;
    if (which & NAUHA_STATISTICS_SUM_SQUARES)
        known->sum_squares = found->sum_squares;
    if (which & NAUHA_STATISTICS_DEVIATIONS)
        known->deviations = found->deviations;
}

enum nauha_status nauha_message_stats_of(struct nauha_message *message, unsigned which,
                                         const struct nauha_stats **stats,
                                         struct nauha_error *err) {
    message->asked.statistics |= which;
    if (!message->stats || (which & ~message->known)) {
        struct pass pass;
        struct nauha_stats found;
        pass_begin(&pass, (which | message->expected.statistics) & ~message->known);
        enum nauha_status status = nauha_message_for_each_piece(message, add_piece, &pass, err);
        if (status != NAUHA_OK)
            return status;
        if (!message->stats)
            message->stats = calloc(1, sizeof *message->stats);
        if (!message->stats)
            return nauha_error_nomem(err);
        pass_end(&pass, &found);
        add_known(&found, pass.which, message->stats);
        message->known |= pass.which;
    }
    *stats = message->stats;
    return NAUHA_OK;
}

enum nauha_status nauha_message_stats(struct nauha_message *message,
                                      const struct nauha_stats **stats, struct nauha_error *err) {
    return nauha_message_stats_of(message, NAUHA_STATISTICS_ALL, stats, err);
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
