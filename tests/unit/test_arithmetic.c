/* SPDX-License-Identifier: MIT */
/* Subtraction as PyTorch does it, gathering of strided tensors, text to numbers. */
#include "unit.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nauha/internal/arithmetic.h"
#include "nauha/internal/gather.h"
#include "nauha/internal/parse.h"

/* ---- subtraction ---- */

/* Also from odd addresses, and into either operand. */
static void assert_difference(enum nauha_dtype dtype, const void *a, const void *b, size_t count,
                              const void *expected) {
    size_t bytes = count * nauha_dtype_size(dtype);
    char *room = malloc(3 * bytes + 3);
    char *x = room + 1, *y = x + bytes, *z = y + bytes;
    for (int target = 0; target < 3; target++) {
        memcpy(x, a, bytes);
        memcpy(y, b, bytes);
        char *out = target == 0 ? x : target == 1 ? y : z;
        nauha__subtract(dtype, x, y, count, out);
        assert_memory_equal(out, expected, bytes);
    }
    free(room);
}

#define ASSERT_DIFFERENCE(dtype, a, b, expected)                                                   \
    assert_difference(NAUHA_DTYPE_##dtype, a, b, sizeof a / nauha_dtype_size(NAUHA_DTYPE_##dtype), \
                      expected)

/* From torch 2.13.0, with x and y of torch.float16:
 *   x = [1, 0.1, 65504, -65504, 6e-8, 1.0009765625, 3, -0.0, 0.0, 100, 1e-3]
 *   y = [0.333, 0.3, -16, 32, 1.2e-7, 1, 3, 0.0, -0.0, -inf, -2e-3]
 *   (x - y).view(torch.int16) */
static void test_f16(void **state) {
    (void)state;
    const uint16_t x[] = {0x3C00, 0x2E66, 0x7BFF, 0xFBFF, 0x0001, 0x3C01,
                          0x4200, 0x8000, 0x0000, 0x5640, 0x1419};
    const uint16_t y[] = {0x3554, 0x34CD, 0xCC00, 0x5000, 0x0002, 0x3C00,
                          0x4200, 0x0000, 0x8000, 0xFC00, 0x9819};
    const uint16_t z[] = {0x3956, 0xB267, 0x7C00, 0xFC00, 0x8001, 0x1400,
                          0x0000, 0x8000, 0x0000, 0x7C00, 0x1A26};
    ASSERT_DIFFERENCE(F16, x, y, z);
    const uint16_t inf[] = {0x7C00};
    uint16_t nan = 0;
    nauha__subtract(NAUHA_DTYPE_F16, inf, inf, 1, &nan);
    assert_int_equal(nan & 0x7E00, 0x7E00);
}

/* The same with torch.bfloat16. */
static void test_bf16(void **state) {
    (void)state;
    const uint16_t x[] = {0x3F80, 0x3DCD, 0x4780, 0xC780, 0x3381, 0x3F80,
                          0x4040, 0x8000, 0x0000, 0x7F80, 0x42C8, 0x3A83};
    const uint16_t y[] = {0x3EAA, 0x3E9A, 0xC180, 0x4200, 0x3401, 0x3F80,
                          0x4040, 0x0000, 0x8000, 0x7F80, 0xFF80, 0xBB03};
    const uint16_t z[] = {0x3F2B, 0xBE4E, 0x4780, 0xC780, 0xB381, 0x0000,
                          0x0000, 0x8000, 0x0000, 0x7FC0, 0x7F80, 0x3B44};
    ASSERT_DIFFERENCE(BF16, x, y, z);
}

/* From torch 2.13.0, which has no fp8 subtraction: (x.float() - y.float()).to(fp8) of
 *   x = [1, 448, -448, 0.01, 240, 57344, 0.3],  y = [0.3, -448, 0.5, 0.012, -240, -57344, 0.3] */
static void test_fp8(void **state) {
    (void)state;
    static const struct {
        enum nauha_dtype dtype;
        uint8_t x[7], y[7], z[7];
    } rows[] = {
        {NAUHA_DTYPE_F8_E4M3FN,
         {0x38, 0x7E, 0xFE, 0x05, 0x77, 0x7E, 0x2A},
         {0x2A, 0xFE, 0x30, 0x06, 0xF7, 0xFE, 0x2A},
         {0x33, 0x7E, 0xFE, 0x81, 0x7E, 0x7E, 0x00}},
        {NAUHA_DTYPE_F8_E5M2,
         {0x3C, 0x5F, 0xDF, 0x21, 0x5C, 0x7B, 0x35},
         {0x35, 0xDF, 0x38, 0x22, 0xDC, 0xFB, 0x35},
         {0x3A, 0x63, 0xDF, 0x98, 0x60, 0x7C, 0x00}},
        {NAUHA_DTYPE_F8_E4M3FNUZ,
         {0x40, 0x80, 0x80, 0x0A, 0x7F, 0x80, 0x32},
         {0x32, 0x80, 0x38, 0x0C, 0xFF, 0x80, 0x32},
         {0x3B, 0x80, 0x80, 0x82, 0x80, 0x80, 0x00}},
        {NAUHA_DTYPE_F8_E5M2FNUZ,
         {0x40, 0x63, 0xE3, 0x25, 0x60, 0x7F, 0x39},
         {0x39, 0xE3, 0x3C, 0x26, 0xE0, 0xFF, 0x39},
         {0x3E, 0x67, 0xE3, 0x9C, 0x64, 0x80, 0x00}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_difference(rows[i].dtype, rows[i].x, rows[i].y, 7, rows[i].z);
}

/* Longer than the blocks that go through float, and no multiple of them. */
static void test_small_floats_in_blocks(void **state) {
    (void)state;
    enum { N = 777 };
    uint16_t x[N], y[N], z[N];
    for (uint16_t i = 0; i < N; i++) {
        /* i 2^-24 and 100 * 2^-24; below 2048 differences are exact. */
        x[i] = i;
        y[i] = 100;
        z[i] = (uint16_t)(i >= 100 ? i - 100 : (100 - i) | 0x8000);
    }
    ASSERT_DIFFERENCE(F16, x, y, z);
}

static void test_f32_and_f64(void **state) {
    (void)state;
    const float x[] = {1.0f, 0.1f, 3e38f, -0.0f, 0x1p-149f, 16777216.0f};
    const float y[] = {0.1f, 0.3f, -3e38f, 0.0f, 0x1p-148f, 1.0f};
    /* np.float32(1) - np.float32(0.1) = 0.9, np.float32(0.1) - np.float32(0.3) = -0.20000002 */
    const float z[] = {0x1.ccccccp-1f, -0x1.99999cp-3f, INFINITY, -0.0f, -0x1p-149f, 16777215.0f};
    ASSERT_DIFFERENCE(F32, x, y, z);
    const double u[] = {0.3, 1e308, 5e-324, 9007199254740993.0};
    const double v[] = {0.1, -1e308, 5e-324, 1.0};
    /* 0.3 - 0.1 = 0.19999999999999998 */
    const double w[] = {0x1.9999999999999p-3, (double)INFINITY, 0.0, 9007199254740991.0};
    ASSERT_DIFFERENCE(F64, u, v, w);
}

static void test_integers_wrap(void **state) {
    (void)state;
    ASSERT_DIFFERENCE(U8, ((const uint8_t[]){5, 0, 255}), ((const uint8_t[]){3, 1, 0}),
                      ((const uint8_t[]){2, 255, 255}));
    ASSERT_DIFFERENCE(I8, ((const int8_t[]){5, -128, 127}), ((const int8_t[]){7, 1, -1}),
                      ((const int8_t[]){-2, 127, -128}));
    ASSERT_DIFFERENCE(I16, ((const int16_t[]){5, INT16_MIN}), ((const int16_t[]){7, 1}),
                      ((const int16_t[]){-2, INT16_MAX}));
    ASSERT_DIFFERENCE(I32, ((const int32_t[]){5, INT32_MIN}), ((const int32_t[]){7, 1}),
                      ((const int32_t[]){-2, INT32_MAX}));
    ASSERT_DIFFERENCE(I64, ((const int64_t[]){5, INT64_MIN}), ((const int64_t[]){7, 1}),
                      ((const int64_t[]){-2, INT64_MAX}));
    ASSERT_DIFFERENCE(BOOL, ((const uint8_t[]){0, 0, 1, 1, 2, 2}),
                      ((const uint8_t[]){0, 1, 0, 1, 1, 0}), ((const uint8_t[]){0, 1, 1, 0, 0, 1}));
}

/* ---- gathering ---- */

enum { ARENA = 4096, ORIGIN = 2048 };

/* The definition: element i has the indices of i in row-major order, and lies at the sum of
 * index times stride. */
static size_t place_of(const struct nauha_tensor *tensor, size_t i) {
    ptrdiff_t at = ORIGIN;
    for (uint32_t d = tensor->ndim; d-- > 0;) {
        size_t length = (size_t)tensor->shape[d];
        at += (ptrdiff_t)(i % length) * (ptrdiff_t)tensor->strides[d];
        i /= length;
    }
    return (size_t)at;
}

static void assert_gathered(enum nauha_dtype dtype, uint32_t ndim, const int64_t *shape,
                            const int64_t *strides) {
    size_t size = nauha_dtype_size(dtype);
    static unsigned char arena[ARENA * 8];
    for (size_t i = 0; i < sizeof arena; i++)
        arena[i] = (unsigned char)(i * 31 + (i >> 8) * 7);
    struct nauha_tensor tensor = {arena + ORIGIN * size, dtype, ndim, shape, strides, 0};
    size_t count = 0;
    assert_int_equal(nauha_tensor_count(&tensor, &count, NULL), NAUHA_OK);
    unsigned char *expected = malloc(count * size + 1), *out = malloc(count * size + 1);
    for (size_t i = 0; i < count; i++)
        memcpy(expected + i * size, arena + place_of(&tensor, i) * size, size);
    for (size_t first = 0; first <= count; first += 1 + first / 7) {
        for (size_t n = 0; first + n <= count; n += 1 + n / 5) {
            memset(out, 0xA5, count * size + 1);
            nauha__gather(&tensor, first, n, out);
            assert_memory_equal(out, expected + first * size, n * size);
            assert_int_equal(out[n * size], 0xA5);
        }
        nauha__gather(&tensor, first, count - first, out);
        assert_memory_equal(out, expected + first * size, (count - first) * size);
    }
    free(expected);
    free(out);
}

#define DIMS(...) ((const int64_t[]){__VA_ARGS__})

static void test_gather(void **state) {
    (void)state;
    static const enum nauha_dtype dtypes[] = {NAUHA_DTYPE_U8, NAUHA_DTYPE_F16, NAUHA_DTYPE_F32,
                                              NAUHA_DTYPE_F64};
    for (size_t i = 0; i < 4; i++) {
        enum nauha_dtype dtype = dtypes[i];
        assert_gathered(dtype, 3, DIMS(2, 3, 4), DIMS(12, 4, 1)); /* contiguous */
        assert_gathered(dtype, 2, DIMS(5, 7), DIMS(1, 5));        /* transposed */
        assert_gathered(dtype, 2, DIMS(5, 7), DIMS(20, 1));       /* a slice of columns */
        assert_gathered(dtype, 1, DIMS(30), DIMS(3));             /* every third */
        assert_gathered(dtype, 2, DIMS(4, 6), DIMS(0, 1));        /* expanded */
        assert_gathered(dtype, 2, DIMS(4, 6), DIMS(2, 0));
        assert_gathered(dtype, 3, DIMS(4, 2, 3), DIMS(0, 0, 0));
        assert_gathered(dtype, 1, DIMS(11), DIMS(-1)); /* flipped */
        assert_gathered(dtype, 3, DIMS(3, 4, 5), DIMS(-40, 8, -1));
        assert_gathered(dtype, 4, DIMS(2, 3, 4, 5), DIMS(60, 1, 15, 3)); /* channels last */
        /* more rows and columns than a tile holds, and no multiple of them */
        assert_gathered(dtype, 2, DIMS(35, 37), DIMS(1, 35));
        assert_gathered(dtype, 2, DIMS(35, 37), DIMS(-1, 50));
        assert_gathered(dtype, 3, DIMS(2, 19, 18), DIMS(19 * 18, 1, 19));
        assert_gathered(dtype, 3, DIMS(3, 17, 2), DIMS(700, 2, 40));
        assert_gathered(dtype, 4, DIMS(3, 1, 4, 1), DIMS(4, 999, 1, -77));
        assert_gathered(dtype, 3, DIMS(1, 1, 1), DIMS(5, 6, 7));
        assert_gathered(dtype, 0, NULL, DIMS(0));
        assert_gathered(dtype, 2, DIMS(3, 0), DIMS(1, 1));
    }
    int64_t shape[32], strides[32];
    for (int i = 0; i < 32; i++) {
        shape[i] = i % 5 == 0 ? 2 : 1;
        strides[i] = 3 * i + 1;
    }
    assert_gathered(NAUHA_DTYPE_F32, 32, shape, strides);
}

static void test_gather_without_strides(void **state) {
    (void)state;
    const float elements[] = {0, 1, 2, 3, 4, 5};
    struct nauha_tensor tensor = {elements, NAUHA_DTYPE_F32, 2, DIMS(2, 3), NULL, 0};
    float out[3] = {9, 9, 9};
    nauha__gather(&tensor, 2, 3, out);
    assert_memory_equal(out, elements + 2, sizeof out);
    struct nauha_tensor nothing = {NULL, NAUHA_DTYPE_F32, 1, DIMS(0), NULL, 0};
    nauha__gather(&nothing, 0, 0, NULL);
}

/* ---- checked sizes and numbers ---- */

static void test_checked_sizes(void **state) {
    (void)state;
    size_t result = 0;
    assert_true(nauha__add_size(SIZE_MAX - 3, 3, &result));
    assert_true(result == SIZE_MAX);
    assert_false(nauha__add_size(SIZE_MAX - 3, 4, &result));
    assert_true(nauha__mul_size(SIZE_MAX / 3, 3, &result));
    assert_false(nauha__mul_size(SIZE_MAX / 3 + 1, 3, &result));
}

static void test_parse_size(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {
        {"0", 0},
        {"4096", 4096},
        {"256M", 268435456},
        {"1.5G", 1610612736},
        {"2k", 2048},
        {"3KiB", 3072},
        {"3KB", 3072},
        {"7B", 7},
        {"0.5K", 512},
        {"2T", 2199023255552},
        {"1e3", 1000},
        {"18446744073709551615", UINT64_MAX},
        {"9007199254740993", 9007199254740993}, /* not a double */
        {"16777215T", 18446742974197923840u},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        uint64_t bytes = 77;
        if (nauha__parse_size(good[i].text, &bytes, NULL) != NAUHA_OK || bytes != good[i].bytes)
            fail_msg("\"%s\" became %llu", good[i].text, (unsigned long long)bytes);
    }
    static const char *const bad[] = {"",    "M",     "-1", "+1", " 1",  "1 M", "1MM",   "1X",
                                      "0x4", "1.2.3", "1i", "1e", "inf", "nan", "1MiBx", "1Mi i"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct nauha_error err = NAUHA_ERROR_INIT;
        uint64_t bytes = 77;
        char expected[128];
        snprintf(expected, sizeof expected,
                 "size \"%s\" is not a number with or without K, M, G or T behind it", bad[i]);
        assert_int_equal(nauha__parse_size(bad[i], &bytes, &err), NAUHA_INVALID);
        assert_string_equal(err.message, expected);
        assert_int_equal(bytes, 77);
    }
    static const char *const large[] = {"18446744073709551616", "16777216T", "1e30", "1e999",
                                        "17179869184.5G"};
    for (size_t i = 0; i < sizeof large / sizeof *large; i++) {
        struct nauha_error err = NAUHA_ERROR_INIT;
        uint64_t bytes = 77;
        char expected[128];
        snprintf(expected, sizeof expected, "size \"%s\" is too large", large[i]);
        assert_int_equal(nauha__parse_size(large[i], &bytes, &err), NAUHA_INVALID);
        assert_string_equal(err.message, expected);
    }
}

static void test_parse_whole(void **state) {
    (void)state;
    struct nauha_error err = NAUHA_ERROR_INIT;
    uint64_t number = 77;
    int64_t value = 77;
    assert_int_equal(nauha__parse_u64("18446744073709551615", &number, NULL), NAUHA_OK);
    assert_true(number == UINT64_MAX);
    assert_int_equal(nauha__parse_u64("007", &number, NULL), NAUHA_OK);
    assert_int_equal(number, 7);
    static const char *const bad[] = {"", "-1", "+1", " 1", "1 ", "1.0", "0x1", "one"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char expected[64];
        snprintf(expected, sizeof expected, "\"%s\" is not a whole number of 0 or more", bad[i]);
        assert_int_equal(nauha__parse_u64(bad[i], &number, &err), NAUHA_INVALID);
        assert_string_equal(err.message, expected);
    }
    assert_int_equal(nauha__parse_u64("18446744073709551616", &number, &err), NAUHA_INVALID);
    assert_string_equal(err.message, "\"18446744073709551616\" is too large, "
                                     "18446744073709551615 is the most");
    assert_int_equal(number, 7);

    assert_int_equal(nauha__parse_i64("-9223372036854775808", &value, NULL), NAUHA_OK);
    assert_true(value == INT64_MIN);
    assert_int_equal(nauha__parse_i64("+12", &value, NULL), NAUHA_OK);
    assert_int_equal(value, 12);
    assert_int_equal(nauha__parse_i64("--1", &value, &err), NAUHA_INVALID);
    assert_string_equal(err.message, "\"--1\" is not a whole number");
    assert_int_equal(nauha__parse_i64("-", &value, &err), NAUHA_INVALID);
    assert_int_equal(nauha__parse_i64("9223372036854775808", &value, &err), NAUHA_INVALID);
    assert_string_equal(err.message, "\"9223372036854775808\" is out of range, which is "
                                     "-9223372036854775808 to 9223372036854775807");
    assert_int_equal(value, 12);
}

static void assert_real(const char *text, double expected) {
    double value = 77;
    if (nauha__parse_real(text, &value, NULL) != NAUHA_OK || value != expected)
        fail_msg("\"%s\" became %.17g", text, value);
}

static void test_parse_real(void **state) {
    (void)state;
    assert_real("0.1", 0.1);
    assert_real("-1e-3", -1e-3);
    assert_real("+2.5E2", 250);
    assert_real(".5", 0.5);
    assert_real("7", 7);
    assert_real("inf", (double)INFINITY);
    assert_real("-inf", -(double)INFINITY);
    assert_real("1e-999", 0);
    static const char *const bad[] = {"",    ".",    "nan",  "1,5",      "1 ", " 1",
                                      "0x1", "1e5x", "inf ", "infinity", "e5", "1-2"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct nauha_error err = NAUHA_ERROR_INIT;
        double value = 77;
        char expected[64];
        snprintf(expected, sizeof expected, "\"%s\" is not a number", bad[i]);
        assert_int_equal(nauha__parse_real(bad[i], &value, &err), NAUHA_INVALID);
        assert_string_equal(err.message, expected);
        assert_true(value == 77);
    }
    struct nauha_error err = NAUHA_ERROR_INIT;
    double value = 77;
    assert_int_equal(nauha__parse_real("1e999", &value, &err), NAUHA_INVALID);
    assert_string_equal(err.message, "\"1e999\" is too large for a number");
}

/* A host may run in a locale that writes 1,5: our numbers stay as they are. */
static void test_parse_in_another_locale(void **state) {
    (void)state;
    static const char *const candidates[] = {"de_DE.UTF-8", "de_DE.utf8", "fi_FI.UTF-8",
                                             "fr_FR.UTF-8", "de_DE",      "fr_FR"};
    const char *found = NULL;
    for (size_t i = 0; !found && i < sizeof candidates / sizeof *candidates; i++)
        found = setlocale(LC_NUMERIC, candidates[i]);
    if (!found)
        skip(); /* none of them is installed */
    uint64_t bytes = 0;
    assert_real("1.5", 1.5);
    assert_int_equal(nauha__parse_size("1.5K", &bytes, NULL), NAUHA_OK);
    assert_int_equal(bytes, 1536);
    setlocale(LC_NUMERIC, "C");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_f16),
    cmocka_unit_test(test_bf16),
    cmocka_unit_test(test_fp8),
    cmocka_unit_test(test_small_floats_in_blocks),
    cmocka_unit_test(test_f32_and_f64),
    cmocka_unit_test(test_integers_wrap),
    cmocka_unit_test(test_gather),
    cmocka_unit_test(test_gather_without_strides),
    cmocka_unit_test(test_checked_sizes),
    cmocka_unit_test(test_parse_size),
    cmocka_unit_test(test_parse_whole),
    cmocka_unit_test(test_parse_real),
    cmocka_unit_test(test_parse_in_another_locale),
};
UNIT_MAIN(tests)
