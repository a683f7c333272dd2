/* SPDX-License-Identifier: MIT */
/* Statistics of one block of elements, in vectors; for stats.c. Functions are static because those
 * of which there are two versions would be visible outside the library.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_RECORDER_CORE_STATS_BLOCK_H
#define NAUHA_RECORDER_CORE_STATS_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "nauha/internal/wide.h"

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

/* Functions take a whole block. Sums have 16 lanes, those of powers 8, which are added pairwise in
 * the end. */

#define QUADS 4u /* vectors of 4 that a sum of 16 lanes has */

typedef double quad __attribute__((vector_size(32), aligned(8), may_alias));
typedef int32_t loose_int __attribute__((aligned(1), may_alias));
typedef int64_t quad_words __attribute__((vector_size(32)));

static const quad_words magnitudes = {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX};

/* Macros: a function would be compiled for narrow vectors before it is inlined. */
#define AT(x, i) (*(const quad *)((x) + (i)))
#define MAGNITUDE(x) ((quad)((quad_words)(x)&magnitudes))
/* Of quad numbers, or of quad vectors. */
#define TOTAL(x) (((x)[0] + (x)[2]) + ((x)[1] + (x)[3]))

NAUHA__WIDE static void nauha__block_widen_f32(const nauha__loose_float *restrict x,
                                               double *restrict out) {
    for (size_t i = 0; i < NAUHA__STATS_BLOCK; i++)
        out[i] = (double)x[i];
}

NAUHA__WIDE static void nauha__block_sums(const double *x, struct nauha__block_sums *sums) {
    quad sum[QUADS] = {0}, sum_abs[QUADS] = {0}, squares[QUADS] = {0};
    for (size_t i = 0; i < NAUHA__STATS_BLOCK; i += 4 * QUADS) {
        for (size_t j = 0; j < QUADS; j++) {
            const quad now = AT(x, i + 4 * j);
            sum[j] += now;
            sum_abs[j] += MAGNITUDE(now);
            squares[j] += now * now;
        }
    }
    const quad all = TOTAL(sum), all_abs = TOTAL(sum_abs), all_squares = TOTAL(squares);
    sums->sum = TOTAL(all);
    sums->sum_abs = TOTAL(all_abs);
    sums->sum_squares = TOTAL(all_squares);
}

NAUHA__WIDE static void nauha__block_powers(const double *x, double from,
                                            struct nauha__block_powers *powers) {
    quad first[2] = {0}, second[2] = {0}, third[2] = {0}, fourth[2] = {0};
    for (size_t i = 0; i < NAUHA__STATS_BLOCK; i += 8) {
        for (size_t j = 0; j < 2; j++) {
            const quad apart = AT(x, i + 4 * j) - from, square = apart * apart;
            first[j] += apart;
            second[j] += square;
            third[j] += square * apart;
            fourth[j] += square * square;
        }
    }
    first[0] += first[1];
    second[0] += second[1];
    third[0] += third[1];
    fourth[0] += fourth[1];
    powers->first = TOTAL(first[0]);
    powers->second = TOTAL(second[0]);
    powers->third = TOTAL(third[0]);
    powers->fourth = TOTAL(fourth[0]);
}

/* The bits of floats in an order that is that of their values, as integers, and back. NaN lie
 * beyond the infinities. */
static inline int32_t ordered(int32_t bits) {
    return bits ^ (int32_t)((uint32_t)(bits >> 31) >> 1);
}

static inline float value_of(int32_t order) {
    const int32_t bits = ordered(order);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The extremes of integers, which compilers make vectors of without further permission. */
NAUHA__WIDE static void nauha__block_range_f32(const nauha__loose_float *x,
                                               struct nauha__block_range *range) {
    const int32_t infinity = 0x7f800000;
    const loose_int *bits = (const loose_int *)x;
    int32_t low = INT32_MAX, high = INT32_MIN, zeros = 0;
    for (size_t i = 0; i < NAUHA__STATS_BLOCK; i++) {
        const int32_t order = ordered(bits[i]);
        low = order < low ? order : low;
        high = order > high ? order : high;
        zeros += (bits[i] & INT32_MAX) == 0;
    }
    range->finite = high < infinity && low > ordered((int32_t)0xff800000);
    range->low = value_of(low) + 0.0f;
    range->high = value_of(high) + 0.0f;
    range->zeros = (uint64_t)zeros;
}

#endif
