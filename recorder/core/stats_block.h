/* SPDX-License-Identifier: MIT */
/* What is computed of a block of elements in one reading, with vectors.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_RECORDER_CORE_STATS_BLOCK_H
#define NAUHA_RECORDER_CORE_STATS_BLOCK_H

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "nauha/internal/wide.h"

/* A block is read twice, so it has to fit the first-level cache. */
#define NAUHA__STATS_BLOCK 1024u
/* Its sums are those of parts, which have 8 lanes of 32 elements each: the error is not much larger
 * than that of NumPy's pairwise summation, whose blocks of 128 have 8. */
#define NAUHA__STATS_PART 256u

/* Elements of a user's tensor may lie at any address. */
typedef float nauha__loose_float __attribute__((aligned(1), may_alias));
typedef double nauha__loose_double __attribute__((aligned(1), may_alias));

/* Sums of magnitudes, and of elements or their differences from a number to the powers 1 to 4. */
struct nauha__block_sums {
    double sum_abs, first, second, third, fourth;
};

struct nauha__block_range {
    double low, high; /* without NaN; infinities the wrong way round if there are only these */
    uint64_t zeros;
    bool finite; /* all elements are */
};

typedef double quad __attribute__((vector_size(32)));
typedef double loose_quad __attribute__((vector_size(32), aligned(1), may_alias));
typedef int32_t loose_int __attribute__((aligned(1), may_alias));
typedef int64_t quad_words __attribute__((vector_size(32)));

static const quad_words magnitudes = {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX};

/* Macros: a function would be compiled for narrow vectors before it is inlined. */
#define FLOATS_AT(x, i)                                                                            \
    ((quad){(double)(x)[i], (double)(x)[(i) + 1], (double)(x)[(i) + 2], (double)(x)[(i) + 3]})
#define DOUBLES_AT(x, i) (*(const loose_quad *)((x) + (i)))
#define MAGNITUDE(x) ((quad)((quad_words)(x)&magnitudes))
#define CHOOSE(mask, x, y) ((quad)(((mask) & (quad_words)(x)) | (~(mask) & (quad_words)(y))))
#define TOTAL(x) (((x)[0] + (x)[2]) + ((x)[1] + (x)[3]))

/* A function that reads n elements of a type, as quads by AT:
 * NAME_sums: sum_abs, first, second;
 * NAME_powers: all sums, those of NAME_sums to the same bits;
 * NAME_apart: of differences from a number, without sum_abs. */
#define SUMMING(NAME, TYPE, AT, ADD, ADD_ONE)                                                      \
    NAUHA__WIDE static void NAME(const TYPE *x, size_t n, double from,                             \
                                 struct nauha__block_sums *sums) {                                 \
        quad all_abs = {0}, all_first = {0}, all_second = {0}, all_third = {0}, all_fourth = {0};  \
        const size_t whole = n - n % 8;                                                            \
        (void)from;                                                                                \
        for (size_t part = 0; part < whole; part += NAUHA__STATS_PART) {                           \
            const size_t left = whole - part;                                                      \
            const size_t end = part + (left < NAUHA__STATS_PART ? left : NAUHA__STATS_PART);       \
            quad sum_abs[2] = {0}, first[2] = {0}, second[2] = {0}, third[2] = {0},                \
                 fourth[2] = {0};                                                                  \
            for (size_t i = part; i < end; i += 8) {                                               \
                for (size_t j = 0; j < 2; j++) {                                                   \
                    const quad now = AT(x, i + 4 * j);                                             \
                    ADD(now)                                                                       \
                }                                                                                  \
            }                                                                                      \
            all_abs += sum_abs[0] + sum_abs[1];                                                    \
            all_first += first[0] + first[1];                                                      \
            all_second += second[0] + second[1];                                                   \
            all_third += third[0] + third[1];                                                      \
            all_fourth += fourth[0] + fourth[1];                                                   \
        }                                                                                          \
        *sums = (struct nauha__block_sums){TOTAL(all_abs), TOTAL(all_first), TOTAL(all_second),    \
                                           TOTAL(all_third), TOTAL(all_fourth)};                   \
        for (size_t i = whole; i < n; i++) {                                                       \
            const double now = (double)x[i];                                                       \
            ADD_ONE(now)                                                                           \
        }                                                                                          \
    }

#define ADD_SUMS(now)                                                                              \
    sum_abs[j] += MAGNITUDE(now);                                                                  \
    first[j] += now;                                                                               \
    second[j] += now * now;
#define ADD_POWERS(now)                                                                            \
    const quad square = now * now;                                                                 \
    sum_abs[j] += MAGNITUDE(now);                                                                  \
    first[j] += now;                                                                               \
    second[j] += square;                                                                           \
    third[j] += square * now;                                                                      \
    fourth[j] += square * square;
#define ADD_APART(now)                                                                             \
    const quad apart = now - from, square = apart * apart;                                         \
    first[j] += apart;                                                                             \
    second[j] += square;                                                                           \
    third[j] += square * apart;                                                                    \
    fourth[j] += square * square;
#define ADD_ONE(now)                                                                               \
    const double apart = now - from, square = apart * apart;                                       \
    sums->sum_abs += fabs(now);                                                                    \
    sums->first += apart;                                                                          \
    sums->second += square;                                                                        \
    sums->third += square * apart;                                                                 \
    sums->fourth += square * square;

SUMMING(nauha__sums_f32, nauha__loose_float, FLOATS_AT, ADD_SUMS, ADD_ONE)
SUMMING(nauha__powers_f32, nauha__loose_float, FLOATS_AT, ADD_POWERS, ADD_ONE)
SUMMING(nauha__apart_f32, nauha__loose_float, FLOATS_AT, ADD_APART, ADD_ONE)
SUMMING(nauha__sums_f64, nauha__loose_double, DOUBLES_AT, ADD_SUMS, ADD_ONE)
SUMMING(nauha__powers_f64, nauha__loose_double, DOUBLES_AT, ADD_POWERS, ADD_ONE)
SUMMING(nauha__apart_f64, nauha__loose_double, DOUBLES_AT, ADD_APART, ADD_ONE)

/* ---- ranges ---- */

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

/* The extremes of integers, which compilers make vectors of without further permission. low and
 * high mean nothing if not all elements are finite. */
NAUHA__WIDE static void nauha__range_f32(const nauha__loose_float *x, size_t n,
                                         struct nauha__block_range *range) {
    const int32_t infinity = 0x7f800000;
    const loose_int *bits = (const loose_int *)x;
    int32_t low = INT32_MAX, high = INT32_MIN, zeros = 0;
    for (size_t i = 0; i < n; i++) {
        const int32_t order = ordered(bits[i]);
        low = order < low ? order : low;
        high = order > high ? order : high;
        zeros += (bits[i] & INT32_MAX) == 0;
    }
    range->finite = high < infinity && low > ordered((int32_t)0xff800000);
    range->low = (double)(value_of(low) + 0.0f); /* 0 rather than -0 */
    range->high = (double)(value_of(high) + 0.0f);
    range->zeros = (uint64_t)zeros;
}

NAUHA__WIDE static void nauha__range_f64(const nauha__loose_double *x, size_t n,
                                         struct nauha__block_range *range) {
    const double infinity = (double)INFINITY;
    quad low[2], high[2];
    quad_words zeros[2] = {{0}, {0}}, special[2] = {{0}, {0}};
    const size_t whole = n - n % 8;
    low[0] = low[1] = (quad){infinity, infinity, infinity, infinity};
    high[0] = high[1] = -low[0];
    for (size_t i = 0; i < whole; i += 8) {
        for (size_t j = 0; j < 2; j++) {
            const quad now = DOUBLES_AT(x, i + 4 * j);
            low[j] = CHOOSE(now < low[j], now, low[j]);
            high[j] = CHOOSE(now > high[j], now, high[j]);
            zeros[j] -= now == 0;
            special[j] |= ~(MAGNITUDE(now) <= DBL_MAX);
        }
    }
    *range = (struct nauha__block_range){infinity, -infinity, 0, true};
    for (size_t j = 0; j < 2; j++) {
        for (size_t k = 0; k < 4; k++) {
            range->low = low[j][k] < range->low ? low[j][k] : range->low;
            range->high = high[j][k] > range->high ? high[j][k] : range->high;
            range->zeros += (uint64_t)zeros[j][k];
            range->finite = range->finite && special[j][k] == 0;
        }
    }
    for (size_t i = whole; i < n; i++) {
        range->low = x[i] < range->low ? x[i] : range->low;
        range->high = x[i] > range->high ? x[i] : range->high;
        range->zeros += x[i] == 0;
        range->finite = range->finite && isfinite(x[i]);
    }
    range->low += 0.0; /* 0 rather than -0, whichever came first */
    range->high += 0.0;
}

#endif
