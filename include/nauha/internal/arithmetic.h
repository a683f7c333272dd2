/* SPDX-License-Identifier: MIT */
/* Sizes that cannot overflow, and element-wise arithmetic in a type of its own. */
#ifndef NAUHA_INTERNAL_ARITHMETIC_H
#define NAUHA_INTERNAL_ARITHMETIC_H

#include "nauha/tensor.h"

/* false on overflow. */
static inline bool nauha__add_size(size_t a, size_t b, size_t *sum) {
    return !__builtin_add_overflow(a, b, sum);
}
static inline bool nauha__mul_size(size_t a, size_t b, size_t *product) {
    return !__builtin_mul_overflow(a, b, product);
}

/* out[i] = a[i] - b[i] in the dtype's own arithmetic, bit for bit as PyTorch does it: f16, bf16
 * and fp8 through float with one rounding to nearest even, integers wrapping, bool as xor. Only
 * the bits inside a NaN are free: in PyTorch they change with the processor and the length. out
 * may be a or b. */
void nauha__subtract(enum nauha_dtype dtype, const void *a, const void *b, size_t count, void *out);

#endif
