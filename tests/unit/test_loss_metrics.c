/* SPDX-License-Identifier: MIT */
/* The metrics loss and step_loss. Values are closed forms. */
#include "tests/unit/analyzer_fixture.h"

static void test_loss(void **state) {
    (void)state;
    const struct series *out = run("loss", "loss_series");
    const float values[] = {2.5f, NAN};
    const double one[] = {-1};
    for (uint64_t step = 0; step < 2; step++)
        ok(try_feed(message_of(stamps_of(names, NAUHA_KIND_LOSS, NULL, step), NAUHA_DTYPE_F32, 0,
                               NULL, &values[step])));
    feed_f64(NAUHA_KIND_LOSS, NULL, 2, 1, one);
    assert_value(out, 0, 2.5);
    assert_value(out, 1, NAN);
    assert_value(out, 2, -1);
    assert_int_equal(out->info[2].module, NAUHA_NONE);
    assert_int_equal(out->info[2].global_step, 2);
    const struct nauha_plot *plot =
        nauha_bus_plot(nauha_pipeline_bus(pipeline), nauha_names_find_kind(names, "loss_series"));
    assert_string_equal(plot->series, "loss");
}

/* Of reduction="none": the mean; of an empty batch NaN. */
static void test_loss_of_several_elements(void **state) {
    (void)state;
    const struct series *out = run("loss", "loss_series");
    const float four[] = {1, 2, 4, -3}, none[] = {0};
    const double many[] = {10, 20, 60};
    ok(try_feed(message_of(stamps_of(names, NAUHA_KIND_LOSS, NULL, 0), NAUHA_DTYPE_F32, 2,
                           SHAPE(2, 2), four)));
    feed_f64(NAUHA_KIND_LOSS, NULL, 1, 3, many);
    ok(try_feed(message_of(stamps_of(names, NAUHA_KIND_LOSS, NULL, 2), NAUHA_DTYPE_F32, 1, SHAPE(0),
                           none)));
    assert_value(out, 0, 1);
    assert_value(out, 1, 30);
    assert_value(out, 2, NAN);
}

/* Of reduction="sum": the mean, if a count came before it. */
static void test_loss_that_is_a_sum(void **state) {
    (void)state;
    const struct series *out = run("loss", "loss_series");
    const double sum = 30, count = 12;
    feed_f64(NAUHA_KIND_SAMPLES_IN_LOSS, NULL, 0, 1, &count);
    feed_f64(NAUHA_KIND_LOSS, NULL, 0, 1, &sum);
    feed_f64(NAUHA_KIND_LOSS, NULL, 1, 1, &sum);
    assert_int_equal(out->count, 2);
    assert_value(out, 0, 2.5);
    assert_value(out, 1, 30);
}

static void feed_call(uint32_t kind, const char *tag, const char *slot, uint64_t step,
                      uint32_t call, double value) {
    struct nauha_message_info stamps = stamps_of(names, kind, NULL, step);
    ok(nauha_names_add_tag(names, tag, &stamps.tag, &err));
    ok(nauha_names_add_slot(names, slot, &stamps.slot, &err));
    stamps.call = call;
    nauha__message_resolve(&stamps, names, NAUHA_NONE);
    ok(try_feed(message_of(stamps, NAUHA_DTYPE_F64, 0, NULL, &value)));
}

/* Its count is a weight, and does not divide. */
static void test_loss_that_is_a_mean(void **state) {
    (void)state;
    const struct series *out = run("loss", "loss_series");
    feed_call(NAUHA_KIND_SAMPLES_IN_LOSS, "default", "mean", 0, 0, 12);
    feed_call(NAUHA_KIND_LOSS, "default", "", 0, 0, 30);
    assert_int_equal(out->count, 1);
    assert_value(out, 0, 30);
}

static void test_step_loss(void **state) {
    (void)state;
    const struct series *out = run("step_loss", "step_loss");
    feed_call(NAUHA_KIND_LOSS, "default", "", 0, 0, 0.5);
    feed_call(NAUHA_KIND_LOSS, "default", "", 0, 1, 0.25);
    feed_call(NAUHA_KIND_SAMPLES_IN_LOSS, "default", "", 1, 0, 8);
    feed_call(NAUHA_KIND_LOSS, "default", "", 1, 0, 16);
    assert_int_equal(out->count, 1);
    finish();
    assert_int_equal(out->count, 2);
    assert_value(out, 0, 0.75);
    assert_value(out, 1, 2);
    assert_int_equal(out->info[0].global_step, 0);
    assert_int_equal(out->info[0].call, 0);
}

static void test_step_loss_of_an_evaluation(void **state) {
    (void)state;
    add("step_loss:tag=testing");
    start();
    const struct series *out = listen_tagged("step_loss", "testing");
    feed_call(NAUHA_KIND_SAMPLES_IN_LOSS, "testing", "mean", 0, 0, 3);
    feed_call(NAUHA_KIND_LOSS, "testing", "", 0, 0, 1);
    feed_call(NAUHA_KIND_SAMPLES_IN_LOSS, "testing", "", 0, 1, 1);
    feed_call(NAUHA_KIND_LOSS, "testing", "", 0, 1, 5);
    feed_call(NAUHA_KIND_LOSS, "testing", "", 1, 0, 4); /* numbers that are not known */
    feed_call(NAUHA_KIND_LOSS, "testing", "", 1, 1, 5);
    finish();
    assert_int_equal(out->count, 2);
    assert_value(out, 0, 2); /* (3 1 + 5) / 4 */
    assert_value(out, 1, 4.5);
}

static const struct CMUnitTest tests[] = {
    RUN(test_loss),
    RUN(test_loss_of_several_elements),
    RUN(test_loss_that_is_a_sum),
    RUN(test_loss_that_is_a_mean),
    RUN(test_step_loss),
    RUN(test_step_loss_of_an_evaluation),
};

UNIT_MAIN(tests)
