/* SPDX-License-Identifier: MIT */
/* Histograms against those of NumPy 2.4: numpy.histogram(x, bins=..., range=...), with the arrays
 * that the tests give. */
#include "tests/unit/analyzer_fixture.h"

#include <float.h>

struct bins {
    size_t count;
    const double *edges; /* count + 1; NULL: any */
    const uint64_t *counts;
};

static void assert_histogram(const struct series *from, size_t i, const struct bins *expected) {
    assert_true(i < from->count);
    assert_int_equal(from->info[i].ndim, 2);
    assert_int_equal(from->elements[i], 3 * expected->count);
    for (size_t bin = 0; bin < expected->count; bin++) {
        const double *row = &from->values[i][3 * bin];
        if (expected->edges &&
            !(row[0] == expected->edges[bin] && row[1] == expected->edges[bin + 1]))
            fail_msg("bin %zu is [%.17g, %.17g]", bin, row[0], row[1]);
        if (!(row[2] == (double)expected->counts[bin]))
            fail_msg("bin %zu has %g", bin, row[2]);
    }
}

static double scrambled(size_t i) {
    return (double)((uint32_t)(i * 2654435761u) >> 8) / 16777216.0 - 0.5;
}

/* i = numpy.arange(10007, dtype=numpy.uint64)
 * x = ((i * 2654435761 % 2**32) >> 8).astype(numpy.float64) / 2**24 - 0.5 */
static void test_histogram_defaults(void **state) {
    (void)state;
    static const uint64_t counts[] = {334, 334, 334, 334, 333, 334, 333, 334, 332, 335,
                                      334, 333, 333, 333, 334, 334, 333, 334, 334, 333,
                                      333, 334, 333, 334, 333, 333, 334, 334, 334, 333};
    static const double edges[] = {-0.5,
                                   -0.4666693170865377,
                                   -0.4333386341730754,
                                   -0.400007951259613,
                                   -0.3666772683461507,
                                   -0.3333465854326884,
                                   -0.30001590251922605,
                                   -0.26668521960576375,
                                   -0.23335453669230144,
                                   -0.20002385377883913,
                                   -0.16669317086537683,
                                   -0.13336248795191447,
                                   -0.10003180503845216,
                                   -0.06670112212498985,
                                   -0.03337043921152749,
                                   -3.975629806518555e-05,
                                   0.03329092661539712,
                                   0.06662160952885943,
                                   0.09995229244232173,
                                   0.13328297535578404,
                                   0.16661365826924635,
                                   0.19994434118270876,
                                   0.23327502409617107,
                                   0.2666057070096334,
                                   0.2999363899230957,
                                   0.333267072836558,
                                   0.3665977557500203,
                                   0.3999284386634826,
                                   0.433259121576945,
                                   0.4665898044904073,
                                   0.49992048740386963};
    static double x[10007];
    for (size_t i = 0; i < COUNT(x); i++)
        x[i] = scrambled(i);
    const struct series *out = run("histogram:weights", "weights_histogram");
    feed_f64(W, "a", 0, COUNT(x), x);
    finish();
    assert_histogram(out, 0, &(struct bins){30, edges, counts});
    assert_plot("weights_histogram", "Histogram of weights", "value", false);
}

/* numpy.arange(-10, 21) * 0.1: every element lies on an edge or a rounding beside it. */
static void test_histogram_on_the_edges(void **state) {
    (void)state;
    static const uint64_t counts[] = {1, 1, 2, 1, 0, 2, 1, 1, 1, 0, 2, 1, 0, 2, 0,
                                      1, 2, 0, 2, 0, 1, 1, 2, 1, 0, 1, 1, 2, 1, 1};
    static const double edges[] = {-1.0,
                                   -0.9,
                                   -0.8,
                                   -0.7,
                                   -0.6,
                                   -0.5,
                                   -0.3999999999999999,
                                   -0.29999999999999993,
                                   -0.19999999999999996,
                                   -0.09999999999999998,
                                   0.0,
                                   0.10000000000000009,
                                   0.20000000000000018,
                                   0.30000000000000004,
                                   0.40000000000000013,
                                   0.5,
                                   0.6000000000000001,
                                   0.7000000000000002,
                                   0.8,
                                   0.9000000000000001,
                                   1.0,
                                   1.1,
                                   1.2000000000000002,
                                   1.3000000000000003,
                                   1.4000000000000004,
                                   1.5,
                                   1.6,
                                   1.7000000000000002,
                                   1.8000000000000003,
                                   1.9000000000000004,
                                   2.0};
    double x[31];
    for (int i = 0; i < 31; i++)
        x[i] = (double)(i - 10) * 0.1;
    const struct series *out = run("histogram:weights:bins=30", "weights_histogram");
    feed_f64(W, "a", 0, 31, x);
    finish();
    assert_histogram(out, 0, &(struct bins){30, edges, counts});
}

static void test_histogram_with_a_range(void **state) {
    (void)state;
    static const uint64_t counts[] = {1, 1, 2, 0, 1, 2, 1, 0, 1, 2};
    const double x[] = {0,
                        .1,
                        .2,
                        .3,
                        .4,
                        .5,
                        .6,
                        .7,
                        .8,
                        .9,
                        1.0,
                        1.1,
                        -.1,
                        NAN,
                        (double)INFINITY,
                        -(double)INFINITY};
    const struct series *out = run("histogram:weights:bins=10:range=0:1", "weights_histogram");
    feed_f64(W, "a", 0, COUNT(x), x);
    finish();
    assert_histogram(out, 0, &(struct bins){10, NULL, counts});
    assert_true(out->values[0][0] == 0 && out->values[0][3 * 9 + 1] == 1);
}

static void test_histogram_with_half_a_range(void **state) {
    (void)state;
    const double x[] = {-2, 0, 1, 2, 4}, negative[] = {-3, -1};
    const struct series *out = run("histogram:weights:bins=2:range=0:", "weights_histogram");
    feed_f64(W, "a", 0, 5, x);
    feed_f64(W, "a", 1, 2, negative);
    feed_f64(W, "a", 2, 0, NULL);
    finish();
    assert_histogram(out, 0, &(struct bins){2, (double[]){0, 2, 4}, (uint64_t[]){2, 2}});
    assert_histogram(out, 1, &(struct bins){2, (double[]){0, 0.5, 1}, (uint64_t[]){0, 0}});
    assert_histogram(out, 2, &(struct bins){2, (double[]){0, 0.5, 1}, (uint64_t[]){0, 0}});
}

static void test_histogram_with_an_upper_end(void **state) {
    (void)state;
    const double x[] = {5, 6}, constant[] = {2, 2};
    const struct series *out = run("histogram:weights:bins=2:range=:2", "weights_histogram");
    feed_f64(W, "a", 0, 2, x);
    feed_f64(W, "a", 1, 2, constant);
    finish();
    assert_histogram(out, 0, &(struct bins){2, (double[]){1, 1.5, 2}, (uint64_t[]){0, 0}});
    assert_histogram(out, 1, &(struct bins){2, (double[]){1, 1.5, 2}, (uint64_t[]){0, 2}});
}

/* The automatic range is that of the finite elements. */
static void test_histogram_of_special_tensors(void **state) {
    (void)state;
    const struct series *out = run("histogram:weights:bins=4", "weights_histogram");
    const float constant[] = {3, 3, 3, 3, 3};
    const double infinite[] = {(double)INFINITY, 0, 1, 2, 4, -(double)INFINITY, NAN};
    const double nans[] = {NAN, (double)INFINITY};
    const double wide[] = {-1.7e308, 0, 1.7e308}, huge[] = {1e300, 1e300};
    const double largest[] = {DBL_MAX};
    const uint8_t bits[] = {1, 0, 1};
    feed(W, "a", 0, NAUHA_DTYPE_F32, 5, constant);
    feed_f64(W, "a", 1, 7, infinite);
    feed_f64(W, "a", 2, 2, nans);
    feed(W, "a", 3, NAUHA_DTYPE_F32, 0, NULL);
    feed_f64(W, "a", 4, 3, wide);
    feed_f64(W, "a", 5, 2, huge);
    feed_f64(W, "a", 6, 1, largest);
    feed(W, "a", 7, NAUHA_DTYPE_BOOL, 3, bits);
    finish();
    assert_histogram(
        out, 0, &(struct bins){4, (double[]){2.5, 2.75, 3, 3.25, 3.5}, (uint64_t[]){0, 0, 5, 0}});
    assert_histogram(out, 1,
                     &(struct bins){4, (double[]){0, 1, 2, 3, 4}, (uint64_t[]){1, 1, 1, 1}});
    for (size_t i = 2; i < 4; i++)
        assert_histogram(
            out, i, &(struct bins){4, (double[]){0, 0.25, 0.5, 0.75, 1}, (uint64_t[]){0, 0, 0, 0}});
    /* NumPy has no answer to these three: the width overflows, or a half changes nothing. */
    assert_histogram(out, 4, &(struct bins){4, NULL, (uint64_t[]){1, 0, 1, 1}});
    for (size_t i = 5; i < 7; i++) {
        double total = 0;
        for (size_t bin = 0; bin < 4; bin++) {
            assert_true(out->values[i][3 * bin] <= out->values[i][3 * bin + 1]);
            total += out->values[i][3 * bin + 2];
        }
        assert_true(total == (i == 5 ? 2 : 1));
        assert_true(out->values[i][0] < out->values[i][3 * 3 + 1]);
        assert_true(isfinite(out->values[i][3 * 3 + 1]));
    }
    assert_histogram(
        out, 7, &(struct bins){4, (double[]){0, 0.25, 0.5, 0.75, 1}, (uint64_t[]){1, 0, 0, 2}});
}

/* numpy.arange(11) * 5e-324 */
static void test_histogram_of_subnormals(void **state) {
    (void)state;
    double x[11];
    for (int i = 0; i < 11; i++)
        x[i] = i * 5e-324;
    const struct series *out = run("histogram:weights:bins=5", "weights_histogram");
    feed_f64(W, "a", 0, 11, x);
    /* More bins than numbers: NumPy refuses to count here, but has edges:
     * numpy.linspace(0, 5e-324, 6). */
    feed_f64(W, "a", 1, 2, x);
    finish();
    assert_histogram(out, 0,
                     &(struct bins){5, (double[]){0, 1e-323, 2e-323, 3e-323, 4e-323, 5e-323},
                                    (uint64_t[]){2, 2, 2, 2, 3}});
    assert_histogram(out, 1,
                     &(struct bins){5, (double[]){0, 0, 0, 5e-324, 5e-324, 5e-324},
                                    (uint64_t[]){0, 0, 1, 0, 1}});
}

/* numpy.arange(-10, 21) / 3 in 7 bins */
static void test_histogram_of_thirds(void **state) {
    (void)state;
    double x[31];
    for (int i = 0; i < 31; i++)
        x[i] = (i - 10) / 3.0;
    const struct series *out = run("histogram:weights:bins=7", "weights_histogram");
    feed_f64(W, "a", 0, 31, x);
    finish();
    assert_histogram(
        out, 0,
        &(struct bins){7,
                       (double[]){-3.3333333333333335, -1.9047619047619049, -0.4761904761904763,
                                  0.9523809523809521, 2.380952380952381, 3.8095238095238098,
                                  5.238095238095237, 6.666666666666667},
                       (uint64_t[]){5, 4, 4, 5, 4, 4, 5}});
}

static const struct CMUnitTest tests[] = {
    RUN(test_histogram_defaults),          RUN(test_histogram_on_the_edges),
    RUN(test_histogram_with_a_range),      RUN(test_histogram_with_half_a_range),
    RUN(test_histogram_with_an_upper_end), RUN(test_histogram_of_special_tensors),
    RUN(test_histogram_of_subnormals),     RUN(test_histogram_of_thirds),
};

UNIT_MAIN(tests)
