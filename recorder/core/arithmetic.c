/* SPDX-License-Identifier: MIT */
/* Element-wise subtraction and addition of two arrays; the results are of the same type.
 *
 * Threads: any thread.
 */
#include "nauha/internal/arithmetic.h"

#include <string.h>

#include "nauha/internal/convert.h"

/* Through the unsigned type of the same size, integers wrap without undefined behaviour. */
#define COMPUTE(type, expression)                                                                  \
    for (size_t i = 0; i < count; i++) {                                                           \
        type x, y, z;                                                                              \
        memcpy(&x, (const char *)a + i * sizeof x, sizeof x);                                      \
        memcpy(&y, (const char *)b + i * sizeof y, sizeof y);                                      \
        z = (type)(expression);                                                                    \
        memcpy((char *)out + i * sizeof z, &z, sizeof z);                                          \
    }

static void compute_small(enum nauha_dtype dtype, const char *a, const char *b, size_t count,
                          bool add, char *out) {
    enum { BLOCK = 256 };
    float x[BLOCK], y[BLOCK];
    size_t size = nauha_dtype_size(dtype);
    for (size_t done = 0; done < count;) {
        size_t now = count - done < BLOCK ? count - done : BLOCK;
        nauha__small_to_float(dtype, a + done * size, now, x);
        nauha__small_to_float(dtype, b + done * size, now, y);
        for (size_t i = 0; i < now; i++)
            x[i] = add ? x[i] + y[i] : x[i] - y[i];
        nauha__float_to_small(dtype, x, now, out + done * size);
        done += now;
    }
}

void nauha__subtract(enum nauha_dtype dtype, const void *a, const void *b, size_t count,
                     void *out) {
    switch (dtype) {
    case NAUHA_DTYPE_F32:
        COMPUTE(float, x - y)
        return;
    case NAUHA_DTYPE_F64:
        COMPUTE(double, x - y)
        return;
    case NAUHA_DTYPE_U8:
    case NAUHA_DTYPE_I8:
        COMPUTE(uint8_t, x - y)
        return;
    case NAUHA_DTYPE_I16:
        COMPUTE(uint16_t, x - y)
        return;
    case NAUHA_DTYPE_I32:
        COMPUTE(uint32_t, x - y)
        return;
    case NAUHA_DTYPE_I64:
        COMPUTE(uint64_t, x - y)
        return;
    case NAUHA_DTYPE_BOOL:
        COMPUTE(uint8_t, (x != 0) ^ (y != 0))
        return;
    default:
        compute_small(dtype, a, b, count, false, out);
    }
}

void nauha__add(enum nauha_dtype dtype, const void *a, const void *b, size_t count, void *out) {
    switch (dtype) {
    case NAUHA_DTYPE_F32:
        COMPUTE(float, x + y)
        return;
    case NAUHA_DTYPE_F64:
        COMPUTE(double, x + y)
        return;
    case NAUHA_DTYPE_U8:
    case NAUHA_DTYPE_I8:
        COMPUTE(uint8_t, x + y)
        return;
    case NAUHA_DTYPE_I16:
        COMPUTE(uint16_t, x + y)
        return;
    case NAUHA_DTYPE_I32:
        COMPUTE(uint32_t, x + y)
        return;
    case NAUHA_DTYPE_I64:
        COMPUTE(uint64_t, x + y)
        return;
    case NAUHA_DTYPE_BOOL:
        COMPUTE(uint8_t, (x != 0) | (y != 0))
        return;
    default:
        compute_small(dtype, a, b, count, true, out);
    }
}
