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

/* X(name, text, bytes): the position in this list is the number stored in traces; append only.
 * The fp8 types are PyTorch's float8 types of the same names. */
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

/* A view; everything in it is borrowed. ndim 0 is a scalar of one element. `strides` counts
 * elements and may be NULL: row-major contiguous. Tensors handed to subscribers are always
 * contiguous. `data` may be NULL only where a dimension is 0.
 *
 * `identity` is for publishers: tensors of one identity probably have the same elements, and the
 * recorder looks whether they need to be stored again; 0: nothing is known. */
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
/* "f32", "bf16", ...; NULL for a value outside the enum. */
NAUHA_API const char *nauha_dtype_name(enum nauha_dtype dtype);

/* Number of elements. INVALID: a negative dimension, more than NAUHA_MAX_NDIM of them, or a
 * product (or its byte size) past SIZE_MAX. */
NAUHA_API enum nauha_status nauha_tensor_count(const struct nauha_tensor *tensor, size_t *count,
                                               struct nauha_error *err);

/* Elements [first, first + n) of a contiguous tensor as doubles, exact for every type except
 * i64 beyond 2^53 (rounded to nearest). bool is 0 or 1. The caller keeps the range inside. */
NAUHA_API void nauha_tensor_to_f64(const struct nauha_tensor *tensor, size_t first, size_t n,
                                   double *out);

/* XXH3 with 128 bits, seed 0, of the elements of a contiguous tensor: lower half, upper half. */
NAUHA_API enum nauha_status nauha_tensor_hash(const struct nauha_tensor *tensor, uint64_t hash[2],
                                              struct nauha_error *err);

#ifdef __cplusplus
}
#endif
#endif
