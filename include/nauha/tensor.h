/* SPDX-License-Identifier: MIT */
/* Element types and the borrowed view of a tensor in memory. */
#ifndef NAUHA_TENSOR_H
#define NAUHA_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nauha/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* X(name, text, bytes): the element types. Traces store the position in this list, so new types are
 * only appended. The f8 types are PyTorch's float8 types of the same names. */
#define NAUHA_DTYPES(X)                                                                            \
    X(F32, "f32", 4)                                                                               \
    X(F64, "f64", 8)                                                                               \
    X(F16, "f16", 2)                                                                               \
    X(BF16, "bf16", 2)                                                                             \
    X(U8, "u8", 1)                                                                                 \
    X(I8, "i8", 1)                                                                                 \
    X(I16, "i16", 2)                                                                               \
    X(I32, "i32", 4)                                                                               \
    X(I64, "i64", 8)                                                                               \
    X(BOOL, "bool", 1)                                                                             \
    X(F8_E4M3FN, "f8_e4m3fn", 1)                                                                   \
    X(F8_E5M2, "f8_e5m2", 1)                                                                       \
    X(F8_E4M3FNUZ, "f8_e4m3fnuz", 1)                                                               \
    X(F8_E5M2FNUZ, "f8_e5m2fnuz", 1)

enum nauha_dtype {
#define NAUHA_DTYPE_ENUM(name, text, bytes) NAUHA_DTYPE_##name,
    NAUHA_DTYPES(NAUHA_DTYPE_ENUM)
#undef NAUHA_DTYPE_ENUM
        NAUHA_DTYPE_COUNT
};

#define NAUHA_MAX_NDIM 32u

/* A view of a tensor in memory; all its pointers are borrowed. With ndim 0 it has one element.
 * `strides` are in elements; NULL means that the elements are contiguous in row-major order, which
 * is always so in tensors that subscribers receive. `data` may be NULL only if a dimension is 0.
 *
 * `identity` is for publishers: tensors with the same identity probably have the same elements, so
 * that the recorder checks whether it has stored them already. 0: nothing is known. */
struct nauha_tensor {
    const void *data;
    enum nauha_dtype dtype;
    uint32_t ndim;
    const int64_t *shape;
    const int64_t *strides;
    uint64_t identity;
};

/* Bytes of one element; 0 for a value outside the enum. */
NAUHA_API size_t nauha_dtype_size(enum nauha_dtype dtype);
/* "f32", "bf16" and so on; NULL for a value outside the enum. */
NAUHA_API const char *nauha_dtype_name(enum nauha_dtype dtype);

/* The number of elements. INVALID: a negative dimension, more than NAUHA_MAX_NDIM dimensions, or
 * more than SIZE_MAX elements or bytes. */
NAUHA_API enum nauha_status nauha_tensor_count(const struct nauha_tensor *tensor, size_t *count,
                                               struct nauha_error *err);

/* Converts the elements [first, first + n) of a contiguous tensor to double. The result is exact
 * except for i64 values beyond 2^53, which are rounded to nearest; bool becomes 0 or 1. The range
 * must lie in the tensor: it is not checked. */
NAUHA_API void nauha_tensor_to_f64(const struct nauha_tensor *tensor, size_t first, size_t n,
                                   double *out);

/* How the 128 bits of a tensor's hash are computed. */
enum nauha_hash {
    NAUHA_HASH_SUMS,  /* sums of parts in any order, see docs/format.md: traces since 1.5 */
    NAUHA_HASH_XXH3,  /* XXH3 (https://xxhash.com) with seed 0: traces before 1.5 */
    NAUHA_HASH_OTHER, /* of a later version */
    NAUHA_HASH_COUNT
};
/* "sums", "xxh3", "other"; NULL for a value outside the enum. */
NAUHA_API const char *nauha_hash_name(enum nauha_hash function);

/* The hash of the elements of a contiguous tensor by NAUHA_HASH_SUMS: two words. Fails as
 * nauha_tensor_count. */
NAUHA_API enum nauha_status nauha_tensor_hash(const struct nauha_tensor *tensor, uint64_t hash[2],
                                              struct nauha_error *err);

#ifdef __cplusplus
}
#endif
#endif
