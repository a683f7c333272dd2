/* SPDX-License-Identifier: MIT */
/* Element types, sizes, and elements as doubles. */
#include "unit.h"

#include <math.h>
#include <string.h>

#include "nauha/tensor.h"

/* The numbers stand in traces, so they are literals here. */
static void test_dtypes_are_pinned(void **state) {
    (void)state;
    static const struct {
        int number;
        const char *name;
        size_t size;
    } expected[] = {
        {0, "f32", 4},          {1, "f64", 8},          {2, "f16", 2},        {3, "bf16", 2},
        {4, "u8", 1},           {5, "i8", 1},           {6, "i16", 2},        {7, "i32", 4},
        {8, "i64", 8},          {9, "bool", 1},         {10, "f8_e4m3fn", 1}, {11, "f8_e5m2", 1},
        {12, "f8_e4m3fnuz", 1}, {13, "f8_e5m2fnuz", 1},
    };
    assert_int_equal(NAUHA_DTYPE_COUNT, 14);
    for (size_t i = 0; i < 14; i++) {
        enum nauha_dtype dtype = (enum nauha_dtype)expected[i].number;
        assert_string_equal(nauha_dtype_name(dtype), expected[i].name);
        assert_int_equal(nauha_dtype_size(dtype), expected[i].size);
    }
    assert_int_equal(NAUHA_DTYPE_BF16, 3);
    assert_int_equal(NAUHA_DTYPE_F8_E5M2FNUZ, 13);
    assert_null(nauha_dtype_name((enum nauha_dtype)14));
    assert_int_equal(nauha_dtype_size((enum nauha_dtype)14), 0);
    assert_null(nauha_dtype_name((enum nauha_dtype) - 1));
    assert_int_equal(nauha_dtype_size((enum nauha_dtype) - 1), 0);
}

static struct nauha_tensor shaped(enum nauha_dtype dtype, const int64_t *shape, uint32_t ndim) {
    return (struct nauha_tensor){.dtype = dtype, .ndim = ndim, .shape = shape};
}

static void assert_count(enum nauha_dtype dtype, const int64_t *shape, uint32_t ndim, size_t n) {
    struct nauha_tensor tensor = shaped(dtype, shape, ndim);
    size_t count = 12345;
    assert_int_equal(nauha_tensor_count(&tensor, &count, NULL), NAUHA_OK);
    assert_int_equal(count, n);
}

static void assert_no_count(enum nauha_dtype dtype, const int64_t *shape, uint32_t ndim,
                            const char *message) {
    struct nauha_tensor tensor = shaped(dtype, shape, ndim);
    struct nauha_error err = NAUHA_ERROR_INIT;
    size_t count = 12345;
    assert_int_equal(nauha_tensor_count(&tensor, &count, &err), NAUHA_INVALID);
    assert_string_equal(err.message, message);
    assert_int_equal(count, 12345);
}

#define SHAPE(...) ((const int64_t[]){__VA_ARGS__})

static void test_count(void **state) {
    (void)state;
    assert_count(NAUHA_DTYPE_F32, NULL, 0, 1);
    assert_count(NAUHA_DTYPE_F32, SHAPE(5), 1, 5);
    assert_count(NAUHA_DTYPE_F64, SHAPE(2, 3, 4), 3, 24);
    assert_count(NAUHA_DTYPE_F32, SHAPE(0), 1, 0);
    /* A dimension of 0 makes it empty however large the others. */
    assert_count(NAUHA_DTYPE_F32, SHAPE(INT64_MAX, INT64_MAX, 0), 3, 0);
    assert_count(NAUHA_DTYPE_U8, SHAPE(INT64_MAX, 2), 2, (size_t)INT64_MAX * 2);
}

static void test_impossible_shapes(void **state) {
    (void)state;
    assert_no_count(NAUHA_DTYPE_F32, SHAPE(3, -1), 2, "tensor has a negative dimension: -1");
    assert_no_count(NAUHA_DTYPE_F32, SHAPE(0, INT64_MIN), 2,
                    "tensor has a negative dimension: -9223372036854775808");
    assert_no_count(NAUHA_DTYPE_U8, SHAPE(INT64_MAX, 3), 2, "tensor is larger than memory can be");
    /* 2^63 elements count, their bytes do not. */
    assert_no_count(NAUHA_DTYPE_F64, SHAPE(1LL << 61, 4), 2, "tensor is larger than memory can be");
    assert_no_count((enum nauha_dtype)99, SHAPE(1), 1, "element type 99 of the tensor is unknown");
    int64_t many[33];
    for (int i = 0; i < 33; i++)
        many[i] = 1;
    assert_count(NAUHA_DTYPE_F32, many, 32, 1);
    assert_no_count(NAUHA_DTYPE_F32, many, 33, "tensor has 33 dimensions, more than 32");
}

/* Elements from an odd address: users' memory need not be aligned for us. */
static void assert_f64(enum nauha_dtype dtype, const void *elements, size_t n,
                       const double *expected) {
    size_t size = nauha_dtype_size(dtype);
    char *room = malloc(n * size + 1);
    memcpy(room + 1, elements, n * size);
    int64_t shape[] = {(int64_t)n};
    struct nauha_tensor tensor = {.data = room + 1, .dtype = dtype, .ndim = 1, .shape = shape};
    for (size_t first = 0; first < n; first++) {
        double out[64];
        nauha_tensor_to_f64(&tensor, first, n - first, out);
        for (size_t i = first; i < n; i++)
            if (isnan(expected[i]))
                assert_true(isnan(out[i - first]));
            else
                assert_memory_equal(&out[i - first], &expected[i], sizeof(double));
    }
    free(room);
}

#define ASSERT_F64(dtype, type, elements, ...)                                                     \
    assert_f64(NAUHA_DTYPE_##dtype, elements, sizeof elements / sizeof(type),                      \
               (const double[]){__VA_ARGS__})

static void test_to_f64(void **state) {
    (void)state;
    ASSERT_F64(F32, float, ((const float[]){0.5f, -0.0f, 0x1p-149f, INFINITY, NAN}), 0.5, -0.0,
               0x1p-149, (double)INFINITY, (double)NAN);
    ASSERT_F64(F64, double, ((const double[]){0.1, -1e308}), 0.1, -1e308);
    /* 1, -2, smallest subnormal, largest, -0, inf, nan */
    ASSERT_F64(F16, uint16_t,
               ((const uint16_t[]){0x3C00, 0xC000, 0x0001, 0x7BFF, 0x8000, 0x7C00, 0x7E00}), 1, -2,
               0x1p-24, 65504, -0.0, (double)INFINITY, (double)NAN);
    ASSERT_F64(BF16, uint16_t, ((const uint16_t[]){0x3F80, 0x0001, 0xFF80, 0x7FC0}), 1, 0x1p-133,
               -(double)INFINITY, (double)NAN);
    ASSERT_F64(U8, uint8_t, ((const uint8_t[]){0, 255}), 0, 255);
    ASSERT_F64(I8, int8_t, ((const int8_t[]){-128, 127}), -128, 127);
    ASSERT_F64(I16, int16_t, ((const int16_t[]){-32768, 32767}), -32768, 32767);
    ASSERT_F64(I32, int32_t, ((const int32_t[]){INT32_MIN, INT32_MAX}), -2147483648.0,
               2147483647.0);
    /* 2^53 + 1 lies between two doubles: to even. */
    ASSERT_F64(I64, int64_t, ((const int64_t[]){-1, (1LL << 53) + 1, (1LL << 53) + 3, INT64_MAX}),
               -1, 0x1p53, 0x1p53 + 4, 0x1p63);
    ASSERT_F64(BOOL, uint8_t, ((const uint8_t[]){0, 1, 2, 255}), 0, 1, 1, 1);
    ASSERT_F64(F8_E4M3FN, uint8_t, ((const uint8_t[]){0x38, 0x01, 0x7E, 0xFE, 0x7F}), 1, 0x1p-9,
               448, -448, (double)NAN);
    ASSERT_F64(F8_E5M2, uint8_t, ((const uint8_t[]){0x3C, 0x01, 0x7B, 0xFC, 0x7D}), 1, 0x1p-16,
               57344, -(double)INFINITY, (double)NAN);
    ASSERT_F64(F8_E4M3FNUZ, uint8_t, ((const uint8_t[]){0x40, 0x01, 0x7F, 0xFF, 0x80}), 1, 0x1p-10,
               240, -240, (double)NAN);
    ASSERT_F64(F8_E5M2FNUZ, uint8_t, ((const uint8_t[]){0x40, 0x01, 0x7F, 0xFF, 0x80}), 1, 0x1p-17,
               57344, -57344, (double)NAN);
}

/* More than one block of the conversion through float. */
static void test_to_f64_long(void **state) {
    (void)state;
    enum { N = 1000 };
    uint16_t bits[N];
    for (uint16_t i = 0; i < N; i++)
        bits[i] = i; /* i * 2^-24 as f16, up to 1023 */
    int64_t shape[] = {N};
    struct nauha_tensor tensor = {
        .data = bits, .dtype = NAUHA_DTYPE_F16, .ndim = 1, .shape = shape};
    double out[N];
    nauha_tensor_to_f64(&tensor, 0, N, out);
    for (int i = 0; i < N; i++)
        assert_true(out[i] == ldexp(i, -24));
    nauha_tensor_to_f64(&tensor, N, 0, NULL);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_dtypes_are_pinned), cmocka_unit_test(test_count),
    cmocka_unit_test(test_impossible_shapes), cmocka_unit_test(test_to_f64),
    cmocka_unit_test(test_to_f64_long),
};
UNIT_MAIN(tests)
