/* SPDX-License-Identifier: MIT */
/* Statistics of a block of floats; see nauha/internal/stats_block.h. */
#include "nauha/internal/stats_block.h"

#include <string.h>

#include "nauha/internal/wide.h"

#define BLOCK NAUHA__STATS_BLOCK
#define QUADS 4u /* vectors of 4 that a sum of 16 lanes has */

typedef double four __attribute__((vector_size(32), aligned(8), may_alias));
typedef int32_t loose_int __attribute__((aligned(1), may_alias));
typedef int64_t four_words __attribute__((vector_size(32)));

static const four_words magnitudes = {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX};

/* Macros: a function would be compiled for narrow vectors before it is inlined. */
#define AT(x, i) (*(const four *)((x) + (i)))
#define MAGNITUDE(x) ((four)((four_words)(x)&magnitudes))
/* Of four numbers, or of four vectors. */
#define TOTAL(x) (((x)[0] + (x)[2]) + ((x)[1] + (x)[3]))

NAUHA__WIDE void nauha__block_widen_f32(const nauha__loose_float *restrict x,
                                        double *restrict out) {
    for (size_t i = 0; i < BLOCK; i++)
        out[i] = (double)x[i];
}

NAUHA__WIDE void nauha__block_sums(const double *x, struct nauha__block_sums *sums) {
    four sum[QUADS] = {0}, sum_abs[QUADS] = {0}, squares[QUADS] = {0};
    for (size_t i = 0; i < BLOCK; i += 4 * QUADS) {
        for (size_t j = 0; j < QUADS; j++) {
            const four now = AT(x, i + 4 * j);
            sum[j] += now;
            sum_abs[j] += MAGNITUDE(now);
            squares[j] += now * now;
        }
    }
    const four all = TOTAL(sum), all_abs = TOTAL(sum_abs), all_squares = TOTAL(squares);
    sums->sum = TOTAL(all);
    sums->sum_abs = TOTAL(all_abs);
    sums->sum_squares = TOTAL(all_squares);
}

NAUHA__WIDE void nauha__block_powers(const double *x, double from,
                                     struct nauha__block_powers *powers) {
    four first[2] = {0}, second[2] = {0}, third[2] = {0}, fourth[2] = {0};
    for (size_t i = 0; i < BLOCK; i += 8) {
        for (size_t j = 0; j < 2; j++) {
            const four apart = AT(x, i + 4 * j) - from, square = apart * apart;
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
NAUHA__WIDE void nauha__block_range_f32(const nauha__loose_float *x,
                                        struct nauha__block_range *range) {
    const int32_t infinity = 0x7f800000;
    const loose_int *bits = (const loose_int *)x;
    int32_t low = INT32_MAX, high = INT32_MIN, zeros = 0;
    for (size_t i = 0; i < BLOCK; i++) {
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
