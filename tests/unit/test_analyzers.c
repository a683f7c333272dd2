/* SPDX-License-Identifier: MIT */
/* The built-in metrics, through a pipeline and its bus. Values are closed forms. */
#include "tests/unit/analyzer_fixture.h"

#include <float.h>

#include "nauha/internal/convert.h"

/* ---- all of them ---- */

static void test_table(void **state) {
    (void)state;
    static const char *const expected[] = {
        "ratio", "norm",      "mean",           "sum",           "variance",    "histogram",
        "loss",  "step_loss", "train_accuracy", "test_accuracy", "message_mean"};
    size_t count = 0;
    const struct nauha_analyzer *const *table = nauha_builtin_analyzers(&count);
    assert_true(count >= COUNT(expected));
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(table[i]->abi, NAUHA_ANALYZER_ABI);
        assert_int_equal(table[i]->size, sizeof(struct nauha_analyzer));
        assert_non_null(table[i]->create);
        assert_non_null(table[i]->compute);
        assert_non_null(table[i]->destroy);
        assert_true(table[i]->formula[0] != '\0');
        assert_true(table[i]->summary[0] != '\0');
        assert_true(table[i]->summary[strlen(table[i]->summary) - 1] != '.');
    }
    for (size_t i = 0; i < COUNT(expected); i++) {
        bool found = false;
        for (size_t j = 0; j < count; j++)
            found = found || strcmp(table[j]->name, expected[i]) == 0;
        assert_true(found);
    }
}

/* ---- ratio ---- */

static void test_ratio(void **state) {
    (void)state;
    const struct series *out = run("ratio:weight_updates,weights", "weight_updates_weights_ratio");
    const double w[] = {3, 4}, u[] = {0.6, 0.8}, zero[] = {0, 0}, inf[] = {(double)INFINITY, 1};
    feed_f64(W, "a", 0, 2, w);
    feed_f64(U, "a", 0, 2, u);
    feed_f64(W, "a", 1, 2, zero);
    feed_f64(U, "a", 1, 2, u);
    feed_f64(W, "a", 2, 2, zero);
    feed_f64(U, "a", 2, 2, zero);
    feed_f64(U, "b", 2, 2, zero);
    feed_f64(W, "b", 2, 2, w);
    feed_f64(U, "b", 3, 2, inf);
    feed_f64(W, "b", 3, 2, inf);
    finish();
    assert_int_equal(out->count, 5);
    assert_value(out, 0, sqrt(0.6 * 0.6 + 0.8 * 0.8) / 5);
    assert_value(out, 1, (double)INFINITY);
    assert_value(out, 2, NAN);
    assert_value(out, 3, 0);
    assert_value(out, 4, NAN);
    assert_string_equal(out->info[3].module_name, "b");
    assert_int_equal(out->info[3].global_step, 2);
    assert_plot("weight_updates_weights_ratio", "Ratio of the norms of weight_updates and weights",
                "ratio", true);
}

/* Of elements whose squares no double holds, and of norms that no double holds. */
static void test_ratio_of_extremes(void **state) {
    (void)state;
    const struct series *out = run("ratio:weight_updates,weights", "weight_updates_weights_ratio");
    const double large[] = {3e200, 4e200}, small[] = {6e-200, 8e-200};
    const double largest[] = {DBL_MAX, -DBL_MAX}, half[] = {DBL_MAX / 2, DBL_MAX / 2};
    const double smallest[] = {DBL_TRUE_MIN, 0}, one[] = {1, 0};
    const double *const pairs[][2] = {{large, large}, {small, small}, {half, largest},
                                      {large, one},   {one, small},   {smallest, smallest}};
    for (uint64_t i = 0; i < COUNT(pairs); i++) {
        feed_f64(U, "a", i, 2, pairs[i][0]);
        feed_f64(W, "a", i, 2, pairs[i][1]);
    }
    finish();
    const double expected[] = {1, 1, 0.5, 5e200, 1e199, 1};
    assert_int_equal(out->count, COUNT(expected));
    for (size_t i = 0; i < COUNT(expected); i++) {
        if (!(fabs(out->values[i][0] / expected[i] - 1) <= 4 * DBL_EPSILON))
            fail_msg("%zu: %.17g is not %.17g", i, out->values[i][0], expected[i]);
    }
}

static void test_ratio_takes_two_kinds(void **state) {
    (void)state;
    assert_int_equal(nauha_pipeline_add_metric(pipeline, "ratio:weights", &err), NAUHA_INVALID);
    assert_non_null(strstr(err.message, "takes 2 kinds"));
    assert_int_equal(nauha_pipeline_add_metric(pipeline, "ratio:weights,biases,loss", &err),
                     NAUHA_INVALID);
}

/* ---- norm ---- */

static void test_norms(void **state) {
    (void)state;
    static const char *const specs[] = {"norm:weights",         "norm:weights:order=0",
                                        "norm:weights:order=1", "norm:weights:order=inf",
                                        "norm:weights:order=3", "norm:weights:order=0.5"};
    static const char *const topics[] = {"weights_norm2",   "weights_norm0", "weights_norm1",
                                         "weights_norminf", "weights_norm3", "weights_norm0.5"};
    /* 3: (1 + 8 + 27 + 64)^(1/3); 0.5: (1 + sqrt(2) + sqrt(3) + 2)^2 */
    const double expected[] = {
        sqrt(30), 4, 10, 4, pow(100, 1 / 3.0), (3 + sqrt(2) + sqrt(3)) * (3 + sqrt(2) + sqrt(3))};
    const float x[] = {1, -2, 0, 3, -4, -0.0f}, nan[] = {NAN, 0}, inf[] = {-INFINITY, 2, 0};
    struct series *out[6];
    for (size_t i = 0; i < 6; i++)
        add(specs[i]);
    start();
    for (size_t i = 0; i < 6; i++)
        out[i] = listen(topics[i]);
    feed(W, "a", 0, NAUHA_DTYPE_F32, 6, x);
    feed(W, "a", 1, NAUHA_DTYPE_F32, 2, nan);
    feed(W, "a", 2, NAUHA_DTYPE_F32, 3, inf);
    feed(W, "a", 3, NAUHA_DTYPE_F32, 0, NULL);
    finish();
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(out[i]->count, 4);
        if (!(fabs(out[i]->values[0][0] / expected[i] - 1) < 4 * DBL_EPSILON))
            fail_msg("%s is %.17g", topics[i], out[i]->values[0][0]);
        assert_value(out[i], 1, i == 1 ? 1 : NAN);
        assert_value(out[i], 2, i == 1 ? 2 : (double)INFINITY);
        assert_value(out[i], 3, 0);
    }
    assert_plot("weights_norm2", "Norm of weights (p = 2)", "norm", true);
    assert_plot("weights_norm0.5", "Norm of weights (p = 0.5)", "norm", true);
}

static void test_norm_of_kinds(void **state) {
    (void)state;
    add("norm:weights,biases");
    start();
    const struct series *weights = listen("weights_norm2"), *biases = listen("biases_norm2");
    const double x[] = {3, 4}, y[] = {5, 12};
    for (uint64_t step = 0; step < 2; step++) {
        feed_f64(NAUHA_KIND_BIASES, "a", step, 2, y);
        feed_f64(W, "a", step, 2, x);
    }
    finish();
    assert_int_equal(weights->count, 2);
    assert_int_equal(biases->count, 2);
    assert_value(weights, 0, 5);
    assert_value(biases, 1, 13);
}

static void test_norm_orders_refused(void **state) {
    (void)state;
    assert_int_equal(nauha_pipeline_add_metric(pipeline, "norm:weights:order=-1", &err),
                     NAUHA_INVALID);
    assert_int_equal(nauha_pipeline_add_metric(pipeline, "norm:weights:order=nan", &err),
                     NAUHA_INVALID);
    assert_int_equal(nauha_pipeline_add_metric(pipeline, "norm", &err), NAUHA_INVALID);
}

static void test_events_have_no_norm(void **state) {
    (void)state;
    run("norm:batch_started", "batch_started_norm2");
    const struct nauha_message event = {.info =
                                            stamps_of(names, NAUHA_KIND_BATCH_STARTED, NULL, 0)};
    refused(try_feed(event), NAUHA_INVALID,
            "subscriber \"norm:batch_started\": message \"batch_started\" is an event and has no "
            "tensor");
}

/* ---- mean, sum, variance ---- */

static void test_mean_sum_variance(void **state) {
    (void)state;
    add("mean:weights");
    add("sum:weights");
    add("variance:weights");
    start();
    const struct series *mean = listen("weights_mean"), *sum = listen("weights_sum"),
                        *variance = listen("weights_variance");
    const int16_t x[] = {1, 2, 3, 4, -10};
    const uint16_t one[] = {nauha__float_to_bf16(-3)};
    const double special[] = {1, NAN};
    feed(W, "a", 0, NAUHA_DTYPE_I16, 5, x);
    feed(W, "a", 1, NAUHA_DTYPE_BF16, 1, one);
    feed(W, "a", 2, NAUHA_DTYPE_F16, 0, NULL);
    feed_f64(W, "a", 3, 2, special);
    finish();
    assert_value(mean, 0, 0);
    assert_value(sum, 0, 0);
    assert_value(variance, 0, (1 + 4 + 9 + 16 + 100) / 4.0);
    assert_value(mean, 1, -3);
    assert_value(sum, 1, -3);
    assert_value(variance, 1, NAN);
    assert_value(mean, 2, NAN);
    assert_value(sum, 2, 0);
    assert_value(variance, 2, NAN);
    assert_value(mean, 3, NAN);
    assert_value(sum, 3, NAN);
    assert_value(variance, 3, NAN);
    assert_plot("weights_mean", "Mean of weights", "mean", false);
    assert_plot("weights_sum", "Sum of weights", "sum", false);
    assert_plot("weights_variance", "Variance of weights", "variance", false);
}

/* ---- train_accuracy ---- */

static enum nauha_status try_batch(uint64_t step, enum nauha_dtype output_type, uint32_t ndim,
                                   const int64_t *shape, const void *output,
                                   enum nauha_dtype label_type, uint32_t label_ndim,
                                   const int64_t *label_shape, const void *labels) {
    enum nauha_status status =
        try_feed(message_of(stamps_of(names, NAUHA_KIND_INPUT_LABELS, NULL, step), label_type,
                            label_ndim, label_shape, labels));
    return status != NAUHA_OK
               ? status
               : try_feed(message_of(stamps_of(names, NAUHA_KIND_NETWORK_OUTPUT, NULL, step),
                                     output_type, ndim, shape, output));
}

static void test_train_accuracy(void **state) {
    (void)state;
    const struct series *out = run("train_accuracy", "train_accuracy");
    /* Ties go to the first, NaN is the largest: numpy.argmax gives 1, 0, 2, 1. */
    const float output[] = {1, 3, 2, 5, 5, 5, -3, -2, -1, 9, NAN, INFINITY};
    const int64_t labels[] = {1, 0, 0, 1};
    ok(try_batch(0, NAUHA_DTYPE_F32, 2, SHAPE(4, 3), output, NAUHA_DTYPE_I64, 1, SHAPE(4), labels));
    const int32_t none_right[] = {2, -100, 7, 0};
    ok(try_batch(1, NAUHA_DTYPE_F32, 2, SHAPE(4, 3), output, NAUHA_DTYPE_I32, 1, SHAPE(4),
                 none_right));
    /* numpy.argmax(o, 1) is [[1, 2], [1, 1]]. */
    const double places[] = {1, 5, 2, 4, 2, 6, 0, -1, NAN, 9, 7, 8};
    const uint8_t place_labels[] = {1, 2, 2, 1};
    ok(try_batch(2, NAUHA_DTYPE_F64, 3, SHAPE(2, 3, 2), places, NAUHA_DTYPE_U8, 2, SHAPE(2, 2),
                 place_labels));
    /* One-hot and soft labels. */
    const float soft[] = {0, 1, 0, .9f, .1f, 0, 1, 0, 0, 0, .5f, .5f};
    ok(try_batch(3, NAUHA_DTYPE_F32, 2, SHAPE(4, 3), output, NAUHA_DTYPE_F32, 2, SHAPE(4, 3),
                 soft));
    ok(try_batch(4, NAUHA_DTYPE_F32, 2, SHAPE(0, 3), NULL, NAUHA_DTYPE_I64, 1, SHAPE(0), NULL));
    finish();
    assert_int_equal(out->count, 5);
    assert_value(out, 0, 0.75);
    assert_value(out, 1, 0);
    assert_value(out, 2, 0.75);
    assert_value(out, 3, 0.75);
    assert_value(out, 4, NAN);
    assert_plot("train_accuracy", "Training accuracy", "accuracy", false);
}

/* More classes, and more places, than a block of the implementation holds. */
static void test_accuracy_of_many_classes(void **state) {
    (void)state;
    static float output[2 * 5000];
    static float places[2 * 3 * 1300];
    static int64_t labels[2 * 1300];
    const struct series *out = run("train_accuracy", "train_accuracy");
    output[4321] = 1;
    output[5000 + 600] = 1;
    labels[0] = 4321;
    labels[1] = 601;
    ok(try_batch(0, NAUHA_DTYPE_F32, 2, SHAPE(2, 5000), output, NAUHA_DTYPE_I64, 1, SHAPE(2),
                 labels));
    /* Place i is of class i % 3; every tenth label is wrong. */
    for (size_t row = 0; row < 2; row++) {
        for (size_t i = 0; i < 1300; i++) {
            places[(row * 3 + i % 3) * 1300 + i] = 1;
            labels[row * 1300 + i] = (int64_t)(i % 10 ? i % 3 : (i + 1) % 3);
        }
    }
    ok(try_batch(1, NAUHA_DTYPE_F32, 4, SHAPE(2, 3, 13, 100), places, NAUHA_DTYPE_I64, 3,
                 SHAPE(2, 13, 100), labels));
    finish();
    assert_value(out, 0, 0.5);
    assert_value(out, 1, 0.9);
}

static char remarks[1024];

static void keep_line(void *context, const char *text) {
    (void)context;
    assert_true(strlen(remarks) + strlen(text) + 2 < sizeof remarks);
    strcat(strcat(remarks, text), "\n");
}

/* What the pipeline says after the run. */
static const char *told(void) {
    remarks[0] = '\0';
    nauha_pipeline_report(pipeline, keep_line, NULL);
    return remarks;
}

static void test_accuracy_of_what_does_not_fit(void **state) {
    (void)state;
    const struct series *out = run("train_accuracy", "train_accuracy");
    const float output[12] = {0};
    const int64_t labels[4] = {0};
    ok(try_batch(0, NAUHA_DTYPE_F32, 2, SHAPE(4, 3), output, NAUHA_DTYPE_I64, 1, SHAPE(3), labels));
    ok(try_batch(1, NAUHA_DTYPE_F32, 2, SHAPE(2, 0), NULL, NAUHA_DTYPE_I64, 1, SHAPE(2), labels));
    finish();
    assert_int_equal(out->count, 0);
    assert_string_equal(
        told(),
        "metric \"train_accuracy\": no accuracy is computed for outputs of shape [4, 3] and "
        "integer labels of shape [3]: labels must be whole numbers of shape [N, ...], or numbers "
        "of "
        "the output's shape\n");
}

/* Those of a regression. */
static void test_accuracy_of_targets(void **state) {
    (void)state;
    const struct series *out = run("train_accuracy", "train_accuracy");
    const float output[6] = {.5f, .25f, .25f, .2f, .3f, .5f};
    const float targets[6] = {.5f, 1.5f, -1, 0, 0, 1};
    ok(try_batch(1, NAUHA_DTYPE_F32, 2, SHAPE(2, 3), output, NAUHA_DTYPE_F32, 2, SHAPE(2, 3),
                 targets));
    ok(try_batch(2, NAUHA_DTYPE_F32, 2, SHAPE(6, 1), output, NAUHA_DTYPE_F32, 2, SHAPE(6, 1),
                 targets));
    ok(try_batch(3, NAUHA_DTYPE_F32, 1, SHAPE(6), output, NAUHA_DTYPE_F32, 1, SHAPE(6), targets));
    finish();
    assert_int_equal(out->count, 0);
    assert_string_equal(
        told(),
        "metric \"train_accuracy\": no accuracy is computed for outputs of shape [2, 3] and float "
        "labels of shape [2, 3]: the labels of a sample are neither probabilities that add up to 1 "
        "nor all 0 or 1\n");
}

/* One-hot labels are compared by their largest; from the first sample on that has not just one
 * label, each class is a decision. */
static void test_accuracy_of_several_labels(void **state) {
    (void)state;
    const struct series *out = run("train_accuracy", "train_accuracy");
    const float logits[6] = {2, 1, -1, -2, NAN, 3}, probabilities[6] = {.9f, .6f, .1f, .4f, 0, 1};
    const float one[6] = {1, 0, 0, 0, 0, 1}, several[6] = {1, 0, 1, 0, 0, 1};
    const float ignored[6] = {1, 1, 0, -100, -100, 1}, real[6] = {1, 1, 0, .5f, 0, 1};
    const float *const labels[] = {one, several, one, several, ignored, real};
    for (uint64_t step = 0; step < 6; step++)
        ok(try_batch(step, NAUHA_DTYPE_F32, 2, SHAPE(2, 3), step < 3 ? probabilities : logits,
                     NAUHA_DTYPE_F32, 2, SHAPE(2, 3), labels[step]));
    finish();
    assert_int_equal(out->count, 5);
    assert_value(out, 0, 1);             /* both samples */
    assert_value(out, 1, 4 / (double)6); /* wrong: .6 for 0, .1 for 1 */
    assert_value(out, 2, 5 / (double)6); /* wrong: .6 for 0 */
    assert_value(out, 3, 3 / (double)6); /* wrong: 1 for 0, -1 for 1, NaN */
    assert_value(out, 4, 1);             /* of four that count */
}

/* In an evaluation, all decisions of all batches. */
static void test_accuracy_of_several_labels_in_an_evaluation(void **state) {
    (void)state;
    const struct series *out = run("test_accuracy:tag=default", "test_accuracy");
    const float logits[4] = {1, -1, 1, -1}, right[4] = {1, 0, 1, 0}, wrong[4] = {0, 0, 1, 0};
    ok(try_batch(0, NAUHA_DTYPE_F32, 2, SHAPE(1, 4), logits, NAUHA_DTYPE_F32, 2, SHAPE(1, 4),
                 right));
    ok(try_batch(0, NAUHA_DTYPE_F32, 2, SHAPE(2, 2), logits, NAUHA_DTYPE_F32, 2, SHAPE(2, 2),
                 wrong));
    finish();
    assert_int_equal(out->count, 1);
    assert_value(out, 0, 7 / (double)8);
}

/* Probabilities, as of BCELoss, and then logits, as of BCEWithLogitsLoss. */
static void test_accuracy_of_yes_and_no(void **state) {
    (void)state;
    const struct series *out = run("train_accuracy", "train_accuracy");
    const float probabilities[4] = {.1f, .9f, .4f, .6f}, logits[4] = {-.1f, .1f, 3, NAN};
    const float labels[4] = {0, 1, 1, 0};
    const int64_t whole[4] = {0, 1, 1, 0};
    ok(try_batch(0, NAUHA_DTYPE_F32, 2, SHAPE(4, 1), probabilities, NAUHA_DTYPE_F32, 2, SHAPE(4, 1),
                 labels));
    ok(try_batch(1, NAUHA_DTYPE_F32, 1, SHAPE(4), probabilities, NAUHA_DTYPE_F32, 1, SHAPE(4),
                 labels));
    ok(try_batch(2, NAUHA_DTYPE_F32, 2, SHAPE(4, 1), probabilities, NAUHA_DTYPE_I64, 1, SHAPE(4),
                 whole));
    ok(try_batch(3, NAUHA_DTYPE_F32, 4, SHAPE(2, 1, 1, 2), logits, NAUHA_DTYPE_F32, 4,
                 SHAPE(2, 1, 1, 2), labels));
    ok(try_batch(4, NAUHA_DTYPE_F32, 2, SHAPE(4, 1), probabilities, NAUHA_DTYPE_F32, 1, SHAPE(4),
                 labels));
    finish();
    assert_int_equal(out->count, 5);
    for (size_t i = 0; i < 3; i++)
        assert_value(out, i, 0.5);
    assert_value(out, 3, 0.75);
    assert_value(out, 4, 0.5); /* all are above 0 */
    assert_string_equal(told(), "");
}

static void test_accuracy_leaves_out_what_is_ignored(void **state) {
    (void)state;
    const struct series *out = run("train_accuracy", "train_accuracy");
    const float output[8] = {0, 1, 0, 1, 1, 0, 0, 1};
    const int64_t labels[4] = {1, -100, 1, -100}, none[4] = {-100, -100, -100, -100};
    const uint8_t edges[4] = {1, 1, 0, 255};
    ok(try_batch(0, NAUHA_DTYPE_F32, 2, SHAPE(4, 2), output, NAUHA_DTYPE_I64, 1, SHAPE(4), labels));
    ok(try_batch(1, NAUHA_DTYPE_F32, 2, SHAPE(4, 2), output, NAUHA_DTYPE_I64, 1, SHAPE(4), none));
    ok(try_batch(2, NAUHA_DTYPE_F32, 2, SHAPE(4, 2), output, NAUHA_DTYPE_U8, 1, SHAPE(4), edges));
    finish();
    assert_value(out, 0, 0.5);
    assert_value(out, 1, NAN);
    assert_value(out, 2, 1);
}

/* ---- message_mean ---- */

static void test_message_mean(void **state) {
    (void)state;
    add("message_mean:weights_mean");
    add("mean:weights");
    start();
    const struct series *out = listen("weights_mean_message_mean");
    const double a[] = {1}, b[] = {2}, c[] = {6};
    feed_f64(W, "a", 0, 1, a);
    feed_f64(W, "b", 0, 1, b);
    feed_f64(W, "c", 0, 1, c);
    feed_f64(W, "a", 1, 1, c);
    assert_int_equal(out->count, 1);
    finish();
    assert_int_equal(out->count, 2);
    assert_value(out, 0, 3);
    assert_value(out, 1, 6);
    assert_int_equal(out->info[0].module, NAUHA_NONE);
    assert_int_equal(out->info[0].global_step, 0);
    assert_int_equal(out->info[1].global_step, 1);
    assert_int_equal(out->info[1].train_step, 1);
    assert_int_equal(out->info[1].time_ns, 1000);
    assert_plot("weights_mean_message_mean", "Mean over modules of weights_mean", "mean", false);
}

/* (1e16 + 1 - 1e16 + 1) / 4, of which plain addition leaves a quarter. */
static void test_message_mean_keeps_small_values(void **state) {
    (void)state;
    add("message_mean:weights_mean");
    add("mean:weights");
    start();
    const struct series *out = listen("weights_mean_message_mean");
    const double values[] = {1e16, 1, -1e16, 1, (double)INFINITY, 1};
    const char *const modules[] = {"a", "b", "c", "d"};
    for (size_t i = 0; i < 4; i++)
        feed_f64(W, modules[i], 0, 1, &values[i]);
    feed_f64(W, "a", 1, 1, &values[4]);
    feed_f64(W, "b", 1, 1, &values[5]);
    finish();
    assert_value(out, 0, 0.5);
    assert_value(out, 1, (double)INFINITY);
}

static void test_message_mean_by_rank(void **state) {
    (void)state;
    add("mean:weights");
    add("message_mean:weights_mean");
    start();
    const struct series *out = listen("weights_mean_message_mean");
    for (uint32_t rank = 0; rank < 2; rank++) {
        for (unsigned module = 0; module < 2; module++) {
            struct nauha_message_info info = stamps_of(names, W, module ? "a" : "b", 0);
            const double value = rank * 10 + module;
            info.rank = rank;
            ok(try_feed(message_of(info, NAUHA_DTYPE_F64, 1, SHAPE(1), &value)));
        }
    }
    finish();
    assert_int_equal(out->count, 2);
    assert_value(out, 0, 0.5);
    assert_value(out, 1, 10.5);
    assert_int_equal(out->info[1].rank, 1);
}

static void test_message_mean_of_topics(void **state) {
    (void)state;
    add("mean:weights,biases");
    add("message_mean:weights_mean,biases_mean");
    add("message_mean:weights_mean_message_mean");
    start();
    const struct series *weights = listen("weights_mean_message_mean"),
                        *biases = listen("biases_mean_message_mean"),
                        *again = listen("weights_mean_message_mean_message_mean");
    const double values[] = {4, 8, 1};
    feed_f64(W, "a", 0, 1, &values[0]);
    feed_f64(W, "b", 0, 1, &values[1]);
    feed_f64(NAUHA_KIND_BIASES, "b", 0, 1, &values[2]);
    feed_f64(NAUHA_KIND_BIASES, "b", 1, 1, &values[0]);
    finish();
    assert_int_equal(weights->count, 1);
    assert_value(weights, 0, 6);
    assert_int_equal(biases->count, 2);
    assert_value(biases, 0, 1);
    assert_value(biases, 1, 4);
    assert_int_equal(again->count, 1);
    assert_value(again, 0, 6);
    assert_int_equal(again->info[0].global_step, 0);
}

static uint32_t late_topic;

static enum nauha_status publish_late(void *self, struct nauha_error *error) {
    (void)self;
    const struct nauha_message_info stamps = stamps_of(names, W, "a", 9);
    return nauha_bus_publish_scalar(nauha_pipeline_bus(pipeline), late_topic, &stamps, 7, error);
}

/* No step ends behind what is published at the end of the run. */
static void test_message_mean_at_the_end(void **state) {
    (void)state;
    const struct nauha_subscriber_ops ops = {.compute = diary_compute, .finish = publish_late};
    struct diary diary = {.publishes = NAUHA_NONE};
    struct nauha_bus *bus = nauha_pipeline_bus(pipeline);
    ok(nauha_bus_register_topic(bus, "late", NAUHA_SCOPE_MODULE, NAUHA_FORM_SCALAR, NULL,
                                &late_topic, &err));
    listeners[listener_count++] = nauha_subscriber_new("late", &ops, &diary);
    ok(nauha_bus_subscribe(bus, subscription_to("loss"), listeners[0], &err));
    const struct series *out = run("message_mean:late", "late_message_mean");
    finish();
    assert_int_equal(out->count, 1);
    assert_value(out, 0, 7);
    assert_int_equal(out->info[0].global_step, 9);
}

static void test_message_mean_of_tensors(void **state) {
    (void)state;
    run("message_mean:weights", "weights_message_mean");
    const double x[] = {1, 2};
    refused(try_feed(message_of(stamps_of(names, W, "a", 0), NAUHA_DTYPE_F64, 1, SHAPE(2), x)),
            NAUHA_INVALID,
            "subscriber \"message_mean:weights\": topic \"weights\" does not hold scalars, and has "
            "no mean over modules");
}

static const struct CMUnitTest tests[] = {
    RUN(test_table),
    RUN(test_ratio),
    RUN(test_ratio_of_extremes),
    RUN(test_ratio_takes_two_kinds),
    RUN(test_norms),
    RUN(test_norm_of_kinds),
    RUN(test_norm_orders_refused),
    RUN(test_events_have_no_norm),
    RUN(test_mean_sum_variance),
    RUN(test_train_accuracy),
    RUN(test_accuracy_of_many_classes),
    RUN(test_accuracy_of_what_does_not_fit),
    RUN(test_accuracy_of_targets),
    RUN(test_accuracy_of_several_labels),
    RUN(test_accuracy_of_several_labels_in_an_evaluation),
    RUN(test_accuracy_of_yes_and_no),
    RUN(test_accuracy_leaves_out_what_is_ignored),
    RUN(test_message_mean),
    RUN(test_message_mean_keeps_small_values),
    RUN(test_message_mean_by_rank),
    RUN(test_message_mean_of_topics),
    RUN(test_message_mean_at_the_end),
    RUN(test_message_mean_of_tensors),
};

UNIT_MAIN(tests)
