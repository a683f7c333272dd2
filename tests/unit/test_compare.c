/* SPDX-License-Identifier: MIT */
/* Comparing tensors: numbers from hand; tests/integration/test_compare.py has NumPy's. */
#include "tests/unit/unit.h"

#include <math.h>
#include <string.h>

#include "nauha/compare.h"

static struct nauha_difference compare_as(enum nauha_dtype dtype, const void *a, const void *b,
                                          int64_t count, const struct nauha_tolerance *tolerance) {
    struct nauha_difference difference;
    struct nauha_error err = NAUHA_ERROR_INIT;
    const struct nauha_tensor of_a = {a, dtype, 1, &count, NULL, 0};
    const struct nauha_tensor of_b = {b, dtype, 1, &count, NULL, 0};
    if (nauha_compare(&of_a, &of_b, tolerance, &difference, &err) != NAUHA_OK)
        fail_msg("%s", err.message);
    return difference;
}

static void test_equal_bits_are_equal(void **state) {
    (void)state;
    const uint32_t bits[] = {0x7fc00001, 0x80000000, 0x7f800000, 1};
    const struct nauha_difference d = compare_as(NAUHA_DTYPE_F32, bits, bits, 4, NULL);
    assert_int_equal(d.count, 4);
    assert_int_equal(d.differing, 0);
    assert_int_equal(d.first, 4);
    assert_true(nauha_difference_relative(&d) == 0);
    assert_true(nauha_difference_cosine(&d) == 1);
}

static void test_numbers(void **state) {
    (void)state;
    const float a[] = {1, 3, 0, -4}, b[] = {1, 4, 0, -2};
    const struct nauha_difference d = compare_as(NAUHA_DTYPE_F32, a, b, 4, NULL);
    assert_int_equal(d.differing, 2);
    assert_int_equal(d.first, 1);
    assert_int_equal(d.max_abs_at, 3);
    assert_true(d.max_abs == 2);
    assert_true(d.max_rel == 0.5);
    assert_int_equal(d.max_ulp, 1 << 23); /* one binade */
    assert_true(fabs(nauha_difference_relative(&d) - sqrt(5) / sqrt(26)) < 1e-15);
    assert_true(fabs(nauha_difference_cosine(&d) - 21 / (sqrt(26) * sqrt(21))) < 1e-15);
}

static void test_what_both_have(void **state) {
    (void)state;
    /* Sixteen elements and more, for all lanes and a rest. */
    float a[19] = {0, 0, 2, 3, -4, NAN, 7}, b[19] = {0, 5, 0, 6, -8, 1, 7};
    const struct nauha_difference d = compare_as(NAUHA_DTYPE_F32, a, b, 19, NULL);
    assert_int_equal(d.zeros_a, 2 + 12);
    assert_int_equal(d.zeros_b, 2 + 12);
    assert_int_equal(d.both, 3);
    assert_int_equal(d.alike, 1);
    assert_true(d.both_squares_a == 9 + 16 + 49);
    assert_true(d.both_squares_b == 36 + 64 + 49);
}

static void test_special_values(void **state) {
    (void)state;
    const float infinity = INFINITY;
    float a[] = {0, NAN, NAN, infinity, infinity}, b[] = {-0.0f, NAN, 1, -infinity, infinity};
    const uint32_t other = 0x7fc00001;
    memcpy(&b[1], &other, sizeof other);
    struct nauha_difference d = compare_as(NAUHA_DTYPE_F32, a, b, 5, NULL);
    assert_int_equal(d.differing, 4);
    assert_int_equal(d.other_bits, 4);
    assert_int_equal(d.zero_signs, 1);
    assert_int_equal(d.nan_payloads, 1);
    assert_int_equal(d.not_finite, 2);
    assert_int_equal(d.first, 0);
    assert_true(d.max_abs == 0);
    /* By value, zeros are equal, and NaNs; no tolerance makes infinity a number. */
    const struct nauha_tolerance all = {.rtol = 1, .atol = INFINITY, .ulp = UINT64_MAX};
    d = compare_as(NAUHA_DTYPE_F32, a, b, 5, &all);
    assert_int_equal(d.differing, 2);
    assert_int_equal(d.first, 2);
    d = compare_as(NAUHA_DTYPE_F32, a, b, 2, &(struct nauha_tolerance){0});
    assert_int_equal(d.differing, 0);
    assert_int_equal(d.other_bits, 2);
}

static void test_tolerances(void **state) {
    (void)state;
    const float a[] = {100, 1e-30f}, b[] = {101, 2e-30f};
#define DIFFERING(...)                                                                             \
    (int)compare_as(NAUHA_DTYPE_F32, a, b, 2, &(struct nauha_tolerance){__VA_ARGS__}).differing
    assert_int_equal(DIFFERING(.rtol = 0.0099), 2);
    assert_int_equal(DIFFERING(.rtol = 0.0100), 1); /* a hundredth of the larger */
    assert_int_equal(DIFFERING(.atol = 1), 0);
    assert_int_equal(DIFFERING(.atol = 0.5), 1);
    assert_int_equal(DIFFERING(.rtol = 0.5), 0);
    assert_int_equal(DIFFERING(.ulp = 1u << 17), 1); /* 2^-17 of 64..128 is the last bit */
    assert_int_equal(DIFFERING(.ulp = (1u << 17) - 1), 2);
    assert_int_equal(DIFFERING(.ulp = 1u << 23), 0);
}

static void test_integers(void **state) {
    (void)state;
    const int64_t a[] = {INT64_MIN, (int64_t)1 << 62, 7},
                  b[] = {INT64_MAX, ((int64_t)1 << 62) + 1, 7};
    struct nauha_difference d = compare_as(NAUHA_DTYPE_I64, a, b, 3, NULL);
    assert_int_equal(d.differing, 2);
    assert_true(d.max_ulp == UINT64_MAX);
    /* One apart, which doubles do not tell. */
    d = compare_as(NAUHA_DTYPE_I64, a + 1, b + 1, 1, NULL);
    assert_true(d.max_abs == 1);
    assert_int_equal(d.max_ulp, 1);
    assert_int_equal(d.zero_signs, 0);
    d = compare_as(NAUHA_DTYPE_I64, a + 1, b + 1, 1, &(struct nauha_tolerance){0});
    assert_int_equal(d.differing, 1);
    const int8_t c[] = {-128, 5}, e[] = {127, 4};
    d = compare_as(NAUHA_DTYPE_I8, c, e, 2, NULL);
    assert_int_equal(d.max_ulp, 255);
    d = compare_as(NAUHA_DTYPE_U8, c, e, 2, NULL); /* 128 and 127 */
    assert_int_equal(d.max_ulp, 1);
}

static void test_two_types(void **state) {
    (void)state;
    const int64_t count = 3;
    const float a[] = {1, 0.1f, NAN};
    const uint16_t b[] = {0x3f80, 0x3dcd, 0x7fc0}; /* bf16: 1, 0.10009765625, NaN */
    struct nauha_difference d;
    const struct nauha_tensor of_a = {a, NAUHA_DTYPE_F32, 1, &count, NULL, 0};
    const struct nauha_tensor of_b = {b, NAUHA_DTYPE_BF16, 1, &count, NULL, 0};
    assert_int_equal(nauha_compare(&of_a, &of_b, NULL, &d, NULL), NAUHA_OK);
    assert_int_equal(d.differing, 1);
    assert_int_equal(d.first, 1);
    assert_true(d.max_abs == 0.10009765625 - (double)0.1f);
    assert_int_equal(d.max_ulp, 0);
    assert_int_equal(nauha_compare(&of_a, &of_b, &(struct nauha_tolerance){.rtol = 1e-2}, &d, NULL),
                     NAUHA_OK);
    assert_int_equal(d.differing, 0);
}

static void test_other_sizes_are_refused(void **state) {
    (void)state;
    const int64_t three = 3, four = 4;
    const float data[4] = {0};
    struct nauha_difference d;
    struct nauha_error err = NAUHA_ERROR_INIT;
    const struct nauha_tensor a = {data, NAUHA_DTYPE_F32, 1, &three, NULL, 0};
    const struct nauha_tensor b = {data, NAUHA_DTYPE_F32, 1, &four, NULL, 0};
    assert_int_equal(nauha_compare(&a, &b, NULL, &d, &err), NAUHA_INVALID);
    assert_string_equal(err.message, "tensors of 3 and 4 elements do not compare");
}

static void assert_text(enum nauha_dtype dtype, const void *element, const char *expected) {
    char text[40];
    const int64_t one = 1;
    const struct nauha_tensor tensor = {element, dtype, 1, &one, NULL, 0};
    assert_string_equal(nauha_element_text(&tensor, 0, text), expected);
}

static void test_elements_as_text(void **state) {
    (void)state;
    assert_text(NAUHA_DTYPE_F32, &(float){0.1f}, "0.1");
    assert_text(NAUHA_DTYPE_F32, &(float){-0.0f}, "-0");
    assert_text(NAUHA_DTYPE_F32, &(uint32_t){0x3dcccccc}, "0.099999994");
    assert_text(NAUHA_DTYPE_F64, &(double){0.1}, "0.1");
    assert_text(NAUHA_DTYPE_F64, &(double){1.0 / 3}, "0.3333333333333333");
    assert_text(NAUHA_DTYPE_F32, &(uint32_t){0xffc00001}, "nan (0xffc00001)");
    assert_text(NAUHA_DTYPE_BF16, &(uint16_t){0x7fc0}, "nan (0x7fc0)");
    assert_text(NAUHA_DTYPE_F16, &(uint16_t){0xfc00}, "-inf");
    assert_text(NAUHA_DTYPE_I64, &(int64_t){INT64_MIN}, "-9223372036854775808");
    assert_text(NAUHA_DTYPE_BOOL, &(uint8_t){1}, "1");
}

/* The relative difference that is still one of rounding, of tensors of one element: 4 of the last
 * bits of the coarser type, and 256 of those of f32, or of f64. */
static void test_rounding(void **state) {
    (void)state;
    const struct nauha_tolerance rounding = {.rounding = true};
    const double f64 = 260 * 0x1p-52, f32 = 260 * 0x1p-23;
#define BEYOND(type, x, y) (int)compare_as(NAUHA_DTYPE_##type, x, y, 2, &rounding).differing
    assert_int_equal(BEYOND(F64, ((double[]){0, 1}), ((double[]){0, 1 - f64 * 0.99})), 0);
    assert_int_equal(BEYOND(F64, ((double[]){0, 1}), ((double[]){0, 1 - f64 * 1.01})), 1);
    assert_int_equal(BEYOND(F32, ((float[]){0, 1}), ((float[]){0, (float)(1 - f32 * 0.99)})), 0);
    assert_int_equal(BEYOND(F32, ((float[]){0, 1}), ((float[]){0, (float)(1 - f32 * 1.01)})), 1);
    /* 1, and 1 - 0.03125 and 1 - 0.03515625: 8 and 9 steps below it */
    assert_int_equal(BEYOND(BF16, ((uint16_t[]){0, 0x3f80}), ((uint16_t[]){0, 0x3f78})), 0);
    assert_int_equal(BEYOND(BF16, ((uint16_t[]){0, 0x3f80}), ((uint16_t[]){0, 0x3f77})), 1);
    assert_int_equal(BEYOND(I32, ((int32_t[]){0, 1000000}), ((int32_t[]){0, 1000001})), 1);
    assert_int_equal(BEYOND(F32, ((float[]){NAN, 1}), ((float[]){NAN, 1 - 0x1p-20f})), 0);
    assert_int_equal(BEYOND(F32, ((float[]){NAN, 1}), ((float[]){0, 1})), 1);
    assert_int_equal(BEYOND(F32, ((float[]){0, 0}), ((float[]){-0.0f, 0})), 0);
#undef BEYOND
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_equal_bits_are_equal),
    cmocka_unit_test(test_numbers),
    cmocka_unit_test(test_what_both_have),
    cmocka_unit_test(test_special_values),
    cmocka_unit_test(test_tolerances),
    cmocka_unit_test(test_rounding),
    cmocka_unit_test(test_integers),
    cmocka_unit_test(test_two_types),
    cmocka_unit_test(test_other_sizes_are_refused),
    cmocka_unit_test(test_elements_as_text),
};

UNIT_MAIN(tests)
