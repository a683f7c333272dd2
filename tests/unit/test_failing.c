/* SPDX-License-Identifier: MIT */
/* Subscribers that fail and are ended, while the others go on. */
#include "tests/unit/bus_fixture.h"

static struct nauha_names *names;
static struct nauha_bus *bus;

/* A subscriber that fails at a value, or at another callback, and what it is told then. */
struct failing {
    struct diary diary; /* first, as its callbacks take it as self */
    double at;          /* the value; NaN: none */
    bool at_steps, at_finish, at_losses;
    bool goes_on;
    uint32_t times;
    char told[2048];
};

static struct failing bad;
static struct diary good;
static struct nauha_subscriber *bad_one, *good_one;

static enum nauha_status fail_here(bool here, struct nauha_error *error) {
    return here ? nauha_error_set(error, NAUHA_INVALID, "it is too round") : NAUHA_OK;
}

static enum nauha_status compute(void *self, struct nauha_bundle *bundle,
                                 struct nauha_error *error) {
    struct failing *failing = self;
    struct nauha_tensor tensor;
    double value = 0;
    ok(nauha_message_tensor(nauha_bundle_message(bundle, 0), &tensor, &err));
    nauha_tensor_to_f64(&tensor, 0, 1, &value);
    const enum nauha_status status = diary_compute(self, bundle, error);
    return status == NAUHA_OK ? fail_here(value == failing->at, error) : status;
}

static enum nauha_status step_finished(void *self, uint64_t step, struct nauha_error *error) {
    diary_step_finished(self, step, error);
    return fail_here(((struct failing *)self)->at_steps, error);
}

static enum nauha_status lost(void *self, const char *kind, uint64_t messages, uint64_t bytes,
                              struct nauha_error *error) {
    (void)kind;
    (void)messages;
    (void)bytes;
    note(self, " lost");
    return fail_here(((struct failing *)self)->at_losses, error);
}

static enum nauha_status finish(void *self, struct nauha_error *error) {
    diary_finish(self, error);
    return fail_here(((struct failing *)self)->at_finish, error);
}

static bool failed(void *self, const char *where, const struct nauha_error *reason) {
    struct failing *failing = self;
    failing->times++;
    snprintf(failing->told, sizeof failing->told, "%s: %s", where, reason->message);
    return failing->goes_on;
}

static const struct nauha_subscriber_ops failing_ops = {.compute = compute,
                                                        .step_finished = step_finished,
                                                        .lost = lost,
                                                        .finish = finish,
                                                        .failed = failed};

static int setup(void **state) {
    (void)state;
    names = nauha_names_new();
    bus = nauha_bus_new(names);
    bad_one = nauha_subscriber_new("bad", &failing_ops, &bad);
    bad = (struct failing){
        .diary = {.bus = bus, .publishes = NAUHA_NONE}, .at = (double)NAN, .goes_on = true};
    good_one = diary_new("good", &good, bus);
    return bus && bad_one ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    nauha_bus_free(bus);
    nauha_subscriber_free(bad_one);
    nauha_subscriber_free(good_one);
    nauha_names_free(names);
    return 0;
}

static void subscribe(const char *kinds, struct nauha_subscriber *subscriber) {
    ok(nauha_bus_subscribe(bus, subscription_to(kinds), subscriber, &err));
}

static void subscribe_both(void) {
    subscribe("loss", bad_one);
    subscribe("loss", good_one);
}

/* ---- one of two ---- */

static void test_the_others_go_on(void **state) {
    (void)state;
    subscribe_both();
    subscribe("weights", bad_one);
    bad.at = 2;
    for (uint64_t step = 0; step < 3; step++) {
        send(bus, NAUHA_KIND_LOSS, NULL, step, (float)step + 1);
        send(bus, NAUHA_KIND_WEIGHTS, "a", step, 7);
    }
    ok(nauha_bus_tell_lost(bus, NAUHA_KIND_LOSS, 1, 4, &err));
    ok(nauha_bus_finish(bus, &err));
    assert_string_equal(bad.diary.text, " loss:=1 weights:a=7 |0 loss:=2");
    assert_string_equal(good.text, " loss:=1 |0 loss:=2 |1 loss:=3 |2 $");
    assert_int_equal(bad.times, 1);
    assert_string_equal(bad.told, "step 1, \"loss\" of the network: it is too round");
}

static void test_where_it_failed(void **state) {
    (void)state;
    subscribe("weights", bad_one);
    bad.at = 5;
    send(bus, NAUHA_KIND_WEIGHTS, "features.0", 41, 5);
    assert_string_equal(bad.told, "step 41, \"weights\" of module \"features.0\": it is too round");
}

static void test_at_the_end_of_a_step(void **state) {
    (void)state;
    subscribe_both();
    bad.at_steps = true;
    for (uint64_t step = 0; step < 3; step++)
        send(bus, NAUHA_KIND_LOSS, NULL, step, (float)step);
    ok(nauha_bus_finish(bus, &err));
    assert_string_equal(bad.diary.text, " loss:=0 |0");
    assert_string_equal(good.text, " loss:=0 |0 loss:=1 |1 loss:=2 |2 $");
    assert_string_equal(bad.told, "the end of step 0: it is too round");
}

static void test_at_the_losses(void **state) {
    (void)state;
    subscribe_both();
    bad.at_losses = true;
    send(bus, NAUHA_KIND_LOSS, NULL, 0, 1);
    ok(nauha_bus_tell_lost(bus, NAUHA_KIND_LOSS, 1, 4, &err));
    ok(nauha_bus_finish(bus, &err));
    assert_string_equal(bad.diary.text, " loss:=1 lost");
    assert_string_equal(good.text, " loss:=1 |0 $");
    assert_string_equal(bad.told, "the losses of \"loss\": it is too round");
}

static void test_at_the_end_of_the_run(void **state) {
    (void)state;
    subscribe_both();
    bad.at_finish = true;
    send(bus, NAUHA_KIND_LOSS, NULL, 0, 1);
    ok(nauha_bus_finish(bus, &err));
    assert_string_equal(good.text, " loss:=1 |0 $");
    assert_string_equal(bad.told, "the end of the run: it is too round");
}

/* ---- bundles ---- */

/* What it had open is dropped, and is no incomplete bundle to be reported. */
static void test_a_second_message_of_a_kind(void **state) {
    (void)state;
    struct nauha_subscription *both = subscription_to("weights weight_updates");
    nauha_subscription_set_synchronized(both, true);
    ok(nauha_bus_subscribe(bus, both, bad_one, &err));
    subscribe("weights", good_one);
    send(bus, NAUHA_KIND_WEIGHTS, "a", 0, 1);
    send(bus, NAUHA_KIND_WEIGHT_UPDATES, "a", 0, 2);
    send(bus, NAUHA_KIND_WEIGHTS, "b", 1, 3);
    send(bus, NAUHA_KIND_WEIGHTS, "a", 1, 4);
    send(bus, NAUHA_KIND_WEIGHTS, "a", 1, 5);
    send(bus, NAUHA_KIND_WEIGHT_UPDATES, "a", 1, 6);
    ok(nauha_bus_finish(bus, &err));
    assert_string_equal(bad.diary.text, " weights:a=1,weight_updates:a=2 |0");
    assert_string_equal(good.text, " weights:a=1 |0 weights:b=3 weights:a=4 weights:a=5 |1 $");
    assert_string_equal(bad.told, "step 1, \"weights\" of module \"a\": a second \"weights\" of "
                                  "module \"a\" in step 1 before its bundle was complete");
    assert_string_equal(report_of(bus), "");
}

/* ---- what feeds on it, and what it feeds ---- */

static uint32_t topic_of(const char *name) {
    uint32_t kind = 0;
    ok(nauha_bus_register_topic(bus, name, NAUHA_SCOPE_NETWORK, NAUHA_FORM_SCALAR, NULL, &kind,
                                &err));
    return kind;
}

static void test_readers_go_on_with_what_there_was(void **state) {
    (void)state;
    bad.diary.publishes = topic_of("copied");
    subscribe("loss", bad_one);
    subscribe("copied", good_one);
    bad.at = 2;
    for (uint64_t step = 0; step < 4; step++)
        send(bus, NAUHA_KIND_LOSS, NULL, step, (float)step + 1);
    ok(nauha_bus_finish(bus, &err));
    assert_string_equal(good.text, " copied:=1 |0 copied:=2 |1 |2 |3 $");
}

static void test_a_publisher_goes_on_without_its_reader(void **state) {
    (void)state;
    good.publishes = topic_of("copied");
    subscribe("loss", good_one);
    subscribe("copied", bad_one);
    bad.at = 1;
    for (uint64_t step = 0; step < 2; step++)
        send(bus, NAUHA_KIND_LOSS, NULL, step, (float)step + 1);
    assert_string_equal(bad.diary.text, " copied:=1");
    assert_string_equal(good.text, " loss:=1 |0 loss:=2");
}

/* A sink that cannot write is behind what the metric publishes: the metric is not at fault. */
static void test_a_reader_that_may_not_fail(void **state) {
    (void)state;
    bad.diary.publishes = topic_of("copied");
    subscribe("loss", bad_one);
    subscribe("copied", good_one);
    good.fails = NAUHA_IO;
    good.fails_with = "no space left";
    refused(try_send(bus, NAUHA_KIND_LOSS, NULL, 0, 1), NAUHA_IO,
            "subscriber \"bad\": subscriber \"good\": no space left");
    assert_int_equal(bad.times, 0);
}

/* ---- what ends the run ---- */

static enum nauha_status refuse(void *context, const struct nauha_message_info *info, uint64_t row,
                                void **data, struct nauha_error *error) {
    (void)info;
    (void)row;
    (void)data;
    return nauha_error_set(error, *(enum nauha_status *)context, "the source has none");
}

static enum nauha_status read_message(void *self, struct nauha_bundle *bundle,
                                      struct nauha_error *error) {
    struct nauha_tensor tensor;
    (void)self;
    return nauha_message_tensor(nauha_bundle_message(bundle, 0), &tensor, error);
}

/* The status of a message whose elements cannot be had, for a subscriber that may be ended. */
static enum nauha_status read_refused(enum nauha_status why) {
    static const struct nauha_subscriber_ops ops = {.compute = read_message, .failed = failed};
    const struct nauha__source source = {.load = refuse, .context = &why};
    struct nauha_subscriber *reader = nauha_subscriber_new("reader", &ops, &bad);
    subscribe("weights", reader);
    struct nauha_message message = message_of(stamps_of(names, NAUHA_KIND_WEIGHTS, "a", 0),
                                              NAUHA_DTYPE_F32, 1, SHAPE(1), NULL);
    message.source = &source;
    const enum nauha_status status = try_publish(bus, message);
    nauha_bus_free(bus);
    bus = NULL;
    nauha_subscriber_free(reader);
    return status;
}

static void test_a_trace_that_cannot_be_read(void **state) {
    (void)state;
    assert_int_equal(read_refused(NAUHA_IO), NAUHA_IO);
    assert_string_equal(err.message,
                        "subscriber \"reader\": reading \"weights\" of module \"a\" of "
                        "step 0: the source has none");
    assert_int_equal(bad.times, 0);
}

static void test_a_tensor_that_is_too_large(void **state) {
    (void)state;
    assert_int_equal(read_refused(NAUHA_LIMIT), NAUHA_OK);
    assert_int_equal(bad.times, 1);
}

static void test_damage_is_left_out(void **state) {
    (void)state;
    assert_int_equal(read_refused(NAUHA_DAMAGED), NAUHA_OK);
    assert_int_equal(bad.times, 0);
}

static void test_a_strict_bus(void **state) {
    (void)state;
    nauha_bus_set_strict(bus, true);
    subscribe_both();
    bad.at = 1;
    refused(try_send(bus, NAUHA_KIND_LOSS, NULL, 0, 1), NAUHA_INVALID,
            "subscriber \"bad\": it is too round");
    assert_int_equal(bad.times, 0);
}

static void test_one_that_does_not_agree(void **state) {
    (void)state;
    subscribe_both();
    bad.at = 1;
    bad.goes_on = false;
    refused(try_send(bus, NAUHA_KIND_LOSS, NULL, 0, 1), NAUHA_INVALID,
            "subscriber \"bad\": it is too round");
    assert_int_equal(bad.times, 1);
}

#define RUN(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        RUN(test_the_others_go_on),
        RUN(test_where_it_failed),
        RUN(test_at_the_end_of_a_step),
        RUN(test_at_the_losses),
        RUN(test_at_the_end_of_the_run),
        RUN(test_a_second_message_of_a_kind),
        RUN(test_readers_go_on_with_what_there_was),
        RUN(test_a_publisher_goes_on_without_its_reader),
        RUN(test_a_reader_that_may_not_fail),
        RUN(test_a_trace_that_cannot_be_read),
        RUN(test_a_tensor_that_is_too_large),
        RUN(test_damage_is_left_out),
        RUN(test_a_strict_bus),
        RUN(test_one_that_does_not_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
