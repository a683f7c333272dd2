/* SPDX-License-Identifier: MIT */
/* The bus: topics, tags, subsampling, order of delivery, ends of steps, and errors. */
#include "tests/unit/bus_fixture.h"

static struct nauha_names *names;
static struct nauha_bus *bus;
static struct diary first, second;
static struct nauha_subscriber *one, *two;

static int setup(void **state) {
    (void)state;
    names = nauha_names_new();
    bus = nauha_bus_new(names);
    one = diary_new("one", &first, bus);
    two = diary_new("two", &second, bus);
    return bus ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    nauha_bus_free(bus);
    nauha_subscriber_free(one);
    nauha_subscriber_free(two);
    nauha_names_free(names);
    return 0;
}

static uint32_t topic_of(const char *name, enum nauha_scope scope, enum nauha_form form) {
    uint32_t kind = 0;
    ok(nauha_bus_register_topic(bus, name, scope, form, NULL, &kind, &err));
    return kind;
}

static void subscribe(const char *kinds, struct nauha_subscriber *subscriber) {
    ok(nauha_bus_subscribe(bus, subscription_to(kinds), subscriber, &err));
}

/* ---- topics ---- */

static void test_topics(void **state) {
    (void)state;
    uint32_t kind = 0, again = 0;
    char title[] = "A title";
    const struct nauha_plot plot = {
        .title = title, .ylabel = "y", .y_low = 1, .y_high = NAN, .log_y = true};
    for (uint32_t builtin = 0; builtin < NAUHA_KIND_BUILTIN_COUNT; builtin++)
        assert_true(nauha_bus_has_topic(bus, builtin));
    assert_false(nauha_bus_has_topic(bus, NAUHA_KIND_BUILTIN_COUNT));
    assert_false(nauha_bus_has_topic(bus, NAUHA_NONE));
    ok(nauha_bus_register_topic(bus, "mine", NAUHA_SCOPE_MODULE, NAUHA_FORM_SCALAR, &plot, &kind,
                                &err));
    title[0] = 'X';
    assert_true(nauha_bus_has_topic(bus, kind));
    assert_string_equal(nauha_bus_plot(bus, kind)->title, "A title");
    assert_null(nauha_bus_plot(bus, kind)->series);
    assert_true(nauha_bus_plot(bus, kind)->log_y);
    assert_true(nauha_bus_plot(bus, kind)->y_low == 1);
    ok(nauha_bus_register_topic(bus, "mine", NAUHA_SCOPE_MODULE, NAUHA_FORM_SCALAR, &plot, &again,
                                &err));
    assert_int_equal(again, kind);
    assert_string_equal(nauha_bus_plot(bus, kind)->title, "A title");
    assert_null(nauha_bus_plot(bus, NAUHA_KIND_LOSS));
    assert_null(nauha_bus_plot(bus, 12345));
    refused(nauha_bus_register_topic(bus, "mine", NAUHA_SCOPE_NETWORK, NAUHA_FORM_SCALAR, NULL,
                                     &kind, &err),
            NAUHA_INVALID,
            "kind \"mine\" is registered as a module scalar and cannot also be a network scalar");
    assert_int_equal(nauha_bus_register_topic(bus, "a/b", NAUHA_SCOPE_NETWORK, NAUHA_FORM_SCALAR,
                                              NULL, &kind, &err),
                     NAUHA_INVALID);
    assert_ptr_equal(nauha_bus_names(bus), names);
}

/* A name that came from elsewhere is no topic until somebody registers it. */
static void test_unregistered_topics(void **state) {
    (void)state;
    uint32_t kind = 0;
    ok(nauha_names_add_kind(names, "foreign", NAUHA_SCOPE_MODULE, NAUHA_FORM_SCALAR, &kind, &err));
    refused(nauha_bus_subscribe(bus, subscription_to("foreign"), one, &err), NAUHA_UNKNOWN,
            "subscriber \"one\": topic \"foreign\" is not registered");
    refused(nauha_bus_subscribe(bus, subscription_to("loss nothing"), one, &err), NAUHA_UNKNOWN,
            "subscriber \"one\": topic \"nothing\" is not registered");
    refused(try_send(bus, kind, "a", 0, 1), NAUHA_UNKNOWN, "topic \"foreign\" is not registered");
    refused(try_send(bus, 9999, "a", 0, 1), NAUHA_UNKNOWN, "topic 9999 is not registered");
    const struct nauha_message_info stamps = stamps_of(names, NAUHA_KIND_LOSS, NULL, 0);
    refused(nauha_bus_publish_scalar(bus, kind, &stamps, 1, &err), NAUHA_UNKNOWN,
            "topic \"foreign\" is not registered");
    /* The failed subscriptions left nothing behind. */
    assert_false(nauha_bus_wants(bus, NAUHA_KIND_LOSS));
}

static void test_impossible_subscriptions(void **state) {
    (void)state;
    refused(nauha_bus_subscribe(bus, subscription_to(""), one, &err), NAUHA_INVALID,
            "subscriber \"one\" subscribes to no topic");
    refused(nauha_bus_subscribe(bus, subscription_to("loss weights loss"), one, &err),
            NAUHA_INVALID, "subscriber \"one\" subscribes to topic \"loss\" twice");
    struct nauha_subscription *subscription = subscription_to("loss");
    refused(nauha_subscription_set_subsample(subscription, 0, &err), NAUHA_INVALID,
            "subsample is 0: it must be 1 or more");
    refused(nauha_subscription_set_tag(subscription, "", &err), NAUHA_INVALID,
            "tag of a subscription is empty");
    nauha_subscription_free(subscription);
    nauha_subscription_free(NULL);
    nauha_subscriber_free(NULL);
    nauha_bus_free(NULL);
}

/* ---- delivery ---- */

static void test_delivery(void **state) {
    (void)state;
    subscribe("weights biases", one);
    subscribe("weights", two);
    assert_true(nauha_bus_wants(bus, NAUHA_KIND_WEIGHTS));
    assert_true(nauha_bus_wants(bus, NAUHA_KIND_BIASES));
    assert_false(nauha_bus_wants(bus, NAUHA_KIND_LOSS));
    assert_false(nauha_bus_wants(bus, 9999));
    send(bus, NAUHA_KIND_WEIGHTS, "a", 0, 1.5f);
    send(bus, NAUHA_KIND_BIASES, "", 0, 2);
    send(bus, NAUHA_KIND_LOSS, NULL, 0, 3);
    assert_string_equal(first.text, " weights:a=1.5 biases:=2");
    assert_string_equal(second.text, " weights:a=1.5");
}

static void test_tags(void **state) {
    (void)state;
    struct nauha_subscription *subscription = subscription_to("loss");
    ok(nauha_subscription_set_tag(subscription, "probe", &err));
    ok(nauha_bus_subscribe(bus, subscription, one, &err));
    subscribe("loss", two);
    const float values[] = {1, 2, 3};
    static const char *const tags[] = {"default", "probe", "other"};
    for (size_t i = 0; i < 3; i++) {
        struct nauha_message_info info = stamps_of(names, NAUHA_KIND_LOSS, NULL, 0);
        ok(nauha_names_add_tag(names, tags[i], &info.tag, &err));
        ok(try_publish(bus, message_of(info, NAUHA_DTYPE_F32, 0, NULL, &values[i])));
    }
    assert_string_equal(first.text, " loss:=2");
    assert_string_equal(second.text, " loss:=1");
}

/* Every key and kind has a count of its own, which goes on over the steps. */
static void test_subsample(void **state) {
    (void)state;
    struct nauha_subscription *subscription = subscription_to("weights biases");
    ok(nauha_subscription_set_subsample(subscription, 3, &err));
    ok(nauha_bus_subscribe(bus, subscription, one, &err));
    for (uint64_t step = 0; step < 7; step++) {
        send(bus, NAUHA_KIND_WEIGHTS, "a", step, (float)step);
        if (step > 0)
            send(bus, NAUHA_KIND_WEIGHTS, "b", step, (float)step);
        if (step == 5)
            send(bus, NAUHA_KIND_BIASES, "a", step, (float)step);
    }
    send_event(bus, NAUHA_KIND_BATCH_FINISHED, 6);
    assert_string_equal(first.text, " weights:a=0 |0 weights:b=1 |1 |2 weights:a=3 |3 weights:b=4 "
                                    "|4 biases:a=5 |5 weights:a=6 |6");
}

static void test_subsample_by_slot_call_and_rank(void **state) {
    (void)state;
    struct nauha_subscription *subscription = subscription_to("activations");
    ok(nauha_subscription_set_subsample(subscription, 2, &err));
    ok(nauha_bus_subscribe(bus, subscription, one, &err));
    struct nauha_message_info info = stamps_of(names, NAUHA_KIND_ACTIVATIONS, "a", 0);
    uint32_t slot = 0;
    ok(nauha_names_add_slot(names, "1", &slot, &err));
    for (unsigned i = 0; i < 16; i++) {
        const float value = (float)i;
        info.slot = i & 1 ? slot : 0;
        info.call = i >> 1 & 1;
        info.rank = i >> 2 & 1;
        ok(try_publish(bus, message_of(info, NAUHA_DTYPE_F32, 1, SHAPE(1), &value)));
    }
    assert_string_equal(first.text,
                        " activations:a=0 activations:a=1 activations:a=2 activations:a=3 |0 "
                        "activations:a=4 activations:a=5 activations:a=6 activations:a=7 |0 |0");
}

static enum nauha_status count_call(void *context, struct nauha_bundle *bundle,
                                    struct nauha_error *error) {
    (void)error;
    *(size_t *)context += nauha_bundle_count(bundle);
    return NAUHA_OK;
}

static void test_callback_subscriber(void **state) {
    (void)state;
    size_t count = 0;
    struct nauha_subscriber *mine = nauha_subscriber_from_function("mine", count_call, &count);
    subscribe("loss", mine);
    send(bus, NAUHA_KIND_LOSS, NULL, 0, 1);
    send(bus, NAUHA_KIND_LOSS, NULL, 1, 1);
    ok(nauha_bus_finish(bus, &err));
    assert_int_equal(count, 2);
    nauha_bus_free(bus);
    bus = NULL;
    nauha_subscriber_free(mine);
}

static void set_true(void *self) {
    *(bool *)self = true;
}

static void test_subscriber_owns_its_self(void **state) {
    (void)state;
    bool freed = false;
    const struct nauha_subscriber_ops ops = {.compute = diary_compute, .free = set_true};
    nauha_subscriber_free(nauha_subscriber_new("x", &ops, &freed));
    assert_true(freed);
}

/* ---- steps ---- */

static void test_steps(void **state) {
    (void)state;
    subscribe("loss", one);
    subscribe("weights", two);
    subscribe("loss", two);
    send(bus, NAUHA_KIND_LOSS, NULL, 0, 1);
    send(bus, NAUHA_KIND_WEIGHTS, "a", 0, 2);
    send(bus, NAUHA_KIND_LOSS, NULL, 1, 3); /* ends step 0 */
    send_event(bus, NAUHA_KIND_BATCH_FINISHED, 1);
    send(bus, NAUHA_KIND_LOSS, NULL, 1, 4); /* what follows batch_finished is a step again */
    send_event(bus, NAUHA_KIND_BATCH_STARTED, 2);
    send_event(bus, NAUHA_KIND_BATCH_FINISHED, 2);
    ok(nauha_bus_finish(bus, &err));
    assert_string_equal(first.text, " loss:=1 |0 loss:=3 |1 loss:=4 |1 |2 $");
    assert_string_equal(second.text, " loss:=1 weights:a=2 |0 loss:=3 |1 loss:=4 |1 |2 $");
    refused(nauha_bus_finish(bus, &err), NAUHA_STATE, "the bus has finished already");
    refused(try_send(bus, NAUHA_KIND_LOSS, NULL, 3, 1), NAUHA_STATE,
            "cannot publish after the bus has finished");
    refused(nauha_bus_subscribe(bus, subscription_to("loss"), one, &err), NAUHA_STATE,
            "cannot subscribe \"one\" after the bus has finished");
}

static void test_another_rank_ends_the_step(void **state) {
    (void)state;
    subscribe("loss", one);
    const float value = 1;
    for (uint32_t rank = 0; rank < 3; rank++) {
        struct nauha_message_info info = stamps_of(names, NAUHA_KIND_LOSS, NULL, 7);
        info.rank = rank;
        ok(try_publish(bus, message_of(info, NAUHA_DTYPE_F32, 0, NULL, &value)));
    }
    assert_string_equal(first.text, " loss:=1 |7 loss:=1 |7 loss:=1");
    ok(nauha_bus_finish(bus, &err));
    assert_string_equal(first.text, " loss:=1 |7 loss:=1 |7 loss:=1 |7 $");
}

static void test_no_messages(void **state) {
    (void)state;
    subscribe("loss", one);
    ok(nauha_bus_finish(bus, &err));
    assert_string_equal(first.text, " $");
    assert_string_equal(report_of(bus), "");
}

/* ---- publishing by subscribers ---- */

static enum nauha_status keep_info(void *context, struct nauha_bundle *bundle,
                                   struct nauha_error *error) {
    (void)error;
    struct nauha_message_info *kept = context;
    *kept = *nauha_message_info(nauha_bundle_message(bundle, 0));
    return NAUHA_OK;
}

static void test_stamps_of_published_scalars(void **state) {
    (void)state;
    struct nauha_message_info seen = {0};
    const uint32_t module_topic = topic_of("m", NAUHA_SCOPE_MODULE, NAUHA_FORM_SCALAR);
    const uint32_t network_topic = topic_of("n", NAUHA_SCOPE_NETWORK, NAUHA_FORM_SCALAR);
    struct nauha_subscriber *mine = nauha_subscriber_from_function("mine", keep_info, &seen);
    subscribe("m n", mine);
    struct nauha_message_info stamps = stamps_of(names, NAUHA_KIND_WEIGHTS, "fc", 11);
    stamps.epoch = 2;
    stamps.rank = 3;
    stamps.call = 4;
    stamps.seq = 99;
    stamps.has_tensor = true;
    stamps.dtype = NAUHA_DTYPE_I8;
    stamps.bytes = 77;
    ok(nauha_bus_publish_scalar(bus, module_topic, &stamps, 1, &err));
    assert_string_equal(seen.kind_name, "m");
    assert_string_equal(seen.module_name, "fc");
    assert_string_equal(seen.module_class, "Linear");
    assert_int_equal(seen.seq, 0);
    assert_int_equal(seen.global_step, 11);
    assert_int_equal(seen.epoch, 2);
    assert_int_equal(seen.rank, 3);
    assert_int_equal(seen.call, 4);
    assert_int_equal(seen.time_ns, 11000);
    assert_int_equal(seen.dtype, NAUHA_DTYPE_F64);
    assert_int_equal(seen.ndim, 0);
    assert_int_equal(seen.bytes, 8);
    ok(nauha_bus_publish_scalar(bus, network_topic, &stamps, 1, &err));
    assert_int_equal(seen.module, NAUHA_NONE);
    assert_string_equal(seen.module_name, "");
    assert_int_equal(seen.seq, 1);
    refused(nauha_bus_publish_scalar(bus, NAUHA_KIND_LOSS, &stamps, 1, &err), NAUHA_INVALID,
            "topic \"loss\" does not hold scalars");
    nauha_bus_free(bus);
    bus = NULL;
    nauha_subscriber_free(mine);
}

struct histogram_copy {
    int64_t shape[2];
    double elements[9];
    struct nauha_bus *bus;
    uint32_t again; /* publishes one of another size inside; NONE: not */
};

static enum nauha_status keep_histogram(void *context, struct nauha_bundle *bundle,
                                        struct nauha_error *error) {
    struct histogram_copy *copy = context;
    struct nauha_message *message = nauha_bundle_message(bundle, 0);
    struct nauha_tensor tensor;
    if (copy->again != NAUHA_NONE) {
        const uint32_t again = copy->again;
        copy->again = NAUHA_NONE;
        static const double edges[] = {7, 8};
        static const uint64_t counts[] = {9};
        ok(nauha_bus_publish_histogram(copy->bus, again, nauha_message_info(message), edges, counts,
                                       1, error));
        assert_int_equal(copy->shape[0], 1);
        assert_true(copy->elements[2] == 9);
    }
    ok(nauha_message_tensor(message, &tensor, error));
    assert_int_equal(tensor.ndim, 2);
    memcpy(copy->shape, tensor.shape, sizeof copy->shape);
    assert_true(nauha_message_info(message)->bytes <= sizeof copy->elements);
    memcpy(copy->elements, tensor.data, nauha_message_info(message)->bytes);
    return NAUHA_OK;
}

static void test_published_histograms(void **state) {
    (void)state;
    struct histogram_copy copy = {.bus = bus};
    copy.again = topic_of("h", NAUHA_SCOPE_MODULE, NAUHA_FORM_HISTOGRAM);
    struct nauha_subscriber *mine = nauha_subscriber_from_function("mine", keep_histogram, &copy);
    subscribe("h", mine);
    const struct nauha_message_info stamps = stamps_of(names, NAUHA_KIND_WEIGHTS, "fc", 0);
    const double edges[] = {-1, 0, 2, 3};
    const uint64_t counts[] = {5, 0, 7};
    static const double expected[] = {-1, 0, 5, 0, 2, 0, 2, 3, 7};
    const uint32_t topic = copy.again;
    for (int i = 0; i < 3; i++) {
        ok(nauha_bus_publish_histogram(bus, topic, &stamps, edges, counts, 3, &err));
        assert_int_equal(copy.shape[0], 3);
        assert_int_equal(copy.shape[1], 3);
        assert_memory_equal(copy.elements, expected, sizeof expected);
    }
    refused(nauha_bus_publish_scalar(bus, topic, &stamps, 1, &err), NAUHA_INVALID,
            "topic \"h\" does not hold scalars");
    nauha_bus_free(bus);
    bus = NULL;
    nauha_subscriber_free(mine);
}

/* Delivery is at once: what a message sets off comes before the next subscriber's turn. */
static void test_subscribers_feed_subscribers(void **state) {
    (void)state;
    first.publishes = topic_of("again", NAUHA_SCOPE_MODULE, NAUHA_FORM_SCALAR);
    subscribe("weights", one);
    subscribe("again", two);
    subscribe("weights", two);
    send(bus, NAUHA_KIND_WEIGHTS, "a", 0, 1);
    send(bus, NAUHA_KIND_WEIGHTS, "a", 1, 2);
    assert_string_equal(second.text, " again:a=1 weights:a=1 |0 again:a=2 weights:a=2");
}

static void test_cycles_end(void **state) {
    (void)state;
    first.publishes = topic_of("round", NAUHA_SCOPE_MODULE, NAUHA_FORM_SCALAR);
    subscribe("weights round", one);
    assert_int_equal(try_send(bus, NAUHA_KIND_WEIGHTS, "a", 0, 1), NAUHA_LIMIT);
    assert_non_null(strstr(err.message, "subscriber \"one\": "));
    size_t rounds = 0;
    for (const char *at = first.text; (at = strstr(at, "round:a=1")); at++)
        rounds++;
    assert_int_equal(rounds, 31);
    assert_non_null(
        strstr(err.message, ": topic \"round\" depends on itself: 32 nested publications"));
    /* The bus is as good as before. */
    first.text[0] = '\0';
    first.publishes = NAUHA_NONE;
    send(bus, NAUHA_KIND_WEIGHTS, "a", 0, 1);
    assert_string_equal(first.text, " weights:a=1");
}

static struct nauha_subscriber *late;

static enum nauha_status subscribe_inside(void *context, struct nauha_bundle *bundle,
                                          struct nauha_error *error) {
    (void)bundle;
    return nauha_bus_subscribe(context, subscription_to("loss"), late, error);
}

static void test_no_subscribing_inside(void **state) {
    (void)state;
    late = one;
    struct nauha_subscriber *mine = nauha_subscriber_from_function("mine", subscribe_inside, bus);
    subscribe("loss", mine);
    refused(try_send(bus, NAUHA_KIND_LOSS, NULL, 0, 1), NAUHA_STATE,
            "subscriber \"mine\": cannot subscribe \"one\" while a message is being delivered");
    nauha_bus_free(bus);
    bus = NULL;
    nauha_subscriber_free(mine);
}

static enum nauha_status finish_inside(void *context, struct nauha_bundle *bundle,
                                       struct nauha_error *error) {
    (void)bundle;
    return nauha_bus_finish(context, error);
}

static void test_no_finishing_inside(void **state) {
    (void)state;
    struct nauha_subscriber *mine = nauha_subscriber_from_function("mine", finish_inside, bus);
    subscribe("loss", mine);
    refused(try_send(bus, NAUHA_KIND_LOSS, NULL, 0, 1), NAUHA_STATE,
            "subscriber \"mine\": cannot finish while a message is being delivered");
    nauha_bus_free(bus);
    bus = NULL;
    nauha_subscriber_free(mine);
}

/* ---- errors of subscribers ---- */

static void test_errors_name_the_subscriber(void **state) {
    (void)state;
    subscribe("loss", one);
    subscribe("loss", two);
    first.fails = NAUHA_INVALID;
    first.fails_with = "it is too round";
    refused(try_send(bus, NAUHA_KIND_LOSS, NULL, 0, 1), NAUHA_INVALID,
            "subscriber \"one\": it is too round");
    assert_string_equal(second.text, "");
    first.fails = NAUHA_SUBSCRIBER;
    first.fails_with = NULL;
    refused(try_send(bus, NAUHA_KIND_LOSS, NULL, 0, 1), NAUHA_SUBSCRIBER,
            "subscriber \"one\": a subscriber failed");
    /* Not the end of a trace. */
    first.fails = NAUHA_END;
    assert_int_equal(try_send(bus, NAUHA_KIND_LOSS, NULL, 0, 1), NAUHA_SUBSCRIBER);
    /* Without a place for the error. */
    const float value = 1;
    struct nauha_message message =
        message_of(stamps_of(names, NAUHA_KIND_LOSS, NULL, 0), NAUHA_DTYPE_F32, 0, NULL, &value);
    assert_int_equal(nauha_bus_publish(bus, &message, NULL), NAUHA_SUBSCRIBER);
    first.fails = NAUHA_OK;
    send(bus, NAUHA_KIND_LOSS, NULL, 0, 1);
    assert_string_equal(second.text, " loss:=1");
}

static enum nauha_status fail_step(void *self, uint64_t step, struct nauha_error *error) {
    (void)self;
    (void)step;
    return nauha_error_set(error, NAUHA_IO, "no more paper");
}

static enum nauha_status fail_finish(void *self, struct nauha_error *error) {
    (void)self;
    return nauha_error_set(error, NAUHA_IO, "no more ink");
}

static void test_errors_at_ends(void **state) {
    (void)state;
    const struct nauha_subscriber_ops steps = {.compute = diary_compute,
                                               .step_finished = fail_step};
    const struct nauha_subscriber_ops finishes = {.compute = diary_compute, .finish = fail_finish};
    struct nauha_subscriber *bad = nauha_subscriber_new("bad", &steps, &first);
    subscribe("loss", bad);
    send(bus, NAUHA_KIND_LOSS, NULL, 4, 1);
    refused(try_send(bus, NAUHA_KIND_LOSS, NULL, 5, 1), NAUHA_IO,
            "end of step 4: subscriber \"bad\": no more paper");
    nauha_bus_free(bus);
    nauha_subscriber_free(bad);
    bus = nauha_bus_new(names);
    bad = nauha_subscriber_new("bad", &finishes, &first);
    subscribe("loss", bad);
    refused(nauha_bus_finish(bus, &err), NAUHA_IO, "subscriber \"bad\": no more ink");
    nauha_bus_free(bus);
    bus = NULL;
    nauha_subscriber_free(bad);
}

/* ---- statistics of messages ---- */

static enum nauha_status keep_stats(void *context, struct nauha_bundle *bundle,
                                    struct nauha_error *error) {
    const struct nauha_stats **place = context;
    return nauha_message_stats(nauha_bundle_message(bundle, 0), place, error);
}

static void test_statistics_are_computed_once(void **state) {
    (void)state;
    const struct nauha_stats *a = NULL, *b = NULL;
    struct nauha_subscriber *x = nauha_subscriber_from_function("x", keep_stats, &a);
    struct nauha_subscriber *y = nauha_subscriber_from_function("y", keep_stats, &b);
    subscribe("weights batch_started", x);
    subscribe("weights", y);
    const double values[] = {1, 2, 6};
    struct nauha_message message = message_of(stamps_of(names, NAUHA_KIND_WEIGHTS, "a", 0),
                                              NAUHA_DTYPE_F64, 1, SHAPE(3), values);
    ok(nauha_bus_publish(bus, &message, &err));
    assert_non_null(a);
    assert_ptr_equal(a, b);
    assert_true(a->mean == 3);
    nauha__message_fini(&message);
    struct nauha_message event = {.info = stamps_of(names, NAUHA_KIND_BATCH_STARTED, NULL, 0)};
    assert_int_equal(nauha_bus_publish(bus, &event, &err), NAUHA_INVALID);
    assert_string_equal(
        err.message, "subscriber \"x\": message \"batch_started\" is an event and has no tensor");
    nauha_bus_free(bus);
    bus = NULL;
    nauha_subscriber_free(x);
    nauha_subscriber_free(y);
}

#define RUN(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static const struct CMUnitTest tests[] = {
    RUN(test_topics),
    RUN(test_unregistered_topics),
    RUN(test_impossible_subscriptions),
    RUN(test_delivery),
    RUN(test_tags),
    RUN(test_subsample),
    RUN(test_subsample_by_slot_call_and_rank),
    RUN(test_callback_subscriber),
    RUN(test_subscriber_owns_its_self),
    RUN(test_steps),
    RUN(test_another_rank_ends_the_step),
    RUN(test_no_messages),
    RUN(test_stamps_of_published_scalars),
    RUN(test_published_histograms),
    RUN(test_subscribers_feed_subscribers),
    RUN(test_cycles_end),
    RUN(test_no_subscribing_inside),
    RUN(test_no_finishing_inside),
    RUN(test_errors_name_the_subscriber),
    RUN(test_errors_at_ends),
    RUN(test_statistics_are_computed_once),
};

UNIT_MAIN(tests)
