/* SPDX-License-Identifier: MIT */
/* What a source of messages that is itself a subscriber needs: the bus tells it what is wanted,
 * takes its tensors, and leaves out the recorded ones; analyzers find the services it offers. */
#include "tests/unit/analyzer_fixture.h"

#include "nauha/network.h"

/* ---- tensors of one's own ---- */

/* As a batch ends, publishes [step, step + 1] as network_output, and [1, 0] as labels of a pass. */
struct source {
    struct nauha_bus *bus;
    uint32_t tag;
    unsigned passes;
};

static enum nauha_status run_pass(void *context, struct nauha_bundle *bundle,
                                  struct nauha_error *error) {
    struct source *source = context;
    struct nauha_message_info stamps = *nauha_message_info(nauha_bundle_message(bundle, 0));
    if (!nauha_bus_takes(source->bus, NAUHA_KIND_NETWORK_OUTPUT, source->tag, stamps.global_step))
        return NAUHA_OK;
    const double output[4] = {0, 1, (double)stamps.global_step, 1};
    const int64_t labels[2] = {1, 0};
    struct nauha_tensor tensor = {
        .data = output, .dtype = NAUHA_DTYPE_F64, .ndim = 2, .shape = SHAPE(2, 2)};
    source->passes++;
    stamps.tag = source->tag;
    stamps.kind = NAUHA_KIND_NETWORK_OUTPUT;
    enum nauha_status status = nauha_bus_publish_tensor(source->bus, &stamps, &tensor, error);
    if (status != NAUHA_OK)
        return status;
    stamps.kind = NAUHA_KIND_INPUT_LABELS;
    tensor = (struct nauha_tensor){
        .data = labels, .dtype = NAUHA_DTYPE_I64, .ndim = 1, .shape = SHAPE(2)};
    return nauha_bus_publish_tensor(source->bus, &stamps, &tensor, error);
}

static void test_a_source_publishes_passes(void **state) {
    (void)state;
    struct source source = {.bus = nauha_pipeline_bus(pipeline)};
    ok(nauha_names_add_tag(names, "testing", &source.tag, &err));
    listeners[listener_count++] = nauha_subscriber_from_function("source", run_pass, &source);
    ok(nauha_bus_subscribe(source.bus, subscription_to("batch_finished"), listeners[0], &err));
    nauha_pipeline_set_recomputed(pipeline, true);
    add("test_accuracy:every=2");
    start();
    const struct series *out = listen_tagged("test_accuracy", "testing");
    for (uint64_t step = 0; step < 5; step++) {
        struct nauha_message_info recorded =
            stamps_of(names, NAUHA_KIND_NETWORK_OUTPUT, NULL, step);
        const double wrong[2] = {9, 0};
        recorded.tag = source.tag;
        feed_event(NAUHA_KIND_BATCH_STARTED, step);
        ok(try_feed(message_of(recorded, NAUHA_DTYPE_F64, 2, SHAPE(1, 2), wrong)));
        feed_event(NAUHA_KIND_BATCH_FINISHED, step);
    }
    finish();
    assert_int_equal(source.passes, 3);
    assert_int_equal(out->count, 3);
    assert_value(out, 0, 0.5); /* 0 < 1: the second label is wrong */
    assert_value(out, 1, 1);
    assert_value(out, 2, 1);
    assert_int_equal(out->info[1].global_step, 2);
}

static void test_tensors_that_are_refused(void **state) {
    (void)state;
    start();
    struct nauha_bus *bus = nauha_pipeline_bus(pipeline);
    struct nauha_message_info stamps = stamps_of(names, NAUHA_KIND_BATCH_STARTED, NULL, 0);
    const double x[2] = {0};
    struct nauha_tensor tensor = {
        .data = x, .dtype = NAUHA_DTYPE_F64, .ndim = 1, .shape = SHAPE(2)};
    refused(nauha_bus_publish_tensor(bus, &stamps, &tensor, &err), NAUHA_INVALID,
            "topic \"batch_started\" does not hold tensors");
    stamps.kind = NAUHA_KIND_LOSS;
    tensor.shape = SHAPE(-2);
    assert_int_equal(nauha_bus_publish_tensor(bus, &stamps, &tensor, &err), NAUHA_INVALID);
    stamps.kind = 500;
    refused(nauha_bus_publish_tensor(bus, &stamps, &tensor, &err), NAUHA_UNKNOWN,
            "topic 500 is not registered");
}

/* ---- every ---- */

static void test_every(void **state) {
    (void)state;
    const struct series *out = run("mean:weights:every=3", "weights_mean");
    for (uint64_t step = 1; step < 8; step++) {
        const double x = (double)step;
        feed_f64(W, "a", step, 1, &x);
    }
    finish();
    assert_int_equal(out->count, 2);
    assert_value(out, 0, 3);
    assert_value(out, 1, 6);
}

static void test_every_is_refused(void **state) {
    (void)state;
    struct nauha_subscription *subscription = subscription_to("loss");
    refused(nauha_subscription_set_every(subscription, 0, &err), NAUHA_INVALID,
            "every is 0: it must be 1 or more");
    nauha_subscription_free(subscription);
    refused(nauha_pipeline_add_metric(pipeline, "loss:every=0", &err), NAUHA_INVALID,
            "metric \"loss:every=0\": key \"every\" takes a whole number from 1 to "
            "9007199254740992, not \"0\"");
}

/* ---- services ---- */

static enum nauha_status eigenvalues(void *context, const struct nauha_hessian_request *request,
                                     double *values, size_t *count, struct nauha_error *error) {
    (void)error;
    struct nauha_hessian_request *seen = context;
    *seen = *request;
    for (*count = 0; *count < request->count && *count < 2; ++*count)
        values[*count] = (double)(10 * request->global_step + *count);
    return NAUHA_OK;
}

static void test_hessian_eig_asks_the_network(void **state) {
    (void)state;
    struct nauha_hessian_request seen = {0};
    const struct nauha_network network = {sizeof network, &seen, eigenvalues};
    ok(nauha_pipeline_offer(pipeline, NAUHA_NETWORK_SERVICE, &network, &err));
    refused(nauha_pipeline_offer(pipeline, NAUHA_NETWORK_SERVICE, &network, &err), NAUHA_INVALID,
            "the service \"network\" exists already");
    add("hessian_eig:k=3:every=2:tolerance=0.01:products=50:samples=20");
    start();
    const struct series *first = listen("hessian_eig0"), *second = listen("hessian_eig1"),
                        *third = listen("hessian_eig2");
    for (uint64_t step = 0; step < 3; step++)
        feed_event(NAUHA_KIND_BATCH_FINISHED, step);
    finish();
    assert_int_equal(first->count, 2);
    assert_value(first, 0, 0);
    assert_value(first, 1, 20);
    assert_value(second, 1, 21);
    assert_int_equal(third->count, 0); /* the network has two parameters */
    assert_int_equal(first->info[1].global_step, 2);
    assert_int_equal(seen.count, 3);
    assert_int_equal(seen.products, 50);
    assert_int_equal(seen.samples, 20);
    assert_true(seen.tolerance == 0.01);
    assert_plot("hessian_eig1", "Eigenvalue 1 of the loss's Hessian", "eigenvalue", false);
}

static void test_hessian_eig_without_a_network(void **state) {
    (void)state;
    add("hessian_eig");
    refused(nauha_pipeline_start(pipeline, &err), NAUHA_UNAVAILABLE,
            "metric \"hessian_eig\": it needs the network: replay with --model FILE.pt or --model "
            "NAME");
}

static const struct CMUnitTest tests[] = {
    RUN(test_a_source_publishes_passes),
    RUN(test_tensors_that_are_refused),
    RUN(test_every),
    RUN(test_every_is_refused),
    RUN(test_hessian_eig_asks_the_network),
    RUN(test_hessian_eig_without_a_network),
};

UNIT_MAIN(tests)
