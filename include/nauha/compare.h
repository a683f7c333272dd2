/* SPDX-License-Identifier: MIT */
/* Comparing two tensors element by element.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_COMPARE_H
#define NAUHA_COMPARE_H

#include "nauha/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Two elements are within the tolerance if their values are equal (also 0 and -0, or NaN and NaN),
 * or if both are finite and |a - b| <= atol + rtol * max(|a|, |b|) or, in tensors of the same type,
 * they are at most `ulp` units in the last place apart. The relation is symmetric.
 *
 * With `rounding`, all elements of two tensors are within the tolerance if
 * nauha_difference_relative is at most 4 e + 256 s and no NaN or infinity differs. e is the last
 * bit of a number near 1 of the coarser type, s that of f64 if both are f64, else of f32; integers
 * must be equal. So much may the order of summation change: docs/diff.md derives it. */
struct nauha_tolerance {
    double rtol, atol;
    uint64_t ulp;
    bool rounding;
};

/* The difference of tensors a and b. Largest differences and sums are over the pairs in which both
 * elements are finite. The distance in units in the last place (ulp) is the number of steps from
 * one element to the other in the sequence of numbers of the type, in which 0 and -0 are one; for
 * integers and bool it is |a - b|. It is 0 for tensors of different types. If all bits are equal,
 * the sums and the fields below them are not computed, but 0. */
struct nauha_difference {
    uint64_t count;        /* elements compared */
    uint64_t differing;    /* beyond the tolerance; without one, the same as other_bits */
    uint64_t other_bits;   /* with different bits; in different types, with different values */
    uint64_t zero_signs;   /* of other_bits: 0 and -0 */
    uint64_t nan_payloads; /* of other_bits: both NaN */
    uint64_t not_finite;   /* of other_bits: NaN or infinity and another value */
    uint64_t first;        /* number of the first differing element, row-major; count if none */
    uint64_t max_abs_at;   /* number of the first element with max_abs */
    double max_abs;        /* largest |a - b| */
    double max_rel;        /* largest |a - b| / max(|a|, |b|) */
    uint64_t max_ulp;      /* largest distance in ulp */
    double sum_squares_a, sum_squares_b;
    double sum_products; /* of a * b */
    double sum_squares_difference;
    /* These show whether two outputs of a dropout layer differ only in the dropped elements. */
    uint64_t zeros_a, zeros_b;             /* elements that are 0 */
    uint64_t both;                         /* pairs of finite elements, neither of which is 0 */
    uint64_t alike;                        /* of `both`: with equal values */
    double both_squares_a, both_squares_b; /* sums of squares over `both` */
};

/* Compares contiguous tensors with the same number of elements. With tolerance NULL elements must
 * agree in every bit, or, if the types differ, in value. INVALID: different numbers of elements. */
NAUHA_API enum nauha_status nauha_compare(const struct nauha_tensor *a,
                                          const struct nauha_tensor *b,
                                          const struct nauha_tolerance *tolerance,
                                          struct nauha_difference *difference,
                                          struct nauha_error *err);

/* ||a - b|| / max(||a||, ||b||) in the 2-norm, over the pairs of finite elements: 0 if none of them
 * differ; 1 or more for unrelated tensors. */
NAUHA_API double nauha_difference_relative(const struct nauha_difference *difference);

/* The cosine of the angle between a and b, over the pairs of finite elements: 1 if none of them
 * differ, NaN if one of the tensors is zero and the other is not. */
NAUHA_API double nauha_difference_cosine(const struct nauha_difference *difference);

/* Writes element `at` to text: the shortest decimal number that reads back as the element, "-0",
 * "inf", or "nan (0x7fc00000)" with its bits. Returns text. */
NAUHA_API const char *nauha_element_text(const struct nauha_tensor *tensor, size_t at,
                                         char text[40]);

#ifdef __cplusplus
}
#endif
#endif
