/* SPDX-License-Identifier: MIT */
/* Health rules that look at layers over several steps, and at inputs. */
#include "tests/unit/rule_fixture.h"

/* ---- dead_relu ---- */

/* So many of 10 units are active, each in one place of a row. */
static void feed_relu(const char *class_name, uint64_t step, int64_t rows, size_t active) {
    double *x = calloc((size_t)rows * 10, sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < active; i++)
        x[i] = 1;
    feed_shaped(A, class_name, class_name, "default", step, NAUHA_DTYPE_F64, 2, SHAPE(rows, 10), x);
    free(x);
}

static void test_dead_relu(void **state) {
    (void)state;
    const struct series *out = run("dead_relu", "activations_dead_relu");
    feed_relu("Linear", 0, 100, 0);
    feed_relu("ReLU", 0, 100, 5); /* half are dead: not more than half */
    assert_int_equal(found(), 0);
    feed_relu("ReLU", 1, 100, 4);
    feed_relu("ReLU", 2, 100, 0);
    finish();
    assert_int_equal(out->count, 3);
    assert_value(out, 0, 50);
    assert_value(out, 1, 60);
    assert_value(out, 2, 100);
    assert_int_equal(found(), 1);
    assert_int_equal(finding_at(0).count, 2);
    assert_int_equal(finding_at(0).first_step, 1);
    assert_close(finding_at(0).worst, 100, 0);
    assert_close(finding_at(0).threshold, 50, 0);
}

/* 1 % cannot be told from 32 samples: four steps make 128. */
static void test_small_batches_are_put_together(void **state) {
    (void)state;
    const struct series *out = run("dead_relu", "activations_dead_relu");
    for (uint64_t step = 0; step < 3; step++)
        feed_relu("ReLU", step, 32, 0);
    assert_int_equal(out->count, 0);
    feed_relu("ReLU", 3, 32, 10); /* one in 128 is less than 1 % */
    assert_int_equal(out->count, 1);
    assert_value(out, 0, 100);
    for (uint64_t step = 4; step < 7; step++)
        feed_relu("ReLU", step, 32, 10); /* three in 128 are more */
    feed_relu("ReLU", 7, 32, 0);
    assert_int_equal(out->count, 2);
    assert_value(out, 1, 0);
}

/* [2, 2, 50]: a channel is a unit. With dimension=-1 a place is. */
static void test_units_of_convolutions(void **state) {
    (void)state;
    double x[200] = {0};
    add("dead_relu:activations:layer=40");
    add("dead_relu:inputs:dimension=-1:inactivity=50:layer=40");
    start();
    const struct series *channels = listen("activations_dead_relu");
    const struct series *places = listen("inputs_dead_relu");
    for (size_t i = 0; i < 50; i++)
        x[100 + i] = 1; /* of the second sample, the first channel */
    feed_shaped(A, "c", "ReLU", "default", 0, NAUHA_DTYPE_F64, 3, SHAPE(2, 2, 50), x);
    feed_shaped(NAUHA_KIND_INPUTS, "c", "ReLU", "default", 0, NAUHA_DTYPE_F64, 3, SHAPE(2, 2, 50),
                x);
    assert_value(channels, 0, 50);
    assert_value(places, 0, 100); /* each is active in a quarter */
    assert_int_equal(found(), 2);
}

static void test_units_edges(void **state) {
    (void)state;
    const struct series *out = run("dead_relu:inactivity=100", "activations_dead_relu");
    const double nan[] = {NAN, NAN, 0, 0};
    feed_shaped(A, "a", "ReLU", "default", 0, NAUHA_DTYPE_F64, 2, SHAPE(0, 4), nan);
    feed_shaped(A, "a", "ReLU", "default", 0, NAUHA_DTYPE_F64, 2, SHAPE(4, 0), nan);
    feed_shaped(A, "a", "ReLU", "default", 0, NAUHA_DTYPE_F64, 0, NULL, nan);
    feed_shaped(A, "a", "ReLU", "default", 0, NAUHA_DTYPE_F64, 1, SHAPE(4), nan);
    assert_int_equal(out->count, 0);
    feed_shaped(A, "a", "ReLU", "default", 1, NAUHA_DTYPE_F64, 2, SHAPE(1, 4), nan);
    feed_shaped(A, "a", "ReLU", "default", 2, NAUHA_DTYPE_F64, 2, SHAPE(2, 2), nan); /* resized */
    assert_value(out, 0, 50); /* a NaN is not dead */
    assert_value(out, 1, 100);
}

/* ---- saturated_activation ---- */

static void test_saturated_by_inputs(void **state) {
    (void)state;
    double tanh_in[4 * 100], sigmoid_in[4 * 100], outputs[4 * 100];
    for (size_t i = 0; i < 100; i++) {
        const double t[] = {9.5, -9.5, 9.4999, 1}, s[] = {17, -23.1, 17, 16.99999};
        memcpy(tanh_in + 4 * i, t, sizeof t);
        memcpy(sigmoid_in + 4 * i, s, sizeof s);
    }
    for (size_t i = 0; i < COUNT(outputs); i++)
        outputs[i] = 1;
    add("saturated_activation");
    start();
    const struct series *by_inputs = listen("inputs_saturated_activation");
    const struct series *by_outputs = listen("activations_saturated_activation");
    const uint32_t inputs = NAUHA_KIND_INPUTS;
    feed_shaped(inputs, "t", "Tanh", "default", 0, NAUHA_DTYPE_F64, 2, SHAPE(100, 4), tanh_in);
    feed_shaped(A, "t", "Tanh", "default", 0, NAUHA_DTYPE_F64, 2, SHAPE(100, 4), outputs);
    feed_shaped(inputs, "s", "Sigmoid", "default", 0, NAUHA_DTYPE_F64, 2, SHAPE(100, 4),
                sigmoid_in);
    feed_shaped(inputs, "r", "ReLU", "default", 0, NAUHA_DTYPE_F64, 2, SHAPE(100, 4), tanh_in);
    assert_int_equal(by_inputs->count, 2);
    assert_value(by_inputs, 0, 50);
    assert_value(by_inputs, 1, 75);
    assert_int_equal(by_outputs->count, 0); /* the inputs say it better */
    assert_int_equal(found(), 1);
    assert_string_equal(finding_at(0).module, "s");
}

/* What tanh and sigmoid of the thresholds are in each type. */
static void test_saturated_by_outputs(void **state) {
    (void)state;
    static const struct {
        enum nauha_dtype dtype;
        const char *class_name;
        double saturated, fine; /* neighbours in the type */
    } rows[] = {
        {NAUHA_DTYPE_F32, "Tanh", 1, 0.99999994},
        {NAUHA_DTYPE_F32, "Tanh", -1, -0.99999994},
        {NAUHA_DTYPE_F32, "Sigmoid", 0.99999994, 0.99999988},
        {NAUHA_DTYPE_F32, "Sigmoid", 1.0261879e-10, 1.0262e-10},
        {NAUHA_DTYPE_F64, "Tanh", 0.9999999889, 0.9999999887},
        {NAUHA_DTYPE_F64, "Sigmoid", 0.9999999587, 0.9999999585},
    };
    add("saturated_activation:activations:layer=99");
    start();
    const struct series *out = listen("activations_saturated_activation");
    for (size_t i = 0; i < COUNT(rows); i++) {
        char name[8];
        double wide[200];
        float narrow[200];
        snprintf(name, sizeof name, "m%zu", i);
        for (size_t j = 0; j < 200; j++) {
            wide[j] = j % 2 ? rows[i].saturated : rows[i].fine;
            narrow[j] = (float)wide[j];
        }
        feed_shaped(A, name, rows[i].class_name, "default", 0, rows[i].dtype, 2, SHAPE(100, 2),
                    rows[i].dtype == NAUHA_DTYPE_F32 ? (const void *)narrow : wide);
        assert_value(out, i, 50);
    }
    const uint16_t half[] = {0x3C00, 0x3BFF}; /* f16: 1 and its neighbour */
    uint16_t x[200];
    for (size_t j = 0; j < 200; j++)
        x[j] = half[j % 2];
    feed_shaped(A, "half", "Tanh", "default", 0, NAUHA_DTYPE_F16, 2, SHAPE(100, 2), x);
    assert_value(out, COUNT(rows), 50);
}

/* ---- unchanged_tensor ---- */

static void test_unchanged_tensor(void **state) {
    (void)state;
    const struct series *out = run("unchanged_tensor", "weights_unchanged_tensor");
    double x[2000];
    for (size_t i = 0; i < COUNT(x); i++)
        x[i] = (double)i;
    for (uint64_t step = 0; step < 3; step++)
        feed_f64(W, "a", step, COUNT(x), x);
    assert_int_equal(found(), 0); /* the same twice */
    feed_f64(W, "a", 3, COUNT(x), x);
    assert_int_equal(found(), 1);
    assert_int_equal(finding_at(0).first_step, 3);
    assert_close(finding_at(0).value, 3, 0);
    x[1999] += 1; /* one element, which no sample sees */
    feed_f64(W, "a", 4, COUNT(x), x);
    for (size_t i = 0; i < 5; i++)
        assert_value(out, i, i < 4 ? (double)i : 0);
    assert_int_equal(finding_at(0).count, 1);
}

/* Within the tolerance, from where it was when it last changed; a copy is kept from the second
 * step on. */
static void test_unchanged_within_the_tolerance(void **state) {
    (void)state;
    const struct series *out = run("unchanged_tensor:rtol=1e-2:atol=0", "weights_unchanged_tensor");
    double x[1000];
    for (size_t i = 0; i < COUNT(x); i++)
        x[i] = 1;
    for (uint64_t step = 0; step < 6; step++) {
        feed_f64(W, "a", step, COUNT(x), x);
        x[999] += 0.004;
    }
    /* 1: new; 1.004: copied; 1.008, 1.012: 0.8 % off; 1.016: more than 1 %, new; 1.020: copied */
    const double expected[] = {0, 0, 1, 2, 0, 0};
    for (size_t i = 0; i < COUNT(expected); i++)
        assert_value(out, i, expected[i]);
}

static void test_unchanged_edges(void **state) {
    (void)state;
    const struct series *out = run("unchanged_tensor:steps=1", "weights_unchanged_tensor");
    const double nan[] = {1, NAN}, inf[] = {1, (double)INFINITY}, one[] = {1};
    for (uint64_t step = 0; step < 3; step++) {
        feed_f64(W, "empty", step, 0, nan);
        feed_f64(W, "nan", step, 2, nan); /* close to nothing, not even to itself */
    }
    for (size_t i = 0; i < out->count; i++)
        assert_value(out, i, 0);
    assert_int_equal(out->count, 3);
    feed_f64(W, "inf", 3, 2, inf);
    feed_f64(W, "inf", 4, 2, inf);
    assert_value(out, 4, 1);
    feed_f64(W, "inf", 5, 1, one); /* another shape */
    assert_value(out, 5, 0);
    assert_int_equal(found(), 1);
}

/* ---- check_input_images ---- */

static void feed_images(uint64_t step, int64_t count, double first, double second) {
    double x[64 * 2 * 4];
    for (size_t i = 0; i < COUNT(x); i++)
        x[i] = i / 4 % 2 ? second : first;
    feed_shaped(NAUHA_KIND_INPUT_DATA, NULL, NULL, "default", step, NAUHA_DTYPE_F64, 4,
                SHAPE(count, 2, 2, 2), x);
}

static void test_input_images(void **state) {
    (void)state;
    const struct series *out = run("check_input_images", "check_input_images");
    for (uint64_t step = 0; step < 7; step++)
        feed_images(step, 64, 0.1, -0.5);
    assert_int_equal(out->count, 0); /* 448 images */
    feed_images(7, 64, 0.1, -0.5);
    assert_int_equal(out->count, 1);
    assert_close(out->values[0][0], -0.5, 1e-12);
    assert_int_equal(found(), 1);
    assert_null(finding_at(0).module);
    assert_close(finding_at(0).threshold, -0.2, 0);
    for (uint64_t step = 8; step < 16; step++)
        feed_images(step, 64, 0.1, -0.1); /* normalised well enough */
    assert_int_equal(out->count, 2);
    assert_int_equal(finding_at(0).count, 1);
}

static void test_input_that_is_no_image(void **state) {
    (void)state;
    const struct series *out = run("check_input_images:samples=1", "check_input_images");
    const double x[] = {5, 5, 5, 5};
    feed_shaped(NAUHA_KIND_INPUT_DATA, NULL, NULL, "default", 0, NAUHA_DTYPE_F64, 2, SHAPE(2, 2),
                x);
    feed_shaped(NAUHA_KIND_INPUT_DATA, NULL, NULL, "default", 0, NAUHA_DTYPE_F64, 4,
                SHAPE(0, 1, 2, 2), x);
    assert_int_equal(out->count, 0);
    feed_shaped(NAUHA_KIND_INPUT_DATA, NULL, NULL, "default", 0, NAUHA_DTYPE_F64, 4,
                SHAPE(1, 1, 2, 2), x);
    assert_value(out, 0, 5);
    const uint8_t bytes[] = {255, 255, 255, 255};
    feed_shaped(NAUHA_KIND_INPUT_DATA, NULL, NULL, "default", 0, NAUHA_DTYPE_U8, 4,
                SHAPE(1, 2, 1, 2), bytes);
    assert_value(out, 1, 255);
}

static const struct CMUnitTest tests[] = {
    RUN(test_dead_relu),
    RUN(test_small_batches_are_put_together),
    RUN(test_units_of_convolutions),
    RUN(test_units_edges),
    RUN(test_saturated_by_inputs),
    RUN(test_saturated_by_outputs),
    RUN(test_unchanged_tensor),
    RUN(test_unchanged_within_the_tolerance),
    RUN(test_unchanged_edges),
    RUN(test_input_images),
    RUN(test_input_that_is_no_image),
};

UNIT_MAIN(tests)
