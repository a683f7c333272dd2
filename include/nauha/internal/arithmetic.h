/* SPDX-License-Identifier: MIT */
/* Checked arithmetic on sizes, and differences and sums of tensors in their own element type.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_INTERNAL_ARITHMETIC_H
#define NAUHA_INTERNAL_ARITHMETIC_H

#include "nauha/tensor.h"

/* False on overflow. */
static inline bool nauha__add_size(size_t a, size_t b, size_t *sum) {
    return !__builtin_add_overflow(a, b, sum);
}
static inline bool nauha__mul_size(size_t a, size_t b, size_t *product) {
    return !__builtin_mul_overflow(a, b, product);
}

/* out[i] = a[i] - b[i] in the arithmetic of dtype, with the same bits as in PyTorch: f16, bf16 and
 * fp8 are subtracted as float and rounded once, to nearest even; integers wrap around; bool is xor.
 * Only the payload of a NaN may differ: in PyTorch it depends on the processor and the length. out
 * may be a or b. */
void nauha__subtract(enum nauha_dtype dtype, const void *a, const void *b, size_t count, void *out);

/* The same for a plus b; the sum of bools is or. */
void nauha__add(enum nauha_dtype dtype, const void *a, const void *b, size_t count, void *out);

#endif
