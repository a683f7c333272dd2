/* SPDX-License-Identifier: MIT */
/* Converting arrays of f16, bf16 and fp8 to float and back.
 *
 * Threads: any thread.
 */
#include "nauha/internal/convert.h"

#include "nauha/internal/wide.h"

bool nauha__is_small(enum nauha_dtype dtype) {
    return dtype == NAUHA_DTYPE_F16 || dtype == NAUHA_DTYPE_BF16 ||
           (dtype >= NAUHA_DTYPE_F8_E4M3FN && dtype <= NAUHA_DTYPE_F8_E5M2FNUZ);
}

/* Elements may lie at any address, so they are copied one by one, which compiles to plain loads and
 * stores. */
#define WIDEN(type, convert)                                                                       \
    for (size_t i = 0; i < n; i++) {                                                               \
        type bits;                                                                                 \
        memcpy(&bits, (const char *)elements + i * sizeof bits, sizeof bits);                      \
        out[i] = convert(bits);                                                                    \
    }                                                                                              \
    return

NAUHA__WIDE static void widen(enum nauha_dtype dtype, const void *restrict elements, size_t n,
                              float *restrict out) {
    switch (dtype) {
    case NAUHA_DTYPE_F16:
        WIDEN(uint16_t, nauha__f16_to_float);
    case NAUHA_DTYPE_BF16:
        WIDEN(uint16_t, nauha__bf16_to_float);
    case NAUHA_DTYPE_F8_E4M3FN:
        WIDEN(uint8_t, nauha__f8_e4m3fn_to_float);
    case NAUHA_DTYPE_F8_E5M2:
        WIDEN(uint8_t, nauha__f8_e5m2_to_float);
    case NAUHA_DTYPE_F8_E4M3FNUZ:
        WIDEN(uint8_t, nauha__f8_e4m3fnuz_to_float);
    case NAUHA_DTYPE_F8_E5M2FNUZ:
        WIDEN(uint8_t, nauha__f8_e5m2fnuz_to_float);
    default:
        return;
    }
}

void nauha__small_to_float(enum nauha_dtype dtype, const void *elements, size_t n, float *out) {
    widen(dtype, elements, n, out);
}

#define NARROW(type, convert)                                                                      \
    for (size_t i = 0; i < n; i++) {                                                               \
        type bits = convert(values[i]);                                                            \
        memcpy((char *)out + i * sizeof bits, &bits, sizeof bits);                                 \
    }                                                                                              \
    return

void nauha__float_to_small(enum nauha_dtype dtype, const float *restrict values, size_t n,
                           void *restrict out) {
    switch (dtype) {
    case NAUHA_DTYPE_F16:
        NARROW(uint16_t, nauha__float_to_f16);
    case NAUHA_DTYPE_BF16:
        NARROW(uint16_t, nauha__float_to_bf16);
    case NAUHA_DTYPE_F8_E4M3FN:
        NARROW(uint8_t, nauha__float_to_f8_e4m3fn);
    case NAUHA_DTYPE_F8_E5M2:
        NARROW(uint8_t, nauha__float_to_f8_e5m2);
    case NAUHA_DTYPE_F8_E4M3FNUZ:
        NARROW(uint8_t, nauha__float_to_f8_e4m3fnuz);
    case NAUHA_DTYPE_F8_E5M2FNUZ:
        NARROW(uint8_t, nauha__float_to_f8_e5m2fnuz);
    default:
        return;
    }
}
