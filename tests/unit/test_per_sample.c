/* SPDX-License-Identifier: MIT */
/* The metrics of per-sample gradients on layers whose gradients can be written down; PyTorch's are
 * in tests/integration/test_pytorch_per_sample.py. */
#include "tests/unit/analyzer_fixture.h"

#include <float.h>

static enum nauha_status try_tensor(uint32_t kind, const char *module, const char *class,
                                    const char *slot, uint64_t step, uint32_t ndim,
                                    const int64_t *shape, const double *x) {
    struct nauha_message_info info = stamps_of(names, kind, NULL, step);
    ok(nauha_names_add_module(names, module, class, &info.module, &err));
    ok(nauha_names_add_slot(names, slot, &info.slot, &err));
    nauha__message_resolve(&info, names, NAUHA_NONE);
    return try_feed(message_of(info, NAUHA_DTYPE_F64, ndim, shape, x));
}

/* A Linear of one output, whose samples' gradients are each input times its output's gradient. */
static enum nauha_status linear(const char *module, uint64_t step, int64_t samples,
                                const double *inputs, const double *gradients, const double *sum) {
    ok(try_tensor(NAUHA_KIND_INPUTS, module, "Linear", "", step, 2, SHAPE(samples, 2), inputs));
    ok(try_tensor(NAUHA_KIND_LAYER_GRADIENTS, module, "Linear", "", step, 2, SHAPE(samples, 1),
                  gradients));
    return try_tensor(NAUHA_KIND_WEIGHT_GRADIENTS, module, "Linear", "weight", step, 2, SHAPE(1, 2),
                      sum);
}

static void assert_close(const struct series *from, size_t i, double expected) {
    assert_true(i < from->count);
    if (!(fabs(from->values[i][0] - expected) <= 8 * DBL_EPSILON * fabs(expected)))
        fail_msg("%.17g is not %.17g", from->values[i][0], expected);
}

/* Gradients (1, 0), (3, 0), (5, 0): the mean is (3, 0), the variance (4, 0). The second weight's is
 * 0 in all samples. */
static void test_linear(void **state) {
    (void)state;
    add("gsnr");
    add("gradient_noise_scale");
    start();
    const struct series *gsnr = listen("gsnr"), *scale = listen("gradient_noise_scale"),
                        *network = listen("network_gradient_noise_scale");
    const double inputs[] = {1, 0, 1, 0, 1, 0}, gradients[] = {1, 3, 5}, sum[] = {9, 0};
    const double twice[] = {2, 6, 10}, twice_sum[] = {18, 0};
    ok(linear("a", 0, 3, inputs, gradients, sum));
    ok(linear("b", 0, 3, inputs, twice, twice_sum));
    ok(linear("a", 1, 3, inputs, gradients, sum));
    finish();
    assert_int_equal(gsnr->count, 3);
    assert_close(gsnr, 0, 9 / 4.0);
    assert_close(gsnr, 1, 9 / 4.0); /* larger gradients, the same ratio */
    assert_string_equal(gsnr->info[1].module_name, "b");
    assert_close(scale, 0, 4 / (9 - 4 / 3.0));
    assert_close(scale, 1, 4 / (9 - 4 / 3.0));
    assert_int_equal(network->count, 2);
    assert_close(network, 0, (4 + 16) / (9 + 36 - (4 + 16) / 3.0));
    assert_int_equal(network->info[0].module, NAUHA_NONE);
    assert_int_equal(network->info[0].global_step, 0);
    assert_plot("gsnr", "Gradient signal to noise ratio", "mean GSNR of the weights", true);
    assert_plot("gradient_noise_scale", "Gradient noise scale", "samples", true);
    assert_plot("network_gradient_noise_scale", "Gradient noise scale of the network", "samples",
                true);
}

static void test_alike_and_silent_samples(void **state) {
    (void)state;
    const struct series *out = run("gsnr", "gsnr");
    const double inputs[] = {1, 2, 1, 2}, gradients[] = {3, 3}, sum[] = {6, 12}, none[] = {0, 0};
    const double nan[] = {NAN, 12};
    ok(linear("a", 0, 2, inputs, none, none));     /* which cannot tell whether it adds up */
    ok(linear("a", 0, 2, inputs, gradients, nan)); /* nor can this */
    ok(linear("a", 1, 2, inputs, gradients, sum));
    ok(linear("a", 2, 2, inputs, none, none));
    finish();
    assert_int_equal(out->count, 2);
    assert_value(out, 0, (double)INFINITY);
    assert_value(out, 1, NAN);
}

/* Other layers, gradients that never come, and those of which nothing is known. */
static void test_what_is_left_alone(void **state) {
    (void)state;
    const struct series *out = run("gsnr", "gsnr");
    const double x[] = {1, 2, 3, 4}, sum[] = {6, 8};
    ok(try_tensor(NAUHA_KIND_INPUTS, "relu", "ReLU", "", 0, 2, SHAPE(2, 2), x));
    ok(try_tensor(NAUHA_KIND_LAYER_GRADIENTS, "relu", "ReLU", "", 0, 2, SHAPE(2, 2), x));
    ok(try_tensor(NAUHA_KIND_WEIGHT_GRADIENTS, "norm", "BatchNorm1d", "weight", 0, 1, SHAPE(2), x));
    ok(try_tensor(NAUHA_KIND_WEIGHT_GRADIENTS, "a", "Linear", "weight", 0, 2, SHAPE(1, 2), sum));
    ok(try_tensor(NAUHA_KIND_INPUTS, "a", "Linear", "", 1, 2, SHAPE(2, 2), x));
    ok(try_tensor(NAUHA_KIND_LAYER_GRADIENTS, "a", "Linear", "", 1, 2, SHAPE(2, 1), x));
    ok(try_tensor(NAUHA_KIND_WEIGHT_GRADIENTS, "a", "Linear", "weight", 2, 2, SHAPE(1, 2), sum));
    finish();
    assert_int_equal(out->count, 0);
}

static void test_what_does_not_add_up(void **state) {
    (void)state;
    run("gsnr", "gsnr");
    const double inputs[] = {1, 2, 1, 2}, gradients[] = {3, 3}, sum[] = {6, 13};
    refused(linear("a", 0, 2, inputs, gradients, sum), NAUHA_INVALID,
            "subscriber \"gsnr\": Linear module \"a\": the gradients of its samples do not add up "
            "to its weight_gradients (which may be summed over backward passes or ranks); use "
            "--exclude to compute only the other modules");
}

static void test_shapes_that_do_not_fit(void **state) {
    (void)state;
    run("gsnr", "gsnr");
    const double x[12] = {0};
    ok(try_tensor(NAUHA_KIND_INPUTS, "a", "Conv2d", "", 0, 3, SHAPE(1, 2, 2), x));
    ok(try_tensor(NAUHA_KIND_LAYER_GRADIENTS, "a", "Conv2d", "", 0, 3, SHAPE(1, 2, 2), x));
    refused(
        try_tensor(NAUHA_KIND_WEIGHT_GRADIENTS, "a", "Conv2d", "weight", 0, 4, SHAPE(1, 1, 1, 1),
                   x),
        NAUHA_INVALID,
        "subscriber \"gsnr\": Conv2d module \"a\": its inputs and layer_gradients are not a batch "
        "that matches the shape of its weights; use --exclude to compute only the other modules");
}

static const struct CMUnitTest tests[] = {
    RUN(test_linear),
    RUN(test_alike_and_silent_samples),
    RUN(test_what_is_left_alone),
    RUN(test_what_does_not_add_up),
    RUN(test_shapes_that_do_not_fit),
};

UNIT_MAIN(tests)
