/* SPDX-License-Identifier: MIT */
/* test_accuracy: all batches of an evaluation make one number. */
#include "tests/unit/analyzer_fixture.h"

static struct nauha_message_info stamps_in(uint32_t kind, const char *tag, uint64_t step,
                                           uint32_t call, uint32_t rank) {
    struct nauha_message_info info = stamps_of(names, kind, NULL, step);
    ok(nauha_names_add_tag(names, tag, &info.tag, &err));
    info.call = call;
    info.rank = rank;
    nauha__message_resolve(&info, names, NAUHA_NONE);
    return info;
}

/* A batch of n samples, of which the first `right` are labelled as predicted. */
static void batch(const char *tag, uint64_t step, uint32_t call, uint32_t rank, size_t n,
                  size_t right) {
    float output[2 * 16] = {0};
    int64_t labels[16];
    assert_true(n <= 16);
    for (size_t i = 0; i < n; i++) {
        output[2 * i + 1] = 1;
        labels[i] = i < right;
    }
    ok(try_feed(message_of(stamps_in(NAUHA_KIND_NETWORK_OUTPUT, tag, step, call, rank),
                           NAUHA_DTYPE_F32, 2, SHAPE((int64_t)n, 2), output)));
    ok(try_feed(message_of(stamps_in(NAUHA_KIND_INPUT_LABELS, tag, step, call, rank),
                           NAUHA_DTYPE_I64, 1, SHAPE((int64_t)n), labels)));
}

static void test_batches_are_pooled(void **state) {
    (void)state;
    add("test_accuracy");
    start();
    const struct series *out = listen_tagged("test_accuracy", "testing");
    feed_event(NAUHA_KIND_BATCH_STARTED, 0);
    batch("testing", 0, 0, 0, 4, 3);
    batch("testing", 0, 1, 0, 4, 1);
    batch("testing", 0, 2, 0, 2, 2);
    batch("default", 0, 0, 0, 4, 0);
    feed_event(NAUHA_KIND_BATCH_FINISHED, 0);
    feed_event(NAUHA_KIND_BATCH_STARTED, 1);
    feed_event(NAUHA_KIND_BATCH_FINISHED, 1);
    batch("testing", 1, 0, 0, 8, 8);
    finish();
    assert_int_equal(out->count, 2);
    assert_value(out, 0, 0.6);
    assert_value(out, 1, 1);
    assert_int_equal(out->info[0].global_step, 0);
    assert_int_equal(out->info[0].call, 0);
    assert_int_equal(out->info[1].global_step, 1);
    assert_int_equal(out->info[1].module, NAUHA_NONE);
    assert_plot("test_accuracy", "Test accuracy", "accuracy", false);
}

/* Two evaluations of one step, one inside it and one behind it, are two. */
static void test_evaluations_around_a_step(void **state) {
    (void)state;
    add("test_accuracy");
    start();
    const struct series *out = listen_tagged("test_accuracy", "testing");
    feed_event(NAUHA_KIND_BATCH_STARTED, 0);
    batch("testing", 0, 0, 0, 4, 1);
    feed_event(NAUHA_KIND_BATCH_FINISHED, 0);
    feed_event(NAUHA_KIND_EPOCH_FINISHED, 0);
    batch("testing", 0, 1, 0, 4, 2);
    feed_event(NAUHA_KIND_EPOCH_STARTED, 1);
    finish();
    assert_int_equal(out->count, 2);
    assert_value(out, 0, 0.25);
    assert_value(out, 1, 0.5);
}

static void test_another_tag(void **state) {
    (void)state;
    add("test_accuracy:tag=validation");
    start();
    const struct series *out = listen_tagged("test_accuracy", "validation");
    batch("testing", 0, 0, 0, 4, 4);
    batch("validation", 0, 0, 0, 4, 3);
    finish();
    assert_int_equal(out->count, 1);
    assert_value(out, 0, 0.75);
}

static void test_ranks_are_told_apart(void **state) {
    (void)state;
    add("test_accuracy");
    start();
    const struct series *out = listen_tagged("test_accuracy", "testing");
    batch("testing", 0, 0, 0, 4, 4);
    batch("testing", 0, 0, 1, 4, 0);
    finish();
    assert_int_equal(out->count, 2);
    assert_value(out, 0, 1);
    assert_value(out, 1, 0);
    assert_int_equal(out->info[1].rank, 1);
}

static void test_no_samples(void **state) {
    (void)state;
    add("test_accuracy");
    start();
    const struct series *out = listen_tagged("test_accuracy", "testing");
    batch("testing", 0, 0, 0, 0, 0);
    finish();
    assert_value(out, 0, NAN);
}

static void test_labels_that_do_not_fit(void **state) {
    (void)state;
    add("test_accuracy");
    start();
    const struct series *out = listen_tagged("test_accuracy", "testing");
    const float output[4] = {0};
    ok(try_feed(message_of(stamps_in(NAUHA_KIND_NETWORK_OUTPUT, "testing", 0, 0, 0),
                           NAUHA_DTYPE_F32, 2, SHAPE(2, 2), output)));
    ok(try_feed(message_of(stamps_in(NAUHA_KIND_INPUT_LABELS, "testing", 0, 0, 0), NAUHA_DTYPE_I64,
                           1, SHAPE(3), (const int64_t[3]){0})));
    finish();
    assert_int_equal(out->count, 0);
}

/* A probe as a step begins and an evaluation behind the optimizer's step, which the next step's
 * begin ends. */
static void test_evaluations_before_and_behind_the_training(void **state) {
    (void)state;
    add("test_accuracy");
    start();
    const struct series *out = listen_tagged("test_accuracy", "testing");
    feed_event(NAUHA_KIND_BATCH_STARTED, 0);
    batch("testing", 0, 0, 0, 4, 3);
    batch("default", 0, 0, 0, 4, 0);
    batch("testing", 0, 1, 0, 5, 5);
    batch("testing", 0, 2, 0, 5, 3);
    feed_event(NAUHA_KIND_BATCH_FINISHED, 0);
    finish();
    assert_int_equal(out->count, 2);
    assert_value(out, 0, 0.75);
    assert_value(out, 1, 0.8);
}

static const struct CMUnitTest tests[] = {
    RUN(test_batches_are_pooled),
    RUN(test_evaluations_around_a_step),
    RUN(test_evaluations_before_and_behind_the_training),
    RUN(test_another_tag),
    RUN(test_ranks_are_told_apart),
    RUN(test_no_samples),
    RUN(test_labels_that_do_not_fit),
};

UNIT_MAIN(tests)
