/* SPDX-License-Identifier: MIT */
/* Small floats: every pattern decoded, every rounding boundary encoded. */
#include "unit.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "nauha/internal/convert.h"

/* What defines a format: IEEE 754 for f16, Micikevicius et al. 2022 (FP8 formats for deep
 * learning) for e4m3fn and e5m2, Noune et al. 2022 for the fnuz types. */
struct format {
    enum nauha_dtype dtype;
    unsigned bits, mantissa;
    int bias;
    uint32_t finite; /* the largest finite pattern without sign */
    bool fnuz;
};

static const struct format formats[] = {
    {NAUHA_DTYPE_F16, 16, 10, 15, 0x7BFF, false},   {NAUHA_DTYPE_BF16, 16, 7, 127, 0x7F7F, false},
    {NAUHA_DTYPE_F8_E4M3FN, 8, 3, 7, 0x7E, false},  {NAUHA_DTYPE_F8_E5M2, 8, 2, 15, 0x7B, false},
    {NAUHA_DTYPE_F8_E4M3FNUZ, 8, 3, 8, 0x7F, true}, {NAUHA_DTYPE_F8_E5M2FNUZ, 8, 2, 16, 0x7F, true},
};
enum { FORMATS = sizeof formats / sizeof *formats };

/* (-1)^s 2^(e - bias) (1 + m / 2^k), or 2^(1 - bias) m / 2^k where e is 0. */
static double value_of(const struct format *format, uint32_t magnitude) {
    int exponent = (int)(magnitude >> format->mantissa);
    uint32_t m = magnitude & ((1u << format->mantissa) - 1u);
    double fraction = ldexp((double)m, -(int)format->mantissa);
    return exponent == 0 ? ldexp(fraction, 1 - format->bias)
                         : ldexp(1.0 + fraction, exponent - format->bias);
}

static float decode(const struct format *format, uint32_t bits) {
    uint16_t wide = (uint16_t)bits;
    uint8_t narrow = (uint8_t)bits;
    float value = -1;
    nauha__small_to_float(format->dtype, format->bits == 16 ? (void *)&wide : (void *)&narrow, 1,
                          &value);
    return value;
}

static uint32_t encode(const struct format *format, float value) {
    uint16_t wide = 0;
    uint8_t narrow = 0;
    if (format->bits == 16) {
        nauha__float_to_small(format->dtype, &value, 1, &wide);
        return wide;
    }
    nauha__float_to_small(format->dtype, &value, 1, &narrow);
    return narrow;
}

static void test_decode_every_pattern(void **state) {
    (void)state;
    for (size_t f = 0; f < FORMATS; f++) {
        const struct format *format = &formats[f];
        uint32_t sign = 1u << (format->bits - 1);
        for (uint32_t magnitude = 0; magnitude < sign; magnitude++) {
            float positive = decode(format, magnitude);
            float negative = decode(format, magnitude | sign);
            if (magnitude > format->finite) {
                bool infinite = magnitude == format->finite + 1 && format->mantissa != 3;
                assert_true(infinite ? isinf(positive) && positive > 0 : isnan(positive));
                assert_true(infinite ? isinf(negative) && negative < 0 : isnan(negative));
                continue;
            }
            double expected = value_of(format, magnitude);
            assert_true((double)positive == expected && !signbit(positive));
            if (magnitude == 0 && format->fnuz)
                assert_true(isnan(negative));
            else
                assert_true((double)negative == -expected && signbit(negative));
        }
    }
}

static void assert_encoded(const struct format *format, float value, uint32_t magnitude) {
    uint32_t sign = 1u << (format->bits - 1);
    uint32_t negative = magnitude == 0 && format->fnuz ? 0 : magnitude | sign;
    if (encode(format, value) != magnitude || encode(format, -value) != negative)
        fail_msg("%s: %a became 0x%x and 0x%x, not 0x%x", nauha_dtype_name(format->dtype),
                 (double)value, encode(format, value), encode(format, -value), magnitude);
}

/* Between two neighbours, what lies below the middle goes down, above it up, the middle itself
 * to the even pattern. The middle has one bit more and is a float. */
static void test_encode_every_boundary(void **state) {
    (void)state;
    for (size_t f = 0; f < FORMATS; f++) {
        const struct format *format = &formats[f];
        for (uint32_t k = 0; k < format->finite; k++) {
            float low = (float)value_of(format, k);
            float middle = (float)((value_of(format, k) + value_of(format, k + 1)) / 2);
            assert_encoded(format, low, k);
            assert_encoded(format, nextafterf(middle, 0.0f), k);
            assert_encoded(format, middle, k + (k & 1));
            assert_encoded(format, nextafterf(middle, INFINITY), k + 1);
        }
        assert_encoded(format, (float)value_of(format, format->finite), format->finite);
    }
}

/* From torch 2.13.0:
 *   torch.tensor([x]).to(torch.float8_e4m3fn).view(torch.uint8)      and so on */
static void test_overflow_and_specials(void **state) {
    (void)state;
    static const float values[] = {INFINITY, 3.0e38f, 65520.0f, 65519.0f, 61440.0f, 61439.0f,
                                   500.0f,   464.0f,  463.0f,   248.0f,   247.0f,   1e-30f};
    static const uint32_t expected[][12] = {
        {0x7C00, 0x7C00, 0x7C00, 0x7BFF, 0x7B80, 0x7B80, 0x5FD0, 0x5F40, 0x5F3C, 0x5BC0, 0x5BB8, 0},
        {0x7F80, 0x7F62, 0x4780, 0x4780, 0x4770, 0x4770, 0x43FA, 0x43E8, 0x43E8, 0x4378, 0x4377,
         0x0DA2},
        {0x7E, 0x7E, 0x7E, 0x7E, 0x7E, 0x7E, 0x7E, 0x7E, 0x7E, 0x78, 0x77, 0},
        {0x7C, 0x7C, 0x7C, 0x7C, 0x7C, 0x7B, 0x60, 0x5F, 0x5F, 0x5C, 0x5C, 0},
        {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x7F, 0},
        {0x80, 0x80, 0x80, 0x80, 0x80, 0x7F, 0x64, 0x63, 0x63, 0x60, 0x60, 0},
    };
    static const uint32_t nans[] = {0x7E00, 0x7FC0, 0x7F, 0x7F, 0x80, 0x80};
    static const uint32_t negative_nans[] = {0xFE00, 0x7FC0, 0xFF, 0xFF, 0x80, 0x80};
    for (size_t f = 0; f < FORMATS; f++) {
        for (size_t i = 0; i < sizeof values / sizeof *values; i++)
            if (encode(&formats[f], values[i]) != expected[f][i])
                fail_msg("%s: %g became 0x%x, not 0x%x", nauha_dtype_name(formats[f].dtype),
                         (double)values[i], encode(&formats[f], values[i]), expected[f][i]);
        assert_int_equal(encode(&formats[f], nauha__float_of_bits(0x7FC00000)), nans[f]);
        assert_int_equal(encode(&formats[f], nauha__float_of_bits(0xFFC00000)), negative_nans[f]);
        /* A payload that does not reach the upper bits is still a NaN. */
        assert_true(
            isnan(decode(&formats[f], encode(&formats[f], nauha__float_of_bits(0x7F800001)))));
    }
    /* F16C's VCVTPS2PH: the upper payload bits stay, the quiet bit is set. */
    assert_int_equal(encode(&formats[0], nauha__float_of_bits(0xFF812000)), 0xFE09);
    /* Float subnormals are far below every format but bf16. */
    assert_int_equal(encode(&formats[1], 0x1p-133f), 1);
    assert_int_equal(encode(&formats[0], 0x1p-149f), 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_decode_every_pattern),
    cmocka_unit_test(test_encode_every_boundary),
    cmocka_unit_test(test_overflow_and_specials),
};
UNIT_MAIN(tests)
