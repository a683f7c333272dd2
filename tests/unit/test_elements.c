/* SPDX-License-Identifier: MIT */
/* The metrics of single elements and their distribution. Values are closed forms; NumPy's and those
 * of extreme tensors are in tests/integration/test_numbers.py. */
#include "tests/unit/analyzer_fixture.h"

#include <float.h>

/* ---- extremes ---- */

static void test_extremes(void **state) {
    (void)state;
    add("min:weights");
    add("max:weights");
    add("absmax:weights");
    add("rms:weights");
    start();
    const struct series *min = listen("weights_min"), *max = listen("weights_max"),
                        *absmax = listen("weights_absmax"), *rms = listen("weights_rms");
    const int8_t x[] = {3, -4, 0, 1, -2};
    const float nan[] = {1, NAN, 5}, inf[] = {-INFINITY, 2};
    feed(W, "a", 0, NAUHA_DTYPE_I8, 5, x);
    feed(W, "a", 1, NAUHA_DTYPE_F32, 3, nan);
    feed(W, "a", 2, NAUHA_DTYPE_F32, 2, inf);
    feed(W, "a", 3, NAUHA_DTYPE_F32, 0, NULL);
    finish();
    assert_value(min, 0, -4);
    assert_value(max, 0, 3);
    assert_value(absmax, 0, 4);
    assert_value(rms, 0, sqrt(30 / 5.0));
    assert_value(min, 2, -(double)INFINITY);
    assert_value(max, 2, 2);
    assert_value(absmax, 2, (double)INFINITY);
    assert_value(rms, 2, (double)INFINITY);
    for (size_t i = 1; i < 4; i += 2) {
        assert_value(min, i, NAN);
        assert_value(max, i, NAN);
        assert_value(absmax, i, NAN);
        assert_value(rms, i, NAN);
    }
    assert_plot("weights_min", "Minimum of weights", "minimum", false);
    assert_plot("weights_max", "Maximum of weights", "maximum", false);
    assert_plot("weights_absmax", "Largest magnitude of weights", "magnitude", true);
    assert_plot("weights_rms", "Root mean square of weights", "rms", true);
}

/* ---- distribution ---- */

/* Of m zeros and one 1, p = 1 / (m + 1): a Bernoulli distribution, whose skewness is
 * (1 - 2p) / sqrt(p (1 - p)) and whose excess kurtosis is (1 - 6p (1 - p)) / (p (1 - p)). */
static void test_skewness_and_kurtosis(void **state) {
    (void)state;
    add("skewness:weights");
    add("kurtosis:weights");
    start();
    const struct series *skewness = listen("weights_skewness"),
                        *kurtosis = listen("weights_kurtosis");
    static float x[9999];
    x[5000] = 1;
    const double two[] = {-1e300, 1e300}, same[] = {0.1, 0.1, 0.1}, one[] = {4};
    feed(W, "a", 0, NAUHA_DTYPE_F32, COUNT(x), x);
    feed_f64(W, "a", 1, 3, same);
    feed_f64(W, "a", 2, 1, one);
    feed_f64(W, "a", 3, 0, NULL);
    feed_f64(W, "a", 4, 2, two);
    finish();
    const double p = 1.0 / COUNT(x), variance = p * (1 - p);
    if (!(fabs(skewness->values[0][0] * sqrt(variance) / (1 - 2 * p) - 1) < 4 * DBL_EPSILON))
        fail_msg("%.17g", skewness->values[0][0]);
    if (!(fabs(kurtosis->values[0][0] * variance / (1 - 6 * variance) - 1) < 4 * DBL_EPSILON))
        fail_msg("%.17g", kurtosis->values[0][0]);
    for (size_t i = 1; i < 4; i++) {
        assert_value(skewness, i, NAN);
        assert_value(kurtosis, i, NAN);
    }
    assert_value(skewness, 4, 0); /* of two numbers as far from their mean, whatever their size */
    assert_value(kurtosis, 4, -2);
    assert_plot("weights_skewness", "Skewness of weights", "skewness", false);
    assert_plot("weights_kurtosis", "Excess kurtosis of weights", "excess kurtosis", false);
}

static void test_zeros(void **state) {
    (void)state;
    add("zeros:weights,biases");
    add("zeros:weights:eps=0.5");
    start();
    const struct series *exact = listen("weights_zeros"), *biases = listen("biases_zeros"),
                        *near = listen("weights_zeros0.5");
    const float x[] = {0, -0.0f, 0.25f, -0.5f, 1, NAN, -INFINITY, 0};
    feed(W, "a", 0, NAUHA_DTYPE_F32, 8, x);
    feed(NAUHA_KIND_BIASES, "a", 0, NAUHA_DTYPE_F32, 2, x);
    feed(W, "a", 1, NAUHA_DTYPE_F32, 0, NULL);
    finish();
    assert_value(exact, 0, 3 / 8.0);
    assert_value(near, 0, 5 / 8.0);
    assert_value(biases, 0, 1);
    assert_value(exact, 1, NAN);
    assert_value(near, 1, NAN);
    assert_plot_from("weights_zeros", "Fraction of zeros of weights", "fraction", 0, 1, false);
    assert_plot_from("weights_zeros0.5", "Fraction of zeros of weights (|x| <= 0.5)", "fraction", 0,
                     1, false);
}

static void test_zeros_refuses(void **state) {
    (void)state;
    assert_int_equal(nauha_pipeline_add_metric(pipeline, "zeros:weights:eps=-1", &err),
                     NAUHA_INVALID);
    assert_non_null(strstr(err.message, "key \"eps\" takes a number from 0 to inf, not \"-1\""));
}

/* ---- percentiles ---- */

static void test_percentiles(void **state) {
    (void)state;
    add("percentiles:weights,biases");
    add("percentiles:layer_gradients:q=0,12.5,100");
    start();
    const struct series *low = listen("weights_p1"), *median = listen("weights_p50"),
                        *high = listen("biases_p99"), *none = listen("layer_gradients_p0"),
                        *eighth = listen("layer_gradients_p12.5"),
                        *all = listen("layer_gradients_p100");
    static int32_t x[5001]; /* 0 to 50000 in steps of 10, in disorder: 7 and 5001 share no factor */
    for (int32_t i = 0; i < 5001; i++)
        x[i] = i * 7 % 5001 * 10;
    const double extremes[] = {-(double)INFINITY, 1.5, (double)INFINITY}, nan[] = {NAN, 1};
    feed(W, "a", 0, NAUHA_DTYPE_I32, 5001, x);
    feed(NAUHA_KIND_BIASES, "a", 0, NAUHA_DTYPE_I32, 2, x);
    feed(NAUHA_KIND_LAYER_GRADIENTS, "a", 0, NAUHA_DTYPE_I32, 5001, x);
    feed_f64(NAUHA_KIND_LAYER_GRADIENTS, "a", 1, 3, extremes);
    feed_f64(W, "a", 1, 2, nan);
    feed_f64(W, "a", 2, 0, NULL);
    feed_f64(W, "a", 3, 1, extremes + 1);
    finish();
    assert_value(low, 0, 500);
    assert_value(median, 0, 25000);
    assert_value(high, 0, 70 - 70 * (1 - 0.99));
    assert_value(none, 0, 0);
    assert_value(eighth, 0, 6250);
    assert_value(all, 0, 50000);
    assert_value(none, 1, -(double)INFINITY);
    assert_value(eighth, 1, -(double)INFINITY);
    assert_value(all, 1, (double)INFINITY);
    assert_value(median, 1, NAN);
    assert_value(median, 2, NAN);
    assert_value(median, 3, 1.5);
    assert_plot("layer_gradients_p12.5", "Percentile of layer_gradients (12.5 %)", "value", false);
}

static void test_percentiles_refuse(void **state) {
    (void)state;
    add("percentiles:weights:q=5,50,5");
    assert_int_equal(nauha_pipeline_start(pipeline, &err), NAUHA_INVALID);
    assert_non_null(strstr(err.message, "both write the series \"weights_p5\""));
    char spec[200] = "percentiles:biases:q=0";
    for (unsigned i = 1; i <= 32; i++)
        snprintf(spec + strlen(spec), sizeof spec - strlen(spec), ",%u", i);
    nauha_pipeline_free(pipeline);
    pipeline = nauha_pipeline_new(names);
    add(spec);
    assert_int_equal(nauha_pipeline_start(pipeline, &err), NAUHA_INVALID);
    assert_non_null(strstr(err.message, "key \"q\" has 33 percentiles, more than 32"));
}

/* ---- what is not finite ---- */

static void test_nonfinite(void **state) {
    (void)state;
    add("nonfinite:weights:dims=3");
    start();
    const struct series *nans = listen("weights_nans"), *infs = listen("weights_infs"),
                        *first = listen("weights_first_nonfinite"),
                        *rows = listen("weights_first_nonfinite_dim0"),
                        *columns = listen("weights_first_nonfinite_dim1"),
                        *depths = listen("weights_first_nonfinite_dim2");
    static float x[40 * 30];
    feed(W, "a", 0, NAUHA_DTYPE_F32, COUNT(x), x);
    x[20 * 30 + 7] = NAN;
    x[20 * 30 + 8] = -INFINITY;
    x[39 * 30] = INFINITY;
    ok(try_feed(message_of(stamps_of(names, W, "b", 0), NAUHA_DTYPE_F32, 2, SHAPE(40, 30), x)));
    feed(W, "b", 1, NAUHA_DTYPE_F32, 0, NULL);
    ok(try_feed(message_of(stamps_of(names, W, "c", 1), NAUHA_DTYPE_F32, 0, NULL, &x[607])));
    finish();
    const double expected_nans[] = {0, 1, 0, 1}, expected_infs[] = {0, 2, 0, 0};
    for (size_t i = 0; i < 4; i++) {
        assert_value(nans, i, expected_nans[i]);
        assert_value(infs, i, expected_infs[i]);
    }
    assert_int_equal(first->count, 2);
    assert_value(first, 0, 607);
    assert_value(first, 1, 0);
    assert_string_equal(first->info[0].module_name, "b");
    assert_int_equal(first->info[0].global_step, 0);
    assert_int_equal(rows->count, 1);
    assert_value(rows, 0, 20);
    assert_int_equal(columns->count, 1);
    assert_value(columns, 0, 7);
    assert_int_equal(depths->count, 0);
    assert_plot_from("weights_nans", "NaN elements of weights", "elements", 0, NAN, false);
    assert_plot_from("weights_infs", "Infinite elements of weights", "elements", 0, NAN, false);
    assert_plot_from("weights_first_nonfinite", "First element that is not finite of weights",
                     "index (row-major)", 0, NAN, false);
    assert_plot_from("weights_first_nonfinite_dim1",
                     "First element that is not finite of weights, dimension 1", "index", 0, NAN,
                     false);
}

static const struct CMUnitTest tests[] = {
    RUN(test_extremes),      RUN(test_skewness_and_kurtosis), RUN(test_zeros),
    RUN(test_zeros_refuses), RUN(test_percentiles),           RUN(test_percentiles_refuse),
    RUN(test_nonfinite),
};

UNIT_MAIN(tests)
