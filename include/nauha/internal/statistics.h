/* SPDX-License-Identifier: MIT */
/* Statistics of elements that come in pieces, such as those of a recorded tensor.
 *
 * Threads: one at a time per pass.
 */
#ifndef NAUHA_INTERNAL_STATISTICS_H
#define NAUHA_INTERNAL_STATISTICS_H

#include <stddef.h>

#include "nauha/stats.h"

/* Partial results of 2^i blocks. More than 2^64 elements are impossible. */
#define NAUHA__LEVELS 64u

/* Sums over a block or over a sequence of blocks. */
struct nauha__partial {
    double count;
    double sum, sum_abs, sum_squares;
    double deviations, third, fourth;
    /* The mean is shift + rest / count: a sum of differences from a number close to it, which keeps
     * the digits that the mean of large numbers has no room for. */
    double shift, rest;
};

/* One pass over the elements of a tensor, in any number of pieces. */
struct nauha__pass {
    unsigned which;           /* a set of enum nauha_statistics */
    struct nauha_stats stats; /* of elements that are not in partials yet */
    size_t blocks;
    unsigned depth;
    struct nauha__partial levels[NAUHA__LEVELS];
};

void nauha__pass_begin(struct nauha__pass *pass, unsigned which);
/* Adds the next elements, a contiguous tensor: a multiple of NAUHA_PIECE_ELEMENTS of them, except
 * in the last call. */
void nauha__pass_add(struct nauha__pass *pass, const struct nauha_tensor *tensor);
void nauha__pass_end(struct nauha__pass *pass, struct nauha_stats *stats);

/* Sets mean and abs_max, and min and max of a tensor that has no numbers, from the others. */
void nauha__stats_derive(struct nauha_stats *stats);

/* The sum of |x|^p, in pieces as above; begins with {.p = p}. */
struct nauha__power_sum {
    double p;
    double levels[NAUHA__LEVELS];
    unsigned depth;
    size_t blocks;
};
void nauha__add_powers(struct nauha__power_sum *sum, const struct nauha_tensor *tensor);
double nauha__total_powers(struct nauha__power_sum *sum);

#endif
