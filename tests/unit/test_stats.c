/* SPDX-License-Identifier: MIT */
/* Statistics against exact sums.
 *
 * Expected values are sums of fractions, rounded once:
 *   i = numpy.arange(10007, dtype=numpy.uint64)
 *   x = ((i * 2654435761 % 2**32) >> 8).astype(numpy.float64) / 2**24 - 0.5
 *   f = [fractions.Fraction(float(a)) for a in x]; s = sum(f); m = s / len(f)
 *   float(s), float(sum(map(abs, f))), float(sum(a * a for a in f)), float(m),
 *   float(sum((a - m) ** 2 for a in f))
 */
#include "tests/unit/unit.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "nauha/bus.h"
#include "nauha/internal/convert.h"
#include "nauha/internal/message.h"

#define N 10007u

static struct nauha_tensor tensor_of(enum nauha_dtype dtype, const int64_t *shape,
                                     const void *data) {
    return (struct nauha_tensor){.data = data, .dtype = dtype, .ndim = 1, .shape = shape};
}

static struct nauha_stats stats_of(enum nauha_dtype dtype, size_t n, const void *data) {
    const int64_t shape[] = {(int64_t)n};
    const struct nauha_tensor tensor = tensor_of(dtype, shape, data);
    struct nauha_stats stats;
    memset(&stats, 0xA5, sizeof stats);
    nauha_stats_compute(&tensor, &stats);
    return stats;
}

static uint32_t scrambled(size_t i) {
    return (uint32_t)(i * 2654435761u);
}

static double sample(size_t i) {
    return (double)(scrambled(i) >> 8) / 16777216.0 - 0.5;
}

/* Within a few roundings of the largest partial sum. */
static void assert_close(double got, double expected, double scale) {
    if (!(fabs(got - expected) <= 8 * DBL_EPSILON * scale))
        fail_msg("%.17g is not %.17g", got, expected);
}

static void assert_sums(const struct nauha_stats *stats, double sum, double sum_abs,
                        double sum_squares, double mean, double deviations) {
    assert_int_equal(stats->count, N);
    assert_int_equal(stats->nans, 0);
    assert_int_equal(stats->infs, 0);
    assert_close(stats->sum, sum, sum_abs);
    assert_close(stats->sum_abs, sum_abs, sum_abs);
    assert_close(stats->sum_squares, sum_squares, sum_squares);
    assert_close(stats->mean, mean, sum_abs / N);
    assert_close(stats->deviations, deviations, deviations);
}

/* ---- every type ---- */

static void test_f32_and_f64(void **state) {
    (void)state;
    static float f32[N];
    static double f64[N];
    for (size_t i = 0; i < N; i++) {
        f64[i] = sample(i);
        f32[i] = (float)f64[i];
    }
    for (int wide = 0; wide < 2; wide++) {
        const struct nauha_stats stats =
            wide ? stats_of(NAUHA_DTYPE_F64, N, f64) : stats_of(NAUHA_DTYPE_F32, N, f32);
        assert_sums(&stats, -0.9738692045211792, 2501.9588819742203, 834.0560779079178,
                    -9.731879729401211e-05, 834.0559831321381);
        assert_int_equal(stats.zeros, 0);
        assert_true(stats.min == -0.5);
        assert_true(stats.max == 0.49992048740386963);
        assert_true(stats.abs_max == 0.5);
    }
}

/* The variance of numbers that differ in their last digits: sum_squares - sum^2 / n would have no
 * correct digit. */
static void test_small_variance_around_a_large_mean(void **state) {
    (void)state;
    static double x[N];
    for (size_t i = 0; i < N; i++)
        x[i] = sample(i) + 1e6;
    const struct nauha_stats stats = stats_of(NAUHA_DTYPE_F64, N, x);
    assert_close(stats.sum, 10006999999.02613, 10006999999.02613);
    assert_close(stats.mean, 999999.9999026812, 999999.9999026812);
    assert_close(stats.sum_squares, 1.0006999998053096e+16, 1.0006999998053096e+16);
    if (!(fabs(stats.deviations / 834.0559831321381 - 1) < 1e-15))
        fail_msg("%.17g", stats.deviations);
}

/* x rounded to f16 by numpy.float16. */
static void test_f16(void **state) {
    (void)state;
    static uint16_t x[N];
    for (size_t i = 0; i < N; i++)
        x[i] = nauha__float_to_f16((float)sample(i));
    const struct nauha_stats stats = stats_of(NAUHA_DTYPE_F16, N, x);
    assert_sums(&stats, -0.9750752449035645, 2501.959834456444, 834.0570484413191,
                -9.743931696847851e-05, 834.0569534306533);
    assert_true(stats.max == 0.5);
}

/* Whole numbers up to 200 are bf16 numbers, and their sums have closed forms. */
static void test_bf16(void **state) {
    (void)state;
    uint16_t x[200];
    for (size_t i = 0; i < 200; i++)
        x[i] = nauha__float_to_bf16((float)(i + 1));
    const struct nauha_stats stats = stats_of(NAUHA_DTYPE_BF16, 200, x);
    assert_true(stats.sum == 200.0 * 201 / 2);
    assert_true(stats.sum_squares == 200.0 * 201 * 401 / 6);
    assert_true(stats.mean == 100.5);
    /* n (n^2 - 1) / 12 */
    assert_close(stats.deviations, 200.0 * (200.0 * 200.0 - 1) / 12, 666650);
    assert_true(stats.min == 1 && stats.max == 200);
}

/* (i * 2654435761 % 2**32 >> 24).astype(numpy.int8) and so on. */
static void test_integers_and_bool(void **state) {
    (void)state;
    static int8_t i8[N];
    static uint8_t bits[N];
    static int32_t i32[N];
    for (size_t i = 0; i < N; i++) {
        i8[i] = (int8_t)(scrambled(i) >> 24);
        bits[i] = scrambled(i) >> 31 ? 0xFF : 0; /* any byte but 0 is true */
        i32[i] = (int32_t)scrambled(i);
    }
    struct nauha_stats stats = stats_of(NAUHA_DTYPE_I8, N, i8);
    assert_sums(&stats, -5121, 640395, 54648757, -0.5117417807534725, 54646136.370340765);
    assert_true(stats.sum == -5121 && stats.sum_abs == 640395 && stats.sum_squares == 54648757);
    assert_int_equal(stats.zeros, 40);
    assert_true(stats.min == -128 && stats.max == 127 && stats.abs_max == 128);
    stats = stats_of(NAUHA_DTYPE_BOOL, N, bits);
    assert_sums(&stats, 5003, 5003, 5003, 0.49995003497551715, 2501.749975017488);
    assert_int_equal(stats.zeros, 5004);
    stats = stats_of(NAUHA_DTYPE_I32, N, i32);
    assert_sums(&stats, -2033976979.0, 10744037292675.0, 1.5381765822956387e+22,
                -203255.41910662537, 1.5381765409539543e+22);
    assert_int_equal(stats.zeros, 1);
    assert_true(stats.min == -2147442415.0 && stats.max == 2147101004.0);
    const int64_t large[] = {INT64_MIN, INT64_MAX};
    stats = stats_of(NAUHA_DTYPE_I64, 2, large);
    assert_true(stats.min == -9223372036854775808.0 && stats.max == 9223372036854775808.0);
    assert_true(stats.sum == 0);
}

/* Elements of a recording may lie anywhere. */
static void test_unaligned(void **state) {
    (void)state;
    char bytes[1 + 100 * sizeof(float)];
    for (size_t i = 0; i < 100; i++) {
        const float value = (float)i;
        memcpy(bytes + 1 + i * sizeof value, &value, sizeof value);
    }
    assert_true(stats_of(NAUHA_DTYPE_F32, 100, bytes + 1).sum == 4950);
}

/* ---- sizes around the blocks ---- */

static void test_every_length(void **state) {
    (void)state;
    static const size_t lengths[] = {1,   2,   15,  16,  17,  31,   32,   33,   255,  256,
                                     257, 300, 511, 512, 513, 1023, 1024, 1025, 4097, N};
    static double x[N];
    for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) {
        const size_t n = lengths[k];
        long double sum = 0, sum_squares = 0, deviations = 0;
        double low = (double)INFINITY, high = -(double)INFINITY;
        for (size_t i = 0; i < n; i++) {
            x[i] = sample(i + k) + 3;
            sum += x[i];
            sum_squares += (long double)x[i] * x[i];
            low = fmin(low, x[i]);
            high = fmax(high, x[i]);
        }
        for (size_t i = 0; i < n; i++)
            deviations += (x[i] - sum / n) * (x[i] - sum / n);
        const struct nauha_stats stats = stats_of(NAUHA_DTYPE_F64, n, x);
        assert_int_equal(stats.count, n);
        assert_int_equal(stats.zeros, 0);
        assert_close(stats.sum, (double)sum, (double)sum);
        assert_close(stats.sum_squares, (double)sum_squares, (double)sum_squares);
        assert_close(stats.deviations, (double)deviations, (double)(deviations + 1));
        assert_true(stats.min == low && stats.max == high);
    }
}

static void assert_moments(const struct nauha_stats *stats, const double *x, size_t n) {
    long double sum = 0, mean, second = 0, third = 0, fourth = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i];
    mean = sum / n;
    for (size_t i = 0; i < n; i++) {
        const long double apart = x[i] - mean, square = apart * apart;
        second += square;
        third += square * apart;
        fourth += square * square;
    }
    const double deviation = sqrt((double)second / (double)n);
    assert_true(fabs(stats->deviations - (double)second) <= 1e-13 * (double)second);
    assert_true(fabs(stats->third - (double)third) <= 1e-13 * deviation * (double)second);
    assert_true(fabs(stats->fourth - (double)fourth) <= 1e-13 * (double)fourth);
}

/* Means from 0 to a thousand standard deviations, also on both sides of where the sums of powers
 * are taken of differences from the mean. */
static void test_moments_around_any_mean(void **state) {
    (void)state;
    static const double means[] = {0, -0.3, 0.57, 0.58, -1, 3, 300};
    static float f32[N];
    static double f64[N];
    for (size_t k = 0; k < sizeof means / sizeof *means; k++) {
        for (size_t i = 0; i < N; i++) {
            f64[i] = sample(i) + means[k];
            f32[i] = (float)f64[i];
        }
        struct nauha_stats stats = stats_of(NAUHA_DTYPE_F64, N, f64);
        assert_moments(&stats, f64, N);
        stats = stats_of(NAUHA_DTYPE_F32, N, f32);
        for (size_t i = 0; i < N; i++)
            f64[i] = (double)f32[i];
        assert_moments(&stats, f64, N);
    }
}

/* Adding up one after the other would be off by 1e-11 of it here. */
static void test_error_does_not_grow(void **state) {
    (void)state;
    const size_t n = 1u << 22;
    double *x = malloc(n * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++)
        x[i] = 0.1;
    const struct nauha_stats stats = stats_of(NAUHA_DTYPE_F64, n, x);
    free(x);
    /* 2^22 times a number is exact. */
    assert_close(stats.sum, 0.1 * (double)n, 0.1 * (double)n);
    assert_true(stats.deviations < 1e-20);
}

static void test_empty_and_scalar(void **state) {
    (void)state;
    struct nauha_stats stats = stats_of(NAUHA_DTYPE_F32, 0, NULL);
    assert_int_equal(stats.count, 0);
    assert_true(stats.sum == 0 && stats.sum_abs == 0 && stats.sum_squares == 0);
    assert_true(stats.deviations == 0);
    assert_true(isnan(stats.mean) && isnan(stats.min) && isnan(stats.max) && isnan(stats.abs_max));
    const float value = -2.5f;
    const struct nauha_tensor scalar = {.data = &value, .dtype = NAUHA_DTYPE_F32};
    nauha_stats_compute(&scalar, &stats);
    assert_int_equal(stats.count, 1);
    assert_true(stats.sum == -2.5 && stats.mean == -2.5 && stats.abs_max == 2.5);
    assert_true(stats.deviations == 0);
}

/* ---- what is not a number ---- */

/* In the first block, in a full later one, and in the tail. */
static void test_nan_and_inf_anywhere(void **state) {
    (void)state;
    static const size_t places[] = {0, 7, 255, 256, 600, 1099};
    double x[1100];
    for (size_t k = 0; k < sizeof places / sizeof *places; k++) {
        for (size_t i = 0; i < 1100; i++)
            x[i] = (double)i - 500;
        x[places[k]] = NAN;
        struct nauha_stats stats = stats_of(NAUHA_DTYPE_F64, 1100, x);
        assert_int_equal(stats.nans, 1);
        assert_int_equal(stats.infs, 0);
        assert_int_equal(stats.zeros, 1);
        assert_true(isnan(stats.sum) && isnan(stats.sum_abs) && isnan(stats.sum_squares));
        assert_true(isnan(stats.mean) && isnan(stats.deviations));
        assert_true(stats.min == (places[k] == 0 ? -499 : -500));
        assert_true(stats.max == (places[k] == 1099 ? 598 : 599));
        x[places[k]] = -(double)INFINITY;
        stats = stats_of(NAUHA_DTYPE_F64, 1100, x);
        assert_int_equal(stats.nans, 0);
        assert_int_equal(stats.infs, 1);
        assert_true(stats.sum == -(double)INFINITY && stats.mean == -(double)INFINITY);
        assert_true(stats.sum_abs == (double)INFINITY && stats.sum_squares == (double)INFINITY);
        assert_true(isnan(stats.deviations)); /* -inf - -inf */
        assert_true(stats.min == -(double)INFINITY && stats.abs_max == (double)INFINITY);
        x[places[k] ? 0 : 1] = (double)INFINITY;
        stats = stats_of(NAUHA_DTYPE_F64, 1100, x);
        assert_int_equal(stats.infs, 2);
        assert_true(isnan(stats.sum));
    }
}

static void test_only_nan(void **state) {
    (void)state;
    const float x[] = {NAN, -NAN, NAN};
    const struct nauha_stats stats = stats_of(NAUHA_DTYPE_F32, 3, x);
    assert_int_equal(stats.nans, 3);
    assert_int_equal(stats.zeros, 0);
    assert_true(isnan(stats.min) && isnan(stats.max) && isnan(stats.abs_max));
}

/* A sum that overflows is not an infinite element; squares of floats never overflow. */
static void test_extremes(void **state) {
    (void)state;
    const double large[] = {DBL_MAX, DBL_MAX};
    struct nauha_stats stats = stats_of(NAUHA_DTYPE_F64, 2, large);
    assert_int_equal(stats.infs, 0);
    assert_true(stats.sum == (double)INFINITY && stats.abs_max == DBL_MAX);
    const float floats[] = {FLT_MAX, -FLT_MAX};
    stats = stats_of(NAUHA_DTYPE_F32, 2, floats);
    assert_true(stats.sum == 0);
    assert_true(stats.sum_squares == 2.0 * FLT_MAX * FLT_MAX);
    const double tiny[] = {5e-324, 5e-324, 0, -0.0};
    stats = stats_of(NAUHA_DTYPE_F64, 4, tiny);
    assert_true(stats.sum == 1e-323 && stats.max == 5e-324);
    assert_int_equal(stats.zeros, 2);
    const float subnormal[] = {1e-45f, 0};
    stats = stats_of(NAUHA_DTYPE_F32, 2, subnormal);
    assert_int_equal(stats.zeros, 1);
    assert_true(stats.sum_squares > 0);
}

/* ---- powers ---- */

/* math.fsum(abs(x) ** p) */
static void test_sums_of_powers(void **state) {
    (void)state;
    static float x[N];
    const int64_t shape[] = {N}, none[] = {0};
    for (size_t i = 0; i < N; i++)
        x[i] = (float)sample(i);
    const struct nauha_tensor tensor = tensor_of(NAUHA_DTYPE_F32, shape, x);
    static const double expected[][2] = {{1, 2501.9588819742203},
                                         {2, 834.0560779079178},
                                         {3, 312.79486956015296},
                                         {0.5, 4717.548969536899},
                                         {2.5, 505.5342173291908}};
    struct nauha_message message = {.info = {.has_tensor = true,
                                             .dtype = NAUHA_DTYPE_F32,
                                             .ndim = 1,
                                             .shape = shape,
                                             .bytes = sizeof x},
                                    .data = x};
    for (size_t i = 0; i < 5; i++) {
        double of_message = 0;
        const double sum = nauha_stats_sum_powers(&tensor, expected[i][0]);
        assert_close(sum, expected[i][1], expected[i][1]);
        assert_int_equal(nauha_message_sum_powers(&message, expected[i][0], &of_message, NULL),
                         NAUHA_OK);
        assert_true(of_message == sum);
    }
    const struct nauha_tensor empty = tensor_of(NAUHA_DTYPE_F32, none, NULL);
    assert_true(nauha_stats_sum_powers(&empty, 3) == 0);
    const int64_t two[] = {2};
    const double special[] = {NAN, 1}, infinite[] = {-(double)INFINITY, 1};
    for (size_t i = 0; i < 5; i++) {
        const struct nauha_tensor a = tensor_of(NAUHA_DTYPE_F64, two, special);
        const struct nauha_tensor b = tensor_of(NAUHA_DTYPE_F64, two, infinite);
        assert_true(isnan(nauha_stats_sum_powers(&a, expected[i][0])));
        assert_true(nauha_stats_sum_powers(&b, expected[i][0]) == (double)INFINITY);
    }
}

/* ---- of messages ---- */

/* A source of the same elements in pieces of so many. */
struct cut {
    struct nauha_tensor tensor;
    size_t each;
    unsigned visits;
};

static enum nauha_status visit_cut(void *context, const struct nauha_message_info *info,
                                   uint64_t row, bool again, nauha_piece_fn fn, void *fn_context,
                                   struct nauha_error *err) {
    (void)row;
    (void)again;
    struct cut *cut = context;
    enum nauha_status status = NAUHA_OK;
    const size_t count = (size_t)info->shape[0], size = nauha_dtype_size(info->dtype);
    cut->visits++;
    for (size_t at = 0; at < count && status == NAUHA_OK; at += cut->each) {
        const int64_t length[] = {(int64_t)(count - at < cut->each ? count - at : cut->each)};
        const struct nauha_tensor piece =
            tensor_of(info->dtype, length, (const char *)cut->tensor.data + at * size);
        status = fn(fn_context, &piece, at, err);
    }
    return status;
}

#define LONG 50007u

static struct nauha_message message_of(const struct nauha__source *source, enum nauha_dtype dtype,
                                       const int64_t *shape) {
    return (struct nauha_message){.info = {.has_tensor = true,
                                           .dtype = dtype,
                                           .ndim = 1,
                                           .shape = shape,
                                           .bytes = (uint64_t)shape[0] * nauha_dtype_size(dtype)},
                                  .source = source};
}

/* Every group of statistics, alone and together, in pieces: bit by bit what one pass over the whole
 * tensor gives. */
static void test_pieces_and_groups_change_nothing(void **state) {
    (void)state;
    static float f32[LONG];
    static double f64[LONG];
    static const int64_t shape[] = {LONG};
    for (size_t i = 0; i < LONG; i++) {
        f64[i] = i % 7 == 0 ? 0 : sample(i) * (double)(1 + i % 1000);
        f32[i] = (float)f64[i];
    }
    for (unsigned wide = 0; wide < 2; wide++) {
        const enum nauha_dtype dtype = wide ? NAUHA_DTYPE_F64 : NAUHA_DTYPE_F32;
        struct cut cut = {.tensor = tensor_of(dtype, shape, wide ? (void *)f64 : (void *)f32)};
        const struct nauha__source source = {.context = &cut, .visit = visit_cut};
        struct nauha_stats whole;
        nauha_stats_compute(&cut.tensor, &whole);
        for (unsigned which = 1; which <= NAUHA_STATISTICS_ALL; which++) {
            struct nauha_message message = message_of(&source, dtype, shape);
            const struct nauha_stats *stats = NULL;
            cut.each = NAUHA_PIECE_ELEMENTS * (1 + which % 3);
            assert_int_equal(nauha_message_stats_of(&message, which, &stats, NULL), NAUHA_OK);
            assert_int_equal(stats->count, LONG);
            if (which & NAUHA_STATISTICS_ZEROS)
                assert_int_equal(stats->zeros, whole.zeros);
            if (which & NAUHA_STATISTICS_RANGE)
                assert_true(stats->min == whole.min && stats->max == whole.max &&
                            stats->abs_max == whole.abs_max && stats->nans == 0);
            if (which & NAUHA_STATISTICS_SUM)
                assert_true(stats->sum == whole.sum && stats->mean == whole.mean);
            if (which & NAUHA_STATISTICS_SUM_ABS)
                assert_true(stats->sum_abs == whole.sum_abs);
            if (which & NAUHA_STATISTICS_SUM_SQUARES)
                assert_true(stats->sum_squares == whole.sum_squares);
            if (which & NAUHA_STATISTICS_DEVIATIONS)
                assert_true(stats->deviations == whole.deviations);
            /* The rest of them, beside those there are. */
            assert_int_equal(nauha_message_stats(&message, &stats, NULL), NAUHA_OK);
            assert_memory_equal(stats, &whole, sizeof whole);
            nauha__message_fini(&message);
        }
        double sum = 0;
        struct nauha_message message = message_of(&source, dtype, shape);
        assert_int_equal(nauha_message_sum_powers(&message, 3, &sum, NULL), NAUHA_OK);
        assert_true(sum == nauha_stats_sum_powers(&cut.tensor, 3));
        nauha__message_fini(&message);
    }
}

static void test_a_pass_computes_what_is_expected(void **state) {
    (void)state;
    static const float x[] = {3, -4};
    static const int64_t shape[] = {2};
    struct cut cut = {.tensor = tensor_of(NAUHA_DTYPE_F32, shape, x), .each = 2};
    const struct nauha__source source = {.context = &cut, .visit = visit_cut};
    struct nauha_message message = message_of(&source, NAUHA_DTYPE_F32, shape);
    const struct nauha_stats *stats = NULL;
    message.expected.statistics = NAUHA_STATISTICS_SUM_ABS;
    assert_int_equal(nauha_message_stats_of(&message, NAUHA_STATISTICS_SUM_SQUARES, &stats, NULL),
                     NAUHA_OK);
    assert_true(stats->sum_squares == 25);
    assert_int_equal(nauha_message_stats_of(&message, NAUHA_STATISTICS_SUM_ABS, &stats, NULL),
                     NAUHA_OK);
    assert_true(stats->sum_abs == 7);
    assert_int_equal(cut.visits, 1);
    assert_int_equal(message.asked.statistics,
                     NAUHA_STATISTICS_SUM_ABS | NAUHA_STATISTICS_SUM_SQUARES);
    assert_int_equal(nauha_message_stats_of(&message, NAUHA_STATISTICS_RANGE, &stats, NULL),
                     NAUHA_OK);
    assert_true(stats->max == 3 && stats->abs_max == 4 && stats->sum_squares == 25);
    assert_int_equal(cut.visits, 2);
    nauha__message_fini(&message);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_f32_and_f64),
    cmocka_unit_test(test_small_variance_around_a_large_mean),
    cmocka_unit_test(test_f16),
    cmocka_unit_test(test_bf16),
    cmocka_unit_test(test_integers_and_bool),
    cmocka_unit_test(test_unaligned),
    cmocka_unit_test(test_every_length),
    cmocka_unit_test(test_moments_around_any_mean),
    cmocka_unit_test(test_error_does_not_grow),
    cmocka_unit_test(test_empty_and_scalar),
    cmocka_unit_test(test_nan_and_inf_anywhere),
    cmocka_unit_test(test_only_nan),
    cmocka_unit_test(test_extremes),
    cmocka_unit_test(test_sums_of_powers),
    cmocka_unit_test(test_pieces_and_groups_change_nothing),
    cmocka_unit_test(test_a_pass_computes_what_is_expected),
};

UNIT_MAIN(tests)
