/* SPDX-License-Identifier: MIT */
/* Element types, sizes of tensors, and their elements as doubles.
 *
 * Threads: any thread.
 */
#include "nauha/tensor.h"

#include "nauha/internal/arithmetic.h"
#include "nauha/internal/convert.h"
#include "nauha/internal/tensor_hash.h"

static const struct {
    const char *name;
    size_t size;
} dtypes[NAUHA_DTYPE_COUNT] = {
#define DTYPE_ROW(id, text, bytes) {text, bytes},
    NAUHA_DTYPES(DTYPE_ROW)
#undef DTYPE_ROW
};

size_t nauha_dtype_size(enum nauha_dtype dtype) {
    return (unsigned)dtype < NAUHA_DTYPE_COUNT ? dtypes[dtype].size : 0;
}

const char *nauha_dtype_name(enum nauha_dtype dtype) {
    return (unsigned)dtype < NAUHA_DTYPE_COUNT ? dtypes[dtype].name : NULL;
}

enum nauha_status nauha_tensor_count(const struct nauha_tensor *tensor, size_t *count,
                                     struct nauha_error *err) {
    if (nauha_dtype_size(tensor->dtype) == 0)
        return nauha_error_set(err, NAUHA_INVALID, "element type %d of the tensor is unknown",
                               (int)tensor->dtype);
    if (tensor->ndim > NAUHA_MAX_NDIM)
        return nauha_error_set(err, NAUHA_INVALID, "tensor has %u dimensions, more than %u",
                               tensor->ndim, NAUHA_MAX_NDIM);
    bool empty = false;
    for (uint32_t i = 0; i < tensor->ndim; i++) {
        if (tensor->shape[i] < 0)
            return nauha_error_set(err, NAUHA_INVALID, "tensor has a negative dimension: %lld",
                                   (long long)tensor->shape[i]);
        empty = empty || tensor->shape[i] == 0;
    }
    size_t product = 1;
    size_t bytes = 0;
    bool fits = true;
    for (uint32_t i = 0; i < tensor->ndim && !empty && fits; i++)
        fits = (uint64_t)tensor->shape[i] <= SIZE_MAX &&
               nauha__mul_size(product, (size_t)tensor->shape[i], &product);
    if (!fits || !nauha__mul_size(product, nauha_dtype_size(tensor->dtype), &bytes))
        return nauha_error_set(err, NAUHA_INVALID, "tensor is larger than memory can be");
    *count = empty ? 0 : product;
    return NAUHA_OK;
}

static void small_to_f64(enum nauha_dtype dtype, const char *elements, size_t n, double *out) {
    float block[256];
    size_t size = nauha_dtype_size(dtype);
    for (size_t done = 0; done < n;) {
        size_t now = n - done < 256 ? n - done : 256;
        nauha__small_to_float(dtype, elements + done * size, now, block);
        for (size_t i = 0; i < now; i++)
            out[done + i] = (double)block[i];
        done += now;
    }
}

/* memcpy: elements of a user's tensor may lie at any address. */
#define CASE(id, type, expression)                                                                 \
    case NAUHA_DTYPE_##id:                                                                         \
        for (size_t i = 0; i < n; i++) {                                                           \
            type x;                                                                                \
            memcpy(&x, elements + i * sizeof x, sizeof x);                                         \
            out[i] = (double)(expression);                                                         \
        }                                                                                          \
        return;

void nauha_tensor_to_f64(const struct nauha_tensor *tensor, size_t first, size_t n,
                         double *restrict out) {
    if (n == 0)
        return;
    const char *restrict elements =
        (const char *)tensor->data + first * nauha_dtype_size(tensor->dtype);
    switch (tensor->dtype) {
        CASE(F32, float, x)
        CASE(F64, double, x)
        CASE(U8, uint8_t, x)
        CASE(I8, int8_t, x)
        CASE(I16, int16_t, x)
        CASE(I32, int32_t, x)
        CASE(I64, int64_t, x)
        CASE(BOOL, uint8_t, x != 0)
    default:
        small_to_f64(tensor->dtype, elements, n, out);
    }
}

const char *nauha_hash_name(enum nauha_hash function) {
    static const char *const names[NAUHA_HASH_COUNT] = {
        [NAUHA_HASH_SUMS] = "sums", [NAUHA_HASH_XXH3] = "xxh3", [NAUHA_HASH_OTHER] = "other"};
    return (unsigned)function < NAUHA_HASH_COUNT ? names[function] : NULL;
}

enum nauha_status nauha_tensor_hash(const struct nauha_tensor *tensor, uint64_t hash[2],
                                    struct nauha_error *err) {
    size_t count;
    enum nauha_status status = nauha_tensor_count(tensor, &count, err);
    if (status != NAUHA_OK)
        return status;
    nauha__tensor_hash(tensor->data, count * nauha_dtype_size(tensor->dtype), hash);
    return NAUHA_OK;
}
