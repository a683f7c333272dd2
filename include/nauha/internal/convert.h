/* SPDX-License-Identifier: MIT */
/* Conversions between small floats (f16, bf16, fp8) and float, without branches, so that compilers
 * vectorize loops over them.
 *
 * Conversions to small floats round to nearest even and treat NaN and overflow as PyTorch does
 * (c10/util/Half.h, BFloat16.h, Float8_*.h). Conversions to float are exact.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_INTERNAL_CONVERT_H
#define NAUHA_INTERNAL_CONVERT_H

#include <stdbool.h>
#include <string.h>

#include "nauha/tensor.h"

static inline uint32_t nauha__float_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}
static inline float nauha__float_of_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* condition ? yes : no, with masks instead of a branch, into which the compiler could move a float
 * operation; then it would not vectorize the loop. */
static inline uint32_t nauha__select(bool condition, uint32_t yes, uint32_t no) {
    uint32_t mask = 0u - (uint32_t)condition;
    return (yes & mask) | (no & ~mask);
}

/* Converts a magnitude (bits without sign) of a small float with this mantissa and exponent bias to
 * the bits of a float, as if its largest exponent were an ordinary one. A subnormal is computed as
 * an integer times a power of two, so that the result is right even if the processor flushes
 * subnormal floats to zero. */
static inline uint32_t nauha__widen_finite(uint32_t magnitude, unsigned mantissa, unsigned bias) {
    uint32_t normal = (magnitude << (23 - mantissa)) + ((127 - bias) << 23);
    float unit = nauha__float_of_bits((127 + 1 - bias - mantissa) << 23);
    uint32_t subnormal = nauha__float_bits((float)(int32_t)magnitude * unit);
    return nauha__select(magnitude >> mantissa != 0, normal, subnormal);
}

static inline float nauha__f16_to_float(uint16_t bits) {
    uint32_t magnitude = bits & 0x7FFFu;
    uint32_t special = magnitude << 13 | 0x7F800000u;
    uint32_t wide =
        nauha__select(magnitude >= 0x7C00u, special, nauha__widen_finite(magnitude, 10, 15));
    return nauha__float_of_bits(wide | (bits & 0x8000u) << 16);
}

static inline float nauha__bf16_to_float(uint16_t bits) {
    return nauha__float_of_bits((uint32_t)bits << 16);
}

static inline float nauha__f8_e4m3fn_to_float(uint8_t bits) {
    uint32_t magnitude = bits & 0x7Fu;
    uint32_t wide =
        nauha__select(magnitude == 0x7Fu, 0x7FF00000u, nauha__widen_finite(magnitude, 3, 7));
    return nauha__float_of_bits(wide | (bits & 0x80u) << 24);
}

static inline float nauha__f8_e5m2_to_float(uint8_t bits) {
    return nauha__f16_to_float((uint16_t)(bits << 8));
}

/* The fnuz types have no infinities, no -0, and a single NaN, 0x80. */
static inline float nauha__f8_fnuz_to_float(uint8_t bits, unsigned mantissa, unsigned bias) {
    uint32_t finite = nauha__widen_finite(bits & 0x7Fu, mantissa, bias) | (bits & 0x80u) << 24;
    return nauha__float_of_bits(nauha__select(bits == 0x80u, 0x7FC00000u, finite));
}
static inline float nauha__f8_e4m3fnuz_to_float(uint8_t bits) {
    return nauha__f8_fnuz_to_float(bits, 3, 8);
}
static inline float nauha__f8_e5m2fnuz_to_float(uint8_t bits) {
    return nauha__f8_fnuz_to_float(bits, 2, 16);
}

/* Rounds a finite magnitude (float bits without sign) to a small float with this mantissa and
 * exponent bias. Subnormal results are rounded by adding a power of two whose last bit has the
 * weight of the smallest subnormal. */
static inline uint32_t nauha__narrow_finite(uint32_t magnitude, unsigned mantissa, unsigned bias) {
    unsigned shift = 23 - mantissa;
    uint32_t least = (127 + 1 - bias) << 23;
    uint32_t magic = least + (shift << 23);
    uint32_t subnormal =
        nauha__float_bits(nauha__float_of_bits(magnitude) + nauha__float_of_bits(magic)) - magic;
    uint32_t odd = magnitude >> shift & 1u;
    uint32_t half = (1u << (shift - 1)) - 1u;
    uint32_t normal = (magnitude - ((127 - bias) << 23) + half + odd) >> shift;
    return nauha__select(magnitude < least, subnormal, normal);
}

/* A NaN keeps its sign and the upper bits of its payload and becomes quiet, as in the processor
 * instructions F16C. */
static inline uint16_t nauha__float_to_f16(float value) {
    uint32_t bits = nauha__float_bits(value);
    uint32_t magnitude = bits & 0x7FFFFFFFu;
    uint32_t nan = 0x7E00u | (magnitude >> 13 & 0x3FFu);
    uint32_t result = nauha__narrow_finite(magnitude, 10, 15);
    result = nauha__select(magnitude >= 0x47800000u, 0x7C00u, result); /* 65536 */
    result = nauha__select(magnitude > 0x7F800000u, nan, result);
    return (uint16_t)(result | (bits >> 16 & 0x8000u));
}

/* Every NaN becomes 0x7FC0, as in PyTorch's scalar code; PyTorch's vector code gives 0xFFFF. */
static inline uint16_t nauha__float_to_bf16(float value) {
    uint32_t bits = nauha__float_bits(value);
    uint32_t rounded = (bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16;
    return (uint16_t)nauha__select((bits & 0x7FFFFFFFu) > 0x7F800000u, 0x7FC0u, rounded);
}

/* The type has no infinities: values beyond the largest number, 448, become 448, as in PyTorch 2.13
 * and later. Earlier versions of PyTorch give NaN. */
static inline uint8_t nauha__float_to_f8_e4m3fn(float value) {
    uint32_t bits = nauha__float_bits(value);
    uint32_t magnitude = bits & 0x7FFFFFFFu;
    uint32_t result = nauha__narrow_finite(magnitude, 3, 7);
    result = nauha__select(magnitude >= 0x43E80000u, 0x7Eu, result); /* 464 */
    result = nauha__select(magnitude > 0x7F800000u, 0x7Fu, result);
    return (uint8_t)(result | bits >> 31 << 7);
}

static inline uint8_t nauha__float_to_f8_e5m2(float value) {
    uint32_t bits = nauha__float_bits(value);
    uint32_t magnitude = bits & 0x7FFFFFFFu;
    uint32_t result = nauha__narrow_finite(magnitude, 2, 15);
    result = nauha__select(magnitude >= 0x47800000u, 0x7Cu, result); /* 65536 */
    result = nauha__select(magnitude > 0x7F800000u, 0x7Fu, result);
    return (uint8_t)(result | bits >> 31 << 7);
}

/* limit: the float bits of the smallest power of two beyond the type's range. Overflow and NaN
 * become 0x80; a result of zero has no sign. */
static inline uint8_t nauha__float_to_f8_fnuz(float value, unsigned mantissa, unsigned bias,
                                              uint32_t limit) {
    uint32_t bits = nauha__float_bits(value);
    uint32_t magnitude = bits & 0x7FFFFFFFu;
    uint32_t finite = nauha__narrow_finite(magnitude, mantissa, bias);
    uint32_t sign = nauha__select(finite != 0, bits >> 31 << 7, 0u);
    return (uint8_t)nauha__select(magnitude >= limit, 0x80u, finite | sign);
}
static inline uint8_t nauha__float_to_f8_e4m3fnuz(float value) {
    return nauha__float_to_f8_fnuz(value, 3, 8, 0x43800000u); /* 256 */
}
static inline uint8_t nauha__float_to_f8_e5m2fnuz(float value) {
    return nauha__float_to_f8_fnuz(value, 2, 16, 0x47800000u); /* 65536 */
}

/* Whether it is one of these types. */
bool nauha__is_small(enum nauha_dtype dtype);
/* Convert n elements of a small float type to float, and back. */
void nauha__small_to_float(enum nauha_dtype dtype, const void *elements, size_t n, float *out);
void nauha__float_to_small(enum nauha_dtype dtype, const float *values, size_t n, void *out);

#endif
