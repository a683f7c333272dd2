/* SPDX-License-Identifier: MIT */
/* How two tensors differ, element by element.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_COMPARE_H
#define NAUHA_COMPARE_H

#include "nauha/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Two elements of other bits are within it where their values are equal (0 and -0, NaN and NaN), or
 * where both are finite and |a - b| <= atol + rtol * max(|a|, |b|), or they are at most `ulp` units
 * in the last place apart. It makes no difference which of them is a and which b. */
struct nauha_tolerance {
    double rtol, atol;
    uint64_t ulp;
};

/* The sums, the largest differences and the norms are over the pairs of which both elements are
 * finite. Units in the last place count the numbers of the type from one element to the other (0
 * and -0 are one number); of integers and bool that is |a - b|. They are 0 for tensors of two
 * types. */
struct nauha_difference {
    uint64_t count;        /* elements compared */
    uint64_t differing;    /* beyond the tolerance; without one: of other bits */
    uint64_t other_bits;   /* of other bits; between two types: of another value */
    uint64_t zero_signs;   /* of those, 0 against -0 */
    uint64_t nan_payloads; /* of those, NaN against a NaN of other bits */
    uint64_t not_finite;   /* of those, NaN or infinity against another value */
    uint64_t first;        /* the first that differs, row-major; count where none does */
    uint64_t max_abs_at;   /* where max_abs is, the first such place */
    double max_abs;        /* |a - b| */
    double max_rel;        /* |a - b| / max(|a|, |b|) */
    uint64_t max_ulp;
    double sum_squares_a, sum_squares_b; /* 0 where all bits are equal: not computed */
    double sum_products;
    double sum_squares_difference;
    /* What both leave standing, as two outputs of a Dropout; 0 where all bits are equal. */
    uint64_t zeros_a, zeros_b;
    uint64_t both;  /* pairs of finite elements, neither of which is 0 */
    uint64_t alike; /* of those, of equal values */
    double both_squares_a, both_squares_b;
};

/* Contiguous tensors of the same number of elements; tolerance NULL: bit by bit. Tensors of two
 * types are compared by value, whatever the tolerance. INVALID: another number of elements. */
NAUHA_API enum nauha_status nauha_compare(const struct nauha_tensor *a,
                                          const struct nauha_tensor *b,
                                          const struct nauha_tolerance *tolerance,
                                          struct nauha_difference *difference,
                                          struct nauha_error *err);

/* ||a - b|| / max(||a||, ||b||) in the 2-norm: 0 for equal tensors, 1 and more for unrelated ones;
 * 0 where no two finite elements differ. */
NAUHA_API double nauha_difference_relative(const struct nauha_difference *difference);

/* The cosine of the angle between the two; 1 where no two finite elements differ, NaN where one of
 * them is zero. */
NAUHA_API double nauha_difference_cosine(const struct nauha_difference *difference);

/* The shortest text that reads back as the element; "-0", "inf"; "nan (0x7fc00000)" with its bits.
 * Returns text. */
NAUHA_API const char *nauha_element_text(const struct nauha_tensor *tensor, size_t at,
                                         char text[40]);

#ifdef __cplusplus
}
#endif
#endif
