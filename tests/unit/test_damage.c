/* SPDX-License-Identifier: MIT */
/* Damaged messages on their way through a bus: left out, told of, or an error. */
#include "tests/unit/bus_fixture.h"

static struct nauha_names *names;
static struct nauha_bus *bus;
static struct nauha_subscriber *one, *two;

/* Adds up what it gets; what it says of a failure is its own. */
struct adder {
    double sum;
    enum nauha_status says; /* OK: what it was told */
};
static struct adder first, second;

static enum nauha_status add(void *self, struct nauha_bundle *bundle, struct nauha_error *error) {
    struct adder *adder = self;
    double sum = 0;
    for (size_t i = 0; i < nauha_bundle_count(bundle); i++) {
        struct nauha_tensor tensor;
        double value = 0;
        enum nauha_status status =
            nauha_message_tensor(nauha_bundle_message(bundle, i), &tensor, error);
        if (status != NAUHA_OK)
            return adder->says == NAUHA_OK ? status : nauha_error_set(error, adder->says, "no");
        nauha_tensor_to_f64(&tensor, 0, 1, &value);
        sum += value;
    }
    adder->sum += sum;
    return NAUHA_OK;
}

static int setup(void **state) {
    (void)state;
    first = second = (struct adder){0};
    err = (struct nauha_error)NAUHA_ERROR_INIT;
    names = nauha_names_new();
    bus = nauha_bus_new(names);
    one = nauha_subscriber_from_function("one", add, &first);
    two = nauha_subscriber_from_function("two", add, &second);
    return bus && one && two ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    nauha_bus_free(bus);
    nauha_subscriber_free(one);
    nauha_subscriber_free(two);
    nauha_names_free(names);
    return 0;
}

static void subscribe(const char *kinds, struct nauha_subscriber *subscriber) {
    struct nauha_subscription *subscription = subscription_to(kinds);
    nauha_subscription_set_synchronized(subscription, strchr(kinds, ' ') != NULL);
    ok(nauha_bus_subscribe(bus, subscription, subscriber, &err));
}

/* The elements of a step are its number; those of odd steps are damaged. */
static enum nauha_status load(void *context, const struct nauha_message_info *info, uint64_t row,
                              void **data, struct nauha_error *error) {
    (void)context;
    (void)row;
    if (info->global_step % 2 == 1)
        return nauha_error_set(error, NAUHA_DAMAGED, "chunk %d does not match its checksum",
                               (int)info->global_step);
    float *value = malloc(sizeof *value);
    *value = (float)info->global_step;
    *data = value;
    return NAUHA_OK;
}

static enum nauha_status publish(uint32_t kind, const char *module, uint64_t step) {
    static const struct nauha__source source = {.load = load};
    static const int64_t dims[] = {1};
    struct nauha_message message =
        message_of(stamps_of(names, kind, module, step), NAUHA_DTYPE_F32, 1, dims, NULL);
    message.info.seq = 100 + step;
    message.source = &source;
    return try_publish(bus, message);
}

static void test_left_out_and_told_once(void **state) {
    (void)state;
    subscribe("weights", one);
    subscribe("weights", two);
    for (uint64_t step = 0; step < 4; step++)
        ok(publish(NAUHA_KIND_WEIGHTS, "fc", step));
    assert_true(first.sum == 2 && second.sum == 2);
    assert_int_equal(err.code, NAUHA_OK);
    assert_string_equal(
        report_of(bus),
        "2 damaged messages were left out:\n"
        "message 101: reading \"weights\" of module \"fc\" of step 1: chunk 1 does not "
        "match its checksum\n"
        "message 103: reading \"weights\" of module \"fc\" of step 3: chunk 3 does not "
        "match its checksum\n");
}

static void test_bundles_with_one_are_left_out(void **state) {
    (void)state;
    subscribe("weights biases", one);
    subscribe("biases", two);
    for (uint64_t step = 0; step < 3; step++) {
        ok(publish(NAUHA_KIND_WEIGHTS, "fc", step));
        ok(publish(NAUHA_KIND_BIASES, "fc", step));
    }
    ok(nauha_bus_finish(bus, &err));
    assert_true(first.sum == 4 && second.sum == 2);
    assert_non_null(strstr(report_of(bus), "2 damaged messages were left out:\n"));
}

static void test_only_the_first_are_named(void **state) {
    (void)state;
    subscribe("weights", one);
    for (uint64_t step = 0; step < 20; step++)
        ok(publish(NAUHA_KIND_WEIGHTS, "fc", step));
    assert_non_null(strstr(report_of(bus), "10 damaged messages were left out:\nmessage 101: "));
    assert_non_null(strstr(report_of(bus), "\nmessage 109: "));
    assert_null(strstr(report_of(bus), "\nmessage 111: "));
    assert_non_null(
        strstr(report_of(bus), "\nand 5 more; \"nauha verify\" lists what is damaged\n"));
}

static void test_a_subscriber_may_say_it_in_its_own_words(void **state) {
    (void)state;
    subscribe("weights", one);
    first.says = NAUHA_SUBSCRIBER;
    ok(publish(NAUHA_KIND_WEIGHTS, "fc", 1));
    assert_non_null(strstr(report_of(bus), "chunk 1 does not match its checksum"));
    first.says = NAUHA_IO;
    refused(publish(NAUHA_KIND_WEIGHTS, "fc", 3), NAUHA_IO, "subscriber \"one\": no");
}

static void test_damage_without_a_damaged_message_is_an_error(void **state) {
    (void)state;
    struct diary diary;
    struct nauha_subscriber *three = diary_new("three", &diary, bus);
    subscribe("weights", three);
    diary.fails = NAUHA_DAMAGED;
    diary.fails_with = "its own file";
    refused(publish(NAUHA_KIND_WEIGHTS, "fc", 0), NAUHA_DAMAGED,
            "subscriber \"three\": its own file");
    assert_string_equal(report_of(bus), "");
    nauha_bus_free(bus);
    bus = NULL;
    nauha_subscriber_free(three);
}

static void test_strict(void **state) {
    (void)state;
    subscribe("weights", one);
    nauha_bus_set_strict(bus, true);
    ok(publish(NAUHA_KIND_WEIGHTS, "fc", 0));
    refused(publish(NAUHA_KIND_WEIGHTS, "fc", 1), NAUHA_DAMAGED,
            "subscriber \"one\": reading \"weights\" of module \"fc\" of step 1: chunk 1 does not "
            "match its checksum");
    assert_string_equal(report_of(bus), "");
}

#define RUN(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

static const struct CMUnitTest tests[] = {
    RUN(test_left_out_and_told_once),
    RUN(test_bundles_with_one_are_left_out),
    RUN(test_only_the_first_are_named),
    RUN(test_a_subscriber_may_say_it_in_its_own_words),
    RUN(test_damage_without_a_damaged_message_is_an_error),
    RUN(test_strict),
};

UNIT_MAIN(tests)
