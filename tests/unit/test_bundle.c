/* SPDX-License-Identifier: MIT */
/* Synchronized subscriptions: what makes a bundle, what is dropped, and what is said about it. */
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

static void synchronize(const char *kinds, struct nauha_subscriber *subscriber) {
    struct nauha_subscription *subscription = subscription_to(kinds);
    nauha_subscription_set_synchronized(subscription, true);
    ok(nauha_bus_subscribe(bus, subscription, subscriber, &err));
}

/* A float with a slot, a call and a rank. */
static enum nauha_status try_send_key(uint32_t kind, const char *module, const char *slot,
                                      uint32_t call, uint32_t rank, uint64_t step, float value) {
    struct nauha_message_info info = stamps_of(names, kind, module, step);
    ok(nauha_names_add_slot(names, slot, &info.slot, &err));
    info.call = call;
    info.rank = rank;
    nauha__message_resolve(&info, names, NAUHA_NONE);
    return try_publish(bus, message_of(info, NAUHA_DTYPE_F32, 1, SHAPE(1), &value));
}

static void send_key(uint32_t kind, const char *module, const char *slot, uint32_t call,
                     uint64_t step, float value) {
    ok(try_send_key(kind, module, slot, call, 0, step, value));
}

#define W NAUHA_KIND_WEIGHTS
#define U NAUHA_KIND_WEIGHT_UPDATES
#define G NAUHA_KIND_WEIGHT_GRADIENTS
#define A NAUHA_KIND_ACTIVATIONS
#define B NAUHA_KIND_BIASES

/* ---- collecting ---- */

static void test_kinds_in_the_order_asked_for(void **state) {
    (void)state;
    synchronize("weight_updates weights", one);
    send(bus, W, "a", 0, 1);
    send(bus, W, "b", 0, 2);
    assert_string_equal(first.text, "");
    send(bus, U, "b", 0, 3);
    assert_string_equal(first.text, " weight_updates:b=3,weights:b=2");
    send(bus, U, "a", 0, 4);
    send(bus, U, "a", 1, 5);
    send(bus, W, "a", 1, 6);
    ok(nauha_bus_finish(bus, &err));
    assert_string_equal(first.text, " weight_updates:b=3,weights:b=2 "
                                    "weight_updates:a=4,weights:a=1 |0 "
                                    "weight_updates:a=5,weights:a=6 |1 $");
    assert_string_equal(report_of(bus), "");
}

static void test_one_kind_is_a_bundle(void **state) {
    (void)state;
    synchronize("weights", one);
    send(bus, W, "a", 0, 1);
    send(bus, W, "a", 0, 2);
    assert_string_equal(first.text, " weights:a=1 weights:a=2");
}

static void test_slots_and_calls_are_keys(void **state) {
    (void)state;
    synchronize("weights weight_updates", one);
    send_key(W, "rnn", "weight_ih", 0, 0, 1);
    send_key(W, "rnn", "weight_hh", 0, 0, 2);
    send_key(W, "rnn", "weight_hh", 1, 0, 3);
    send_key(U, "rnn", "weight_hh", 1, 0, 4);
    send_key(U, "rnn", "weight_ih", 0, 0, 5);
    send_key(U, "rnn", "weight_hh", 0, 0, 6);
    assert_string_equal(first.text, " weights:rnn=3,weight_updates:rnn=4"
                                    " weights:rnn=1,weight_updates:rnn=5"
                                    " weights:rnn=2,weight_updates:rnn=6");
}

/* ---- kinds that agree in a part of their keys ---- */

/* Weights are there once a step: they meet the activations of each call, and of no other module. */
static void test_parameters_meet_calls_by_their_module(void **state) {
    (void)state;
    synchronize("activations weights", one);
    send_key(A, "rnn", "", 0, 0, 1);
    send_key(A, "rnn", "", 1, 0, 2);
    send_key(A, "fc", "", 0, 0, 3);
    send_key(W, "rnn", "weight_ih", 0, 0, 4);
    send_key(W, "rnn", "weight_hh", 0, 0, 5);
    send_key(A, "rnn", "", 0, 1, 6); /* the next step has no weights */
    ok(nauha_bus_finish(bus, &err));
    assert_string_equal(first.text,
                        " activations:rnn=1,weights:rnn=4 activations:rnn=2,weights:rnn=4"
                        " activations:rnn=1,weights:rnn=5 activations:rnn=2,weights:rnn=5 |0 |1 $");
    assert_string_equal(report_of(bus), "subscriber \"one\": 1 incomplete bundle of module \"rnn\" "
                                        "dropped, without \"weights\" (1)\n");
}

/* Each weight has the bias of the same name. */
static void test_weights_meet_their_biases(void **state) {
    (void)state;
    synchronize("biases weights", one);
    send_key(W, "rnn", "weight_ih_l0", 0, 0, 1);
    send_key(W, "rnn", "weight_hh_l0", 0, 0, 2);
    send_key(B, "rnn", "bias_ih_l0", 0, 0, 3);
    send_key(B, "rnn", "bias_hh_l0", 0, 0, 4);
    send_key(W, "attention", "in_proj_weight", 0, 0, 5);
    send_key(B, "attention", "in_proj_bias", 0, 0, 6);
    send_key(W, "fc", "weight", 0, 0, 7);
    send_key(B, "fc", "bias", 0, 0, 8);
    assert_string_equal(first.text,
                        " biases:rnn=3,weights:rnn=1 biases:rnn=4,weights:rnn=2"
                        " biases:attention=6,weights:attention=5 biases:fc=8,weights:fc=7");
}

/* Gradients come in each backward pass of a step, the weights once. */
static void test_gradients_of_each_pass_meet_the_weights(void **state) {
    (void)state;
    synchronize("weight_gradients weights", one);
    send_key(G, "fc", "weight", 0, 0, 1);
    send_key(G, "fc", "weight", 1, 0, 2);
    send_key(G, "fc", "other", 0, 0, 3);
    send_key(W, "fc", "weight", 0, 0, 4);
    assert_string_equal(first.text,
                        " weight_gradients:fc=1,weights:fc=4 weight_gradients:fc=2,weights:fc=4");
}

/* Every two of three kinds agree: the activation and the gradient of the same call. */
static void test_three_kinds(void **state) {
    (void)state;
    synchronize("weights activations layer_gradients", one);
    for (uint32_t call = 0; call < 2; call++)
        send_key(A, "fc", "", call, 0, (float)(1 + call));
    for (uint32_t call = 2; call-- > 0;)
        send_key(NAUHA_KIND_LAYER_GRADIENTS, "fc", "", call, 0, (float)(11 + call));
    send_key(W, "fc", "weight", 0, 0, 21);
    assert_string_equal(first.text, " weights:fc=21,activations:fc=1,layer_gradients:fc=11"
                                    " weights:fc=21,activations:fc=2,layer_gradients:fc=12");
}

static void test_subsampled_joins(void **state) {
    (void)state;
    struct nauha_subscription *subscription = subscription_to("activations weights");
    nauha_subscription_set_synchronized(subscription, true);
    ok(nauha_subscription_set_subsample(subscription, 2, &err));
    ok(nauha_bus_subscribe(bus, subscription, one, &err));
    for (uint64_t step = 0; step < 3; step++) {
        send_key(A, "fc", "", 0, step, (float)step);
        send_key(W, "fc", "weight", 0, step, (float)step + 10);
    }
    assert_string_equal(first.text,
                        " activations:fc=0,weights:fc=10 |0 |1 activations:fc=2,weights:fc=12");
}

static void test_a_second_message_in_a_join(void **state) {
    (void)state;
    synchronize("network_output input_labels", one);
    const uint32_t output = NAUHA_KIND_NETWORK_OUTPUT, labels = NAUHA_KIND_INPUT_LABELS;
    send_key(output, NULL, "logits", 0, 0, 1);
    send_key(labels, NULL, "", 0, 0, 2);
    send_key(output, NULL, "logits", 0, 0, 3); /* that of the first has been delivered */
    assert_string_equal(first.text,
                        " network_output:=1,input_labels:=2 network_output:=3,input_labels:=2");
    send_key(output, NULL, "logits", 1, 0, 4);
    refused(try_send_key(output, NULL, "logits", 1, 0, 0, 5), NAUHA_INVALID,
            "subscriber \"one\": a second \"network_output\" of the network in step 0 before its "
            "bundle was "
            "complete");
}

static void test_kinds_that_cannot_meet(void **state) {
    (void)state;
    static const struct {
        const char *kinds, *text;
    } cases[] = {
        {"loss weights",
         "subscriber \"one\": messages of \"loss\" and \"weights\" can never be in one "
         "bundle: the first kind is of the network, and the second is of its modules"},
        {"weights loss",
         "subscriber \"one\": messages of \"weights\" and \"loss\" can never be in one "
         "bundle: the first kind is of modules, and the second is of the network"},
        {"weights hyperparameters",
         "subscriber \"one\": messages of \"weights\" and \"hyperparameters\" can never be in one "
         "bundle: the first kind or the second has no tensors that belong to those of another "
         "kind"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nauha_subscription *subscription = subscription_to(cases[i].kinds);
        nauha_subscription_set_synchronized(subscription, true);
        refused(nauha_bus_subscribe(bus, subscription, one, &err), NAUHA_INVALID, cases[i].text);
    }
    ok(nauha_bus_subscribe(bus, subscription_to("weights loss"), one, &err)); /* each alone */
}

/* ---- collecting ---- */

static void test_tags_do_not_mix(void **state) {
    (void)state;
    synchronize("weights weight_updates", one);
    const float value = 9;
    struct nauha_message_info info = stamps_of(names, W, "a", 0);
    ok(nauha_names_add_tag(names, "probe", &info.tag, &err));
    ok(try_publish(bus, message_of(info, NAUHA_DTYPE_F32, 1, SHAPE(1), &value)));
    send(bus, U, "a", 0, 1);
    assert_string_equal(first.text, "");
    send(bus, W, "a", 0, 2);
    assert_string_equal(first.text, " weights:a=2,weight_updates:a=1");
}

/* All tags are taken; those of a bundle are the same, and each is subsampled by itself. */
static void test_all_tags(void **state) {
    (void)state;
    struct nauha_subscription *subscription = subscription_to("weights weight_updates");
    nauha_subscription_set_synchronized(subscription, true);
    ok(nauha_subscription_set_tag(subscription, NAUHA_ALL_TAGS, &err));
    ok(nauha_subscription_set_subsample(subscription, 2, &err));
    ok(nauha_bus_subscribe(bus, subscription, one, &err));
    struct nauha_message_info info = stamps_of(names, W, "a", 0);
    const char *const tags[] = {"probe", "default", "testing"};
    uint32_t ids[3];
    for (size_t i = 0; i < 3; i++) {
        ok(nauha_names_add_tag(names, tags[i], &ids[i], &err));
        assert_true(nauha_bus_takes(bus, W, ids[i], 0));
    }
    for (size_t i = 0; i < 6; i++) { /* weights of the first two tags, then both kinds again */
        const float value = (float)i;
        info.kind = i < 2 ? W : i < 4 ? U : W;
        info.tag = ids[i < 4 ? i % 2 : 2];
        nauha__message_resolve(&info, names, NAUHA_NONE);
        ok(try_publish(bus, message_of(info, NAUHA_DTYPE_F32, 1, SHAPE(1), &value)));
    }
    ok(nauha_bus_finish(bus, &err));
    assert_string_equal(first.text,
                        " weights:a=0,weight_updates:a=2 weights:a=1,weight_updates:a=3 |0 $");
}

static void test_subsampled_bundles(void **state) {
    (void)state;
    struct nauha_subscription *subscription = subscription_to("weights weight_updates");
    nauha_subscription_set_synchronized(subscription, true);
    ok(nauha_subscription_set_subsample(subscription, 2, &err));
    ok(nauha_bus_subscribe(bus, subscription, one, &err));
    for (uint64_t step = 0; step < 5; step++) {
        send(bus, W, "a", step, (float)step);
        send(bus, U, "a", step, (float)step + 10);
    }
    ok(nauha_bus_finish(bus, &err));
    assert_string_equal(first.text, " weights:a=0,weight_updates:a=10 |0 |1"
                                    " weights:a=2,weight_updates:a=12 |2 |3"
                                    " weights:a=4,weight_updates:a=14 |4 $");
    assert_string_equal(report_of(bus), "");
}

static void test_a_second_message_of_a_kind(void **state) {
    (void)state;
    synchronize("weights weight_updates", one);
    send(bus, W, "fc1", 41, 1);
    refused(try_send(bus, W, "fc1", 41, 2), NAUHA_INVALID,
            "subscriber \"one\": a second \"weights\" of module \"fc1\" in step 41 before its "
            "bundle was complete");
    /* Behind a complete bundle it opens the next one. */
    send(bus, U, "fc1", 41, 3);
    send(bus, W, "fc1", 41, 4);
    send(bus, U, "fc1", 41, 5);
    assert_string_equal(first.text, " weights:fc1=1,weight_updates:fc1=3"
                                    " weights:fc1=4,weight_updates:fc1=5");
}

/* ---- what is kept ---- */

/* The training's memory changes behind the publication. */
static void test_live_tensors_are_copied(void **state) {
    (void)state;
    synchronize("weights weight_updates", one);
    float value = 1;
    int64_t shape[] = {1};
    struct nauha_message message =
        message_of(stamps_of(names, W, "a", 0), NAUHA_DTYPE_F32, 1, shape, &value);
    ok(nauha_bus_publish(bus, &message, &err));
    nauha__message_fini(&message);
    value = 2;
    shape[0] = 1000000;
    send(bus, U, "a", 0, 3);
    assert_string_equal(first.text, " weights:a=1,weight_updates:a=3");
}

struct loads {
    unsigned count;
    unsigned fails_at;
};

static enum nauha_status load_one(void *context, const struct nauha_message_info *info,
                                  uint64_t row, void **data, struct nauha_error *error) {
    struct loads *loads = context;
    (void)info;
    if (++loads->count == loads->fails_at)
        return nauha_error_set(error, NAUHA_DAMAGED, "chunk 7 does not match its checksum");
    const float value = (float)row;
    *data = malloc(sizeof value);
    assert_non_null(*data);
    memcpy(*data, &value, sizeof value);
    return NAUHA_OK;
}

static void send_recorded(const struct nauha__source *source, uint32_t kind, const char *module,
                          uint64_t step, uint64_t row) {
    struct nauha_message message =
        message_of(stamps_of(names, kind, module, step), NAUHA_DTYPE_F32, 1, SHAPE(1), NULL);
    static const int64_t shape[] = {1};
    message.info.shape = shape;
    message.source = source;
    message.row = row;
    enum nauha_status status = nauha_bus_publish(bus, &message, &err);
    nauha__message_fini(&message);
    ok(status);
}

/* Nothing is read for a bundle that never is complete. */
static void test_recorded_tensors_are_read_when_complete(void **state) {
    (void)state;
    struct loads loads = {0};
    const struct nauha__source source = {.load = load_one, .context = &loads};
    synchronize("weights weight_updates", one);
    send_recorded(&source, W, "a", 0, 5);
    send_recorded(&source, W, "b", 0, 6);
    assert_int_equal(loads.count, 0);
    send_recorded(&source, U, "a", 0, 7);
    assert_int_equal(loads.count, 2);
    ok(nauha_bus_finish(bus, &err));
    assert_int_equal(loads.count, 2);
    assert_string_equal(first.text, " weights:a=5,weight_updates:a=7 |0 $");
}

/* Fails without stopping the test, unlike the diary. */
static enum nauha_status read_first(void *context, struct nauha_bundle *bundle,
                                    struct nauha_error *error) {
    struct nauha_tensor tensor;
    (void)context;
    return nauha_message_tensor(nauha_bundle_message(bundle, 0), &tensor, error);
}

static void test_damage_found_in_a_bundle(void **state) {
    (void)state;
    struct loads loads = {.fails_at = 1};
    const struct nauha__source source = {.load = load_one, .context = &loads};
    struct nauha_subscriber *reader = nauha_subscriber_from_function("reader", read_first, NULL);
    nauha_bus_set_strict(bus, true);
    synchronize("weights weight_updates", reader);
    send_recorded(&source, W, "a", 0, 5);
    refused(try_send(bus, U, "a", 0, 6), NAUHA_DAMAGED,
            "subscriber \"reader\": reading \"weights\" of module \"a\" of step 0: chunk 7 does "
            "not match its checksum");
    nauha_bus_free(bus);
    bus = NULL;
    nauha_subscriber_free(reader);
}

static enum nauha_status take_stats(void *context, struct nauha_bundle *bundle,
                                    struct nauha_error *error) {
    const struct nauha_stats *stats = NULL;
    double *sum = context;
    for (size_t i = 0; i < nauha_bundle_count(bundle); i++) {
        ok(nauha_message_stats(nauha_bundle_message(bundle, i), &stats, error));
        *sum += stats->sum;
    }
    return NAUHA_OK;
}

/* However many subscribers ask: a plain one, and two whose bundles share the messages they wait
 * with. Reading once per tensor shows that the statistics were not made again. */
static void test_statistics_are_shared_between_bundles(void **state) {
    (void)state;
    struct loads loads = {0};
    const struct nauha__source source = {.load = load_one, .context = &loads};
    double sums[3] = {0};
    struct nauha_subscriber *subscribers[3];
    for (size_t i = 0; i < 3; i++)
        subscribers[i] = nauha_subscriber_from_function("stats", take_stats, &sums[i]);
    ok(nauha_bus_subscribe(bus, subscription_to("weights"), subscribers[0], &err));
    synchronize("weight_updates weights", subscribers[1]);
    synchronize("weight_gradients weights", subscribers[2]);
    send_recorded(&source, W, "a", 0, 1);
    assert_int_equal(loads.count, 1);
    send_recorded(&source, U, "a", 0, 10);
    assert_int_equal(loads.count, 2);
    send_recorded(&source, G, "a", 0, 100);
    assert_int_equal(loads.count, 3);
    assert_true(sums[0] == 1 && sums[1] == 11 && sums[2] == 101);
    /* Without the plain one, the first bundle computes them for the second. */
    send_recorded(&source, W, "a", 1, 1);
    assert_int_equal(loads.count, 4);
    nauha_bus_free(bus);
    bus = nauha_bus_new(names);
    synchronize("weight_updates weights", subscribers[1]);
    synchronize("weight_gradients weights", subscribers[2]);
    loads.count = 0;
    send_recorded(&source, W, "a", 0, 1);
    send_recorded(&source, U, "a", 0, 10);
    send_recorded(&source, G, "a", 0, 100);
    assert_int_equal(loads.count, 3);
    nauha_bus_free(bus);
    bus = NULL;
    for (size_t i = 0; i < 3; i++)
        nauha_subscriber_free(subscribers[i]);
}

/* Elements that were read for one bundle are not held for another that may wait long. */
static void test_read_elements_are_not_held(void **state) {
    (void)state;
    struct loads loads = {0};
    const struct nauha__source source = {.load = load_one, .context = &loads};
    synchronize("weights weight_updates", one);
    synchronize("weights weight_gradients", two);
    send_recorded(&source, W, "a", 0, 1);
    send_recorded(&source, U, "a", 0, 10);
    assert_int_equal(loads.count, 2);
    send_recorded(&source, G, "a", 0, 100);
    assert_int_equal(loads.count, 4);
    assert_string_equal(first.text, " weights:a=1,weight_updates:a=10");
    assert_string_equal(second.text, " weights:a=1,weight_gradients:a=100");
}

/* A bundle may wait for what is published at the end of the step. */
static enum nauha_status publish_at_end(void *self, uint64_t step, struct nauha_error *error) {
    struct diary *diary = self;
    const struct nauha_message_info stamps = stamps_of(names, W, "a", step);
    return nauha_bus_publish_scalar(diary->bus, diary->publishes, &stamps, 5, error);
}

static void test_published_at_the_end_of_the_step(void **state) {
    (void)state;
    const struct nauha_subscriber_ops ops = {.compute = diary_compute,
                                             .step_finished = publish_at_end};
    struct diary publisher = {.bus = bus};
    ok(nauha_bus_register_topic(bus, "summary", NAUHA_SCOPE_MODULE, NAUHA_FORM_SCALAR, NULL,
                                &publisher.publishes, &err));
    struct nauha_subscriber *late = nauha_subscriber_new("late", &ops, &publisher);
    ok(nauha_bus_subscribe(bus, subscription_to("biases"), late, &err));
    synchronize("weights summary", one);
    send(bus, W, "a", 3, 1);
    ok(nauha_bus_finish(bus, &err));
    assert_string_equal(first.text, " weights:a=1,summary:a=5 |3 $");
    nauha_bus_free(bus);
    bus = NULL;
    nauha_subscriber_free(late);
}

/* A subscriber that publishes a kind of its own bundle: the bundle in its hands stays whole. */
static void test_publishing_into_ones_own_bundle(void **state) {
    (void)state;
    ok(nauha_bus_register_topic(bus, "echo", NAUHA_SCOPE_MODULE, NAUHA_FORM_SCALAR, NULL,
                                &first.publishes, &err));
    synchronize("weights echo", one);
    const struct nauha_message_info stamps = stamps_of(names, W, "a", 0);
    send(bus, W, "a", 0, 1);
    ok(nauha_bus_publish_scalar(bus, first.publishes, &stamps, 2, &err));
    send(bus, W, "a", 0, 3); /* completes what the callback opened */
    assert_string_equal(first.text, " weights:a=1,echo:a=2 weights:a=3,echo:a=1");
}

/* ---- what is dropped ---- */

static void test_incomplete_bundles_are_dropped_and_named(void **state) {
    (void)state;
    synchronize("weight_gradients weights weight_updates", one);
    synchronize("weights weight_updates", two);
    for (uint64_t step = 0; step < 4; step++) {
        send(bus, W, "fc1", step, 1);
        send(bus, W, "fc2", step, 2);
        if (step != 1 && step != 2)
            send(bus, G, "fc1", step, 3);
        send(bus, G, "fc2", step, 4);
        if (step != 2)
            send(bus, U, "fc1", step, 5);
        send(bus, U, "fc2", step, 6);
        send_event(bus, NAUHA_KIND_BATCH_FINISHED, step);
    }
    /* A straggler of a step that is over makes no bundle with what was dropped. */
    send(bus, U, "fc1", 3, 7);
    ok(nauha_bus_finish(bus, &err));
    assert_string_equal(
        report_of(bus),
        "subscriber \"one\": 3 incomplete bundles of module \"fc1\" dropped, without "
        "\"weight_gradients\" (3), \"weights\" (1), \"weight_updates\" (1)\n"
        "subscriber \"two\": 2 incomplete bundles of module \"fc1\" dropped, without "
        "\"weights\" (1), \"weight_updates\" (1)\n");
}

/* A layer without bias, or one that is frozen in another way, lacks nothing. */
static void test_a_kind_that_a_module_never_has(void **state) {
    (void)state;
    synchronize("biases weights", one);
    nauha_bus_set_strict(bus, true);
    for (uint64_t step = 0; step < 3; step++) {
        send(bus, W, "conv", step, 1);
        send(bus, W, "fc", step, 2);
        send(bus, NAUHA_KIND_BIASES, "fc", step, 3);
    }
    ok(nauha_bus_finish(bus, &err));
    assert_string_equal(report_of(bus), "");
}

static void test_no_bundle_ever_complete(void **state) {
    (void)state;
    static const char expected[] = "subscriber \"one\": none of its 4 bundles of "
                                   "\"layer_gradients\", \"activations\" was ever "
                                   "complete: no module, slot and call had them all in one step";
    synchronize("layer_gradients activations", one);
    for (uint64_t step = 0; step < 2; step++) {
        send_key(A, "fc", "0", 0, step, 1);
        send_key(NAUHA_KIND_LAYER_GRADIENTS, "fc", "1", 0, step, 1);
    }
    ok(nauha_bus_finish(bus, &err));
    assert_string_equal(first.text, " |0 |1 $");
    char line[256];
    snprintf(line, sizeof line, "%s\n", expected);
    assert_string_equal(report_of(bus), line);
    nauha_bus_free(bus);
    bus = nauha_bus_new(names);
    nauha_bus_set_strict(bus, true);
    synchronize("layer_gradients activations", one);
    for (uint64_t step = 0; step < 2; step++) {
        send_key(A, "fc", "0", 0, step, 1);
        send_key(NAUHA_KIND_LAYER_GRADIENTS, "fc", "1", 0, step, 1);
    }
    refused(nauha_bus_finish(bus, &err), NAUHA_SUBSCRIBER, expected);
}

static void test_network_bundles(void **state) {
    (void)state;
    synchronize("network_output input_labels", one);
    send(bus, NAUHA_KIND_NETWORK_OUTPUT, NULL, 0, 1);
    send(bus, NAUHA_KIND_INPUT_LABELS, NULL, 0, 2);
    send(bus, NAUHA_KIND_NETWORK_OUTPUT, NULL, 1, 1);
    ok(nauha_bus_finish(bus, &err));
    assert_string_equal(report_of(bus), "subscriber \"one\": 1 incomplete bundle of the network "
                                        "dropped, without \"input_labels\" (1)\n");
}

static void test_bundles_do_not_span_ranks(void **state) {
    (void)state;
    synchronize("weights weight_updates", one);
    ok(try_send_key(W, "a", "", 0, 0, 0, 1));
    ok(try_send_key(W, "a", "", 0, 1, 0, 2));
    ok(try_send_key(U, "a", "", 0, 1, 0, 3));
    ok(nauha_bus_finish(bus, &err));
    assert_string_equal(first.text, " |0 weights:a=2,weight_updates:a=3 |0 $");
}

/* ---- strict ---- */

static void test_strict_knows_at_the_end_of_the_step(void **state) {
    (void)state;
    nauha_bus_set_strict(bus, true);
    synchronize("weights weight_updates", one);
    send(bus, W, "a", 0, 1);
    send(bus, U, "a", 0, 2);
    send(bus, W, "a", 1, 3);
    refused(try_send(bus, W, "a", 2, 4), NAUHA_SUBSCRIBER,
            "subscriber \"one\": bundle of module \"a\" in step 1 was incomplete, without "
            "\"weight_updates\"");
}

/* What the module never had until now was missing all the same. */
static void test_strict_learns_later(void **state) {
    (void)state;
    nauha_bus_set_strict(bus, true);
    synchronize("weights weight_updates", one);
    for (uint64_t step = 5; step < 8; step++)
        send(bus, W, "a", step, 1);
    refused(try_send(bus, U, "a", 7, 2), NAUHA_SUBSCRIBER,
            "subscriber \"one\": bundle of module \"a\" in step 5 was incomplete");
}

static void test_strict_at_the_end_of_the_run(void **state) {
    (void)state;
    nauha_bus_set_strict(bus, true);
    synchronize("weights weight_updates", one);
    send(bus, W, "a", 0, 1);
    send(bus, U, "a", 0, 2);
    send(bus, U, "a", 1, 3);
    refused(nauha_bus_finish(bus, &err), NAUHA_SUBSCRIBER,
            "subscriber \"one\": bundle of module \"a\" in step 1 was incomplete, without "
            "\"weights\"");
}

#define RUN(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static const struct CMUnitTest tests[] = {
    RUN(test_kinds_in_the_order_asked_for),
    RUN(test_one_kind_is_a_bundle),
    RUN(test_slots_and_calls_are_keys),
    RUN(test_parameters_meet_calls_by_their_module),
    RUN(test_weights_meet_their_biases),
    RUN(test_gradients_of_each_pass_meet_the_weights),
    RUN(test_three_kinds),
    RUN(test_subsampled_joins),
    RUN(test_a_second_message_in_a_join),
    RUN(test_kinds_that_cannot_meet),
    RUN(test_tags_do_not_mix),
    RUN(test_all_tags),
    RUN(test_subsampled_bundles),
    RUN(test_a_second_message_of_a_kind),
    RUN(test_live_tensors_are_copied),
    RUN(test_recorded_tensors_are_read_when_complete),
    RUN(test_damage_found_in_a_bundle),
    RUN(test_statistics_are_shared_between_bundles),
    RUN(test_read_elements_are_not_held),
    RUN(test_published_at_the_end_of_the_step),
    RUN(test_publishing_into_ones_own_bundle),
    RUN(test_incomplete_bundles_are_dropped_and_named),
    RUN(test_a_kind_that_a_module_never_has),
    RUN(test_no_bundle_ever_complete),
    RUN(test_network_bundles),
    RUN(test_bundles_do_not_span_ranks),
    RUN(test_strict_knows_at_the_end_of_the_step),
    RUN(test_strict_learns_later),
    RUN(test_strict_at_the_end_of_the_run),
};

UNIT_MAIN(tests)
