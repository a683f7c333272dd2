/* SPDX-License-Identifier: MIT */
/* Statistics of one block of elements, in vectors; for stats.c.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_INTERNAL_STATS_BLOCK_H
#define NAUHA_INTERNAL_STATS_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NAUHA__STATS_BLOCK 256u

/* Elements of a user's tensor may lie at any address. */
typedef float nauha__loose_float __attribute__((aligned(1), may_alias));

struct nauha__block_sums {
    double sum, sum_abs, sum_squares;
};

/* Sums of differences from a number to the powers 1 to 4. */
struct nauha__block_powers {
    double first, second, third, fourth;
};

struct nauha__block_range {
    float low, high; /* if all elements are finite; 0 rather than -0 */
    uint64_t zeros;
    bool finite; /* all elements are */
};

/* Of a whole block. Sums have 16 lanes, those of powers 8, which are added pairwise in the end. */
void nauha__block_widen_f32(const nauha__loose_float *x, double *out);
void nauha__block_sums(const double *x, struct nauha__block_sums *sums);
void nauha__block_powers(const double *x, double from, struct nauha__block_powers *powers);
void nauha__block_range_f32(const nauha__loose_float *x, struct nauha__block_range *range);

#endif
