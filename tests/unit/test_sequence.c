/* SPDX-License-Identifier: MIT */
/* The metrics that compare a tensor with an earlier one. Values are closed forms. */
#include "tests/unit/analyzer_fixture.h"

#include <float.h>

#include "nauha/internal/convert.h"

static void assert_close(const struct series *from, size_t i, double expected) {
    assert_true(i < from->count);
    if (!(fabs(from->values[i][0] - expected) <= 2 * DBL_EPSILON * fabs(expected)))
        fail_msg("%.17g is not %.17g", from->values[i][0], expected);
}

static void test_cosine(void **state) {
    (void)state;
    const struct series *out = run("cosine:weights", "weights_cosine");
    const double right[] = {3, 0}, up[] = {0, -2}, both[] = {1, -1}, zero[] = {0, 0};
    feed_f64(W, "a", 0, 2, right);
    feed_f64(W, "b", 0, 2, up);
    assert_int_equal(out->count, 0);
    feed_f64(W, "b", 1, 2, up);
    feed_f64(W, "a", 1, 2, up);
    feed_f64(W, "a", 2, 2, both);
    feed_f64(W, "b", 2, 2, zero);
    feed_f64(W, "b", 3, 2, up);
    feed_f64(W, "a", 3, 2, up);
    finish();
    assert_int_equal(out->count, 6);
    assert_value(out, 0, 1);
    assert_string_equal(out->info[0].module_name, "b");
    assert_int_equal(out->info[0].global_step, 1);
    assert_value(out, 1, 0);
    assert_close(out, 2, sqrt(0.5));
    assert_value(out, 3, NAN);
    assert_value(out, 4, NAN);
    assert_close(out, 5, sqrt(0.5));
    assert_plot("weights_cosine", "Cosine between steps of weights", "cosine", false);
}

/* Of 10000 elements, more than a block and than a piece; parallel ones are never beyond 1. */
static void test_cosine_of_many(void **state) {
    (void)state;
    const struct series *out = run("cosine:weights", "weights_cosine");
    static uint16_t x[10000], y[10000];
    for (size_t i = 0; i < COUNT(x); i++) {
        x[i] = nauha__float_to_bf16((float)(i % 7) - 2);
        y[i] = nauha__float_to_bf16(i < 5000 ? 2 - (float)(i % 7) : (float)(i % 7) - 2);
    }
    feed(W, "a", 0, NAUHA_DTYPE_BF16, COUNT(x), x);
    feed(W, "a", 1, NAUHA_DTYPE_BF16, COUNT(x), x);
    feed(W, "a", 2, NAUHA_DTYPE_BF16, COUNT(x), y);
    finish();
    double squares[2] = {0, 0};
    for (size_t i = 0; i < COUNT(x); i++)
        squares[i >= 5000] += (double)(i % 7 * (i % 7)) - 4 * (double)(i % 7) + 4;
    assert_value(out, 0, 1);
    assert_close(out, 1, (squares[1] - squares[0]) / (squares[1] + squares[0]));
}

static void test_cosine_starts_anew(void **state) {
    (void)state;
    add("cosine:activations,layer_gradients");
    start();
    const struct series *out = listen("activations_cosine"),
                        *other = listen("layer_gradients_cosine");
    const double x[] = {1, 1, 1};
    const float narrow[] = {2, 2, 2};
    feed_f64(NAUHA_KIND_ACTIVATIONS, "a", 0, 3, x);
    feed_f64(NAUHA_KIND_LAYER_GRADIENTS, "a", 0, 3, x);
    feed_f64(NAUHA_KIND_ACTIVATIONS, "a", 1, 2, x); /* the last batch is smaller */
    feed_f64(NAUHA_KIND_ACTIVATIONS, "a", 2, 3, x);
    feed(NAUHA_KIND_ACTIVATIONS, "a", 3, NAUHA_DTYPE_F32, 3, narrow);
    feed(NAUHA_KIND_ACTIVATIONS, "a", 4, NAUHA_DTYPE_F32, 3, narrow);
    feed(NAUHA_KIND_ACTIVATIONS, "a", 5, NAUHA_DTYPE_F32, 0, NULL);
    feed(NAUHA_KIND_ACTIVATIONS, "a", 6, NAUHA_DTYPE_F32, 0, NULL);
    finish();
    assert_int_equal(out->count, 2);
    assert_int_equal(out->info[0].global_step, 4);
    assert_close(out, 0, 1);
    assert_value(out, 1, NAN);
    assert_int_equal(other->count, 0);
}

static void test_distance(void **state) {
    (void)state;
    add("distance:weights");
    start();
    const struct series *absolute = listen("weights_distance"),
                        *relative = listen("weights_relative_distance");
    const double start_at[] = {3, 4}, there[] = {3, -8}, zero[] = {0, 0}, nan[] = {NAN, 0};
    feed_f64(W, "a", 0, 2, start_at);
    feed_f64(W, "b", 0, 2, zero);
    feed_f64(W, "a", 1, 2, there);
    feed_f64(W, "b", 1, 2, start_at);
    feed_f64(W, "a", 2, 2, zero);
    feed_f64(W, "a", 3, 2, start_at);
    feed_f64(W, "a", 4, 2, nan);
    feed_f64(W, "c", 4, 2, nan);
    feed_f64(W, "a", 5, 1, there);
    finish();
    const double expected[][2] = {{0, 0}, {0, NAN}, {12, 2.4},  {5, (double)INFINITY},
                                  {5, 1}, {0, 0},   {NAN, NAN}, {NAN, NAN},
                                  {0, 0}};
    assert_int_equal(absolute->count, COUNT(expected));
    for (size_t i = 0; i < COUNT(expected); i++) {
        assert_value(absolute, i, expected[i][0]);
        assert_value(relative, i, expected[i][1]);
    }
    assert_plot("weights_distance", "Distance from the start of weights", "L2 distance", false);
    assert_plot("weights_relative_distance", "Relative distance from the start of weights",
                "L2 distance / L2 norm at the start", false);
}

/* 8 bytes are kept for each of 131072 elements, which is all of a MiB. */
static void test_memory_is_limited(void **state) {
    (void)state;
    run("distance:weights:memory=1", "weights_distance");
    static double x[1 << 17];
    feed_f64(W, "a", 0, COUNT(x), x);
    feed_f64(W, "a", 1, COUNT(x), x);
    feed_f64(W, "a", 2, COUNT(x) - 2, x);
    feed_f64(W, "b", 2, 2, x);
    refused(
        try_feed(message_of(stamps_of(names, W, "c", 2), NAUHA_DTYPE_F64, 1, SHAPE(1 << 16), x)),
        NAUHA_LIMIT,
        "subscriber \"distance:weights:memory=1\": cannot keep weights of module \"c\" (0.5 MiB) "
        "for comparison, because 2 tensors already take 1.0 of memory=1 MiB: select fewer modules "
        "(--modules), or raise memory=");
}

static const struct CMUnitTest tests[] = {
    RUN(test_cosine),   RUN(test_cosine_of_many),    RUN(test_cosine_starts_anew),
    RUN(test_distance), RUN(test_memory_is_limited),
};

UNIT_MAIN(tests)
