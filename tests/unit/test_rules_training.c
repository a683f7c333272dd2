/* SPDX-License-Identifier: MIT */
/* Health rules that look at a training as a whole: its losses, its labels, its first steps. */
#include "tests/unit/rule_fixture.h"

/* ---- loss_not_decreasing ---- */

static void feed_losses(uint64_t *step, size_t count, double loss) {
    for (size_t i = 0; i < count; i++)
        feed_loss("default", (*step)++, loss);
}

static void test_loss_that_falls(void **state) {
    (void)state;
    const struct series *out = run("loss_not_decreasing", "loss_not_decreasing");
    for (uint64_t step = 0; step < 600; step++) /* a trend that is smaller than the noise */
        feed_loss("default", step, 2 - (double)step / 500 + 0.3 * sin(12345.678 * (double)step));
    finish();
    assert_int_equal(out->count, 60);
    assert_int_equal(found(), 0);
}

static void test_loss_that_stays(void **state) {
    (void)state;
    uint64_t step = 0;
    run_rule("loss_not_decreasing");
    feed_losses(&step, 10, 2);
    feed_losses(&step, 90, 1.9981); /* 0.095 % */
    assert_int_equal(found(), 0);
    feed_losses(&step, 10, 1.9981);
    assert_int_equal(found(), 1);
    assert_close(finding_at(0).value, 0.095, 1e-9);
    assert_close(finding_at(0).threshold, 0.1, 0);
    assert_int_equal(finding_at(0).first_step, 109);
    feed_losses(&step, 10, 1.99);
    feed_losses(&step, 90, 1.99);
    assert_int_equal(finding_at(0).count, 1);
}

static void test_loss_that_rises(void **state) {
    (void)state;
    uint64_t step = 0;
    run_rule("loss_not_decreasing");
    feed_losses(&step, 10, 1);
    feed_losses(&step, 10, 1.04);
    feed_losses(&step, 10, 1.06);
    assert_int_equal(found(), 0); /* once may be chance */
    feed_losses(&step, 10, 1.1);
    assert_int_equal(found(), 1);
    assert_close(finding_at(0).value, 10, 1e-9);
    assert_close(finding_at(0).threshold, 5, 0);
}

static void test_loss_edges(void **state) {
    (void)state;
    uint64_t step = 0;
    run_rule("loss_not_decreasing:steps=1:patience=3");
    feed_losses(&step, 1, -1); /* a log-likelihood */
    feed_losses(&step, 1, -1.1);
    feed_losses(&step, 1, -1.2);
    feed_losses(&step, 1, -1.3);
    assert_int_equal(found(), 0);
    feed_losses(&step, 3, NAN); /* no fall, and no rise */
    assert_int_equal(found(), 1);
    assert_close(finding_at(0).threshold, 0.1, 0);
}

/* Of reduction="none": their means. */
static void test_losses_of_several_elements(void **state) {
    (void)state;
    const struct series *out = run("loss_not_decreasing:steps=2", "loss_not_decreasing");
    feed_f64(NAUHA_KIND_LOSS, NULL, 0, 2, (const double[]){1, 3});
    feed_f64(NAUHA_KIND_LOSS, NULL, 1, 3, (const double[]){2, 6, 4});
    finish();
    assert_int_equal(out->count, 1);
    assert_value(out, 0, 3);
}

/* ---- overfit, overtraining ---- */

/* Two training losses and an evaluation of two batches. */
static void feed_epoch(uint64_t epoch, double training, double validation) {
    feed_loss("default", 2 * epoch, training + 0.5);
    feed_loss("default", 2 * epoch + 1, training - 0.5);
    feed_loss("testing", 2 * epoch + 1, validation + 0.25);
    feed_loss("testing", 2 * epoch + 1, validation - 0.25);
}

static void test_overfit(void **state) {
    (void)state;
    const struct series *out = run("overfit:patience=2", "overfit");
    feed_epoch(0, 2, 2.1);
    feed_epoch(1, 1, 1.5);
    feed_epoch(2, 1, 1.05); /* not in a row */
    feed_epoch(3, 1, 1.2);
    assert_int_equal(found(), 0);
    feed_epoch(4, 0.8, 1.2);
    assert_int_equal(found(), 0); /* the evaluation may go on */
    finish();
    assert_int_equal(found(), 1);
    assert_string_equal(finding_at(0).tag, "testing");
    assert_int_equal(finding_at(0).first_step, 9);
    assert_close(finding_at(0).value, 0.5, 1e-12);
    assert_close(finding_at(0).threshold, 0.1, 0);
    const double expected[] = {0.05, 0.5, 0.05, 0.2, 0.5};
    assert_int_equal(out->count, COUNT(expected));
    assert_string_equal(out->info[0].tag_name, "default"); /* as the sinks want it */
    for (size_t i = 0; i < out->count; i++)
        assert_close(out->values[i][0], expected[i], 1e-12);
}

static void feed_call(uint32_t kind, const char *tag, uint64_t step, uint32_t call, double value) {
    struct nauha_message_info stamps = stamps_of(names, kind, NULL, step);
    ok(nauha_names_add_tag(names, tag, &stamps.tag, &err));
    stamps.call = call;
    nauha__message_resolve(&stamps, names, NAUHA_NONE);
    ok(try_feed(message_of(stamps, NAUHA_DTYPE_F64, 0, NULL, &value)));
}

/* Micro-batches whose losses are divided by their number, and an evaluation that adds up samples.
 */
static void test_overfit_of_micro_batches(void **state) {
    (void)state;
    const struct series *out = run("overfit", "overfit");
    for (uint64_t step = 0; step < 3; step++) {
        for (uint32_t call = 0; call < 4; call++)
            feed_call(NAUHA_KIND_LOSS, "default", step, call, 0.5);
    }
    feed_call(NAUHA_KIND_SAMPLES_IN_LOSS, "testing", 2, 0, 30);
    feed_call(NAUHA_KIND_LOSS, "testing", 2, 0, 60);
    feed_call(NAUHA_KIND_SAMPLES_IN_LOSS, "testing", 2, 1, 10);
    feed_call(NAUHA_KIND_LOSS, "testing", 2, 1, 26);
    finish();
    assert_int_equal(found(), 0);
    assert_int_equal(out->count, 1);
    assert_close(out->values[0][0], 0.075, 1e-12); /* (2.15 - 2) / 2 */
}

static void test_overfit_edges(void **state) {
    (void)state;
    run_rule("overfit:validation=probe");
    feed_loss("probe", 0, 100); /* nothing to compare with */
    feed_loss("default", 0, NAN);
    feed_loss("probe", 0, 1);
    feed_loss("testing", 0, 100); /* another tag */
    feed_loss("default", 1, 0);
    feed_loss("probe", 1, 0);
    finish();
    assert_int_equal(found(), 0);
    struct nauha_metric_info info;
    assert_true(nauha_pipeline_metric(pipeline, 0, &info));
    assert_null(info.missing_tag);
}

static void test_overfit_without_an_evaluation(void **state) {
    (void)state;
    run_rule("overfit");
    feed_loss("default", 0, 1);
    finish();
    struct nauha_metric_info info;
    assert_true(nauha_pipeline_metric(pipeline, 0, &info));
    assert_string_equal(info.missing_tag, "testing");
}

static void test_overtraining(void **state) {
    (void)state;
    run_rule("overtraining:patience_train=2:patience_validation=3");
    feed_epoch(0, 2, 2);
    feed_epoch(1, 1, 1);
    feed_epoch(2, 0.995, 1);
    feed_epoch(3, 0.995, 1.5);
    feed_epoch(4, 0.5, 1.5); /* the training still learns */
    feed_epoch(5, 0.5, 1.5);
    assert_int_equal(found(), 0);
    feed_epoch(6, 0.495, 0.995);
    finish();
    assert_int_equal(found(), 1);
    assert_int_equal(finding_at(0).first_step, 13);
    assert_close(finding_at(0).value, 5, 0);
    assert_close(finding_at(0).threshold, 3, 0);
}

/* ---- poor_weight_initialization ---- */

/* Ten steps of two layers with these spreads, gradients of this width, and losses. */
static void feed_first_steps(double spread, double width, double fall) {
    const double a[] = {-1, 1}, b[] = {-spread, spread};
    double gradient[101];
    for (size_t i = 0; i < COUNT(gradient); i++)
        gradient[i] = width * (double)i / 90; /* from the 5th to the 95th percentile: width */
    for (uint64_t step = 0; step < 12; step++) {
        feed_shaped(A, "a", "Linear", "default", step, NAUHA_DTYPE_F64, 1, SHAPE(2), a);
        feed_shaped(A, "tanh", "Tanh", "default", step, NAUHA_DTYPE_F64, 1, SHAPE(1), a);
        feed_shaped(A, "b", "Conv2d", "default", step, NAUHA_DTYPE_F64, 1, SHAPE(2), b);
        feed_loss("default", step, 2 - fall * (double)step);
        feed_f64(G, "a", step, COUNT(gradient), gradient);
    }
}

static void test_poor_variances(void **state) {
    (void)state;
    const struct series *out = run("poor_weight_initialization", "poor_weight_initialization");
    feed_first_steps(4, 1, 0);
    assert_int_equal(out->count, 1);
    assert_close(out->values[0][0], 16, 1e-12);
    assert_int_equal(found(), 1);
    assert_close(finding_at(0).value, 16, 1e-12);
    assert_int_equal(finding_at(0).first_step, 9);
}

static void test_poor_gradients(void **state) {
    (void)state;
    run_rule("poor_weight_initialization");
    feed_first_steps(3, 0.0009, 0);
    assert_int_equal(found(), 1);
    assert_close(finding_at(0).value, 0.0009, 1e-12);
    assert_close(finding_at(0).threshold, 0.001, 0);
    assert_string_equal(finding_at(0).module, "a");
}

static void test_a_good_beginning(void **state) {
    (void)state;
    run_rule("poor_weight_initialization");
    feed_first_steps(100, 1e-9, 0.01); /* it learns, whatever it looks like */
    assert_int_equal(found(), 0);
}

static void test_layers_that_give_a_constant(void **state) {
    (void)state;
    run_rule("poor_weight_initialization");
    feed_first_steps(0, 1, 0);
    assert_int_equal(found(), 1);
    assert_true(isinf(finding_at(0).value));
}

/* ---- class_imbalance, confusion ---- */

/* One batch of labels, of which the first `right` of each run of a label are recognised. */
static void feed_classes(uint64_t step, int64_t classes, size_t n, const int64_t *labels,
                         const int64_t *taken_for) {
    double *output = calloc(n * (size_t)classes, sizeof *output);
    assert_non_null(output);
    for (size_t i = 0; i < n; i++)
        output[i * (size_t)classes + (size_t)taken_for[i]] = 1;
    feed_shaped(NAUHA_KIND_NETWORK_OUTPUT, NULL, NULL, "default", step, NAUHA_DTYPE_F64, 2,
                SHAPE((int64_t)n, classes), output);
    feed_shaped(NAUHA_KIND_INPUT_LABELS, NULL, NULL, "default", step, NAUHA_DTYPE_I64, 1,
                SHAPE((int64_t)n), labels);
    free(output);
}

static void test_class_imbalance(void **state) {
    (void)state;
    int64_t labels[600], predictions[600] = {0};
    const struct series *out = run("class_imbalance", "class_imbalance");
    for (size_t i = 0; i < 600; i++)
        labels[i] = (int64_t)(i % 3); /* balanced, and all mispredicted but one class */
    feed_classes(0, 3, 600, labels, predictions);
    assert_int_equal(found(), 0);
    for (size_t i = 0; i < 600; i++) /* 490, 60, 40 and ten that are not to be learned */
        labels[i] = i < 490 ? 0 : i < 550 ? 1 : i < 590 ? 2 : -100;
    predictions[550] = predictions[551] = 2; /* 2 of 40 */
    feed_classes(1, 3, 600, labels, predictions);
    assert_int_equal(out->count, 2);
    assert_value(out, 0, 1);
    assert_value(out, 1, 490.0 / 40);
    assert_int_equal(found(), 2);
    assert_close(finding_at(0).value, 12.25, 0);
    assert_string_equal(finding_at(1).measure, "fraction of class 2 mispredicted");
    assert_close(finding_at(1).value, 0.95, 1e-12);
}

static void test_one_class_only(void **state) {
    (void)state;
    int64_t labels[500] = {0};
    run_rule("class_imbalance");
    feed_classes(0, 10, 499, labels, labels);
    assert_int_equal(found(), 0); /* too few to say */
    feed_classes(1, 10, 1, labels, labels);
    assert_int_equal(found(), 1); /* the others have no samples to mispredict */
    assert_true(isinf(finding_at(0).value));
}

static void test_what_is_no_classification(void **state) {
    (void)state;
    const double x[600] = {0};
    const int64_t labels[600] = {0};
    add("confusion:samples=1");
    run_rule("class_imbalance:samples=1");
    for (uint64_t step = 0; step < 2; step++) {
        feed_shaped(NAUHA_KIND_NETWORK_OUTPUT, NULL, NULL, "default", step, NAUHA_DTYPE_F64, 2,
                    SHAPE(300, 2), x);
        feed_shaped(NAUHA_KIND_INPUT_LABELS, NULL, NULL, "default", step,
                    step ? NAUHA_DTYPE_I64 : NAUHA_DTYPE_F64, 2, SHAPE(300, 2),
                    step ? (const void *)labels : x);
    }
    feed_shaped(NAUHA_KIND_NETWORK_OUTPUT, NULL, NULL, "default", 2, NAUHA_DTYPE_F64, 2,
                SHAPE(600, 1), x);
    feed_shaped(NAUHA_KIND_INPUT_LABELS, NULL, NULL, "default", 2, NAUHA_DTYPE_I64, 1, SHAPE(600),
                labels);
    finish();
    assert_int_equal(found(), 0);
}

static void test_confusion(void **state) {
    (void)state;
    int64_t labels[500], predictions[500];
    const struct series *out = run("confusion", "confusion");
    for (size_t i = 0; i < 500; i++) {
        labels[i] = (int64_t)(i % 5);
        predictions[i] = 0; /* early, everything is one class */
    }
    feed_classes(0, 5, 500, labels, predictions);
    assert_int_equal(found(), 0);    /* the end counts */
    for (size_t i = 0; i < 500; i++) /* 89 of 100 of class 1, 11 taken for class 2 */
        predictions[i] = labels[i] == 1 && i < 55 ? 2 : labels[i];
    feed_classes(1, 5, 500, labels, predictions);
    feed_classes(2, 5, 100, labels, labels); /* too few to say */
    finish();
    assert_value(out, 0, 0);
    assert_close(out->values[1][0], 0.89, 1e-12);
    assert_int_equal(found(), 2);
    assert_string_equal(finding_at(0).measure, "fraction of class 1 recognized");
    assert_close(finding_at(0).value, 0.89, 1e-12);
    assert_string_equal(finding_at(1).measure, "fraction of class 1 taken for class 2");
    assert_close(finding_at(1).value, 0.11, 1e-12);
    assert_int_equal(finding_at(1).first_step, 1);
}

static const struct CMUnitTest tests[] = {
    RUN(test_loss_that_falls),
    RUN(test_loss_that_stays),
    RUN(test_loss_that_rises),
    RUN(test_loss_edges),
    RUN(test_losses_of_several_elements),
    RUN(test_overfit),
    RUN(test_overfit_edges),
    RUN(test_overfit_of_micro_batches),
    RUN(test_overfit_without_an_evaluation),
    RUN(test_overtraining),
    RUN(test_poor_variances),
    RUN(test_poor_gradients),
    RUN(test_a_good_beginning),
    RUN(test_layers_that_give_a_constant),
    RUN(test_class_imbalance),
    RUN(test_one_class_only),
    RUN(test_what_is_no_classification),
    RUN(test_confusion),
};

UNIT_MAIN(tests)
