/* SPDX-License-Identifier: MIT */
/* What a recording lost, told to those who compute with the rest. */
#include "tests/unit/recorded.h"

#include "nauha/pipeline.h"

static struct nauha_names *names;
static struct nauha_pipeline *pipeline;

/* Writes down what is missing. */
struct listener {
    char text[512];
    enum nauha_status fails;
};
static struct listener first, second;

static enum nauha_status compute(void *self, struct nauha_bundle *bundle, struct nauha_error *err) {
    (void)self;
    (void)bundle;
    (void)err;
    return NAUHA_OK;
}

static enum nauha_status lost(void *self, const char *kind, uint64_t messages, uint64_t bytes,
                              struct nauha_error *err) {
    struct listener *listener = self;
    const size_t used = strlen(listener->text);
    snprintf(listener->text + used, sizeof listener->text - used, "%s:%d:%d ", kind, (int)messages,
             (int)bytes);
    return listener->fails ? nauha_error_set(err, listener->fails, "no") : NAUHA_OK;
}

static enum nauha_status finish(void *self, struct nauha_error *err) {
    (void)err;
    strcat(((struct listener *)self)->text, "$");
    return NAUHA_OK;
}

static const struct nauha_subscriber_ops ops = {.compute = compute, .lost = lost, .finish = finish};

static int setup(void **state) {
    first = second = (struct listener){.fails = NAUHA_OK};
    names = nauha_names_new();
    pipeline = nauha_pipeline_new(names);
    return recorded_setup(state) || !pipeline;
}

static int teardown(void **state) {
    nauha_pipeline_free(pipeline);
    nauha_names_free(names);
    return recorded_teardown(state);
}

static struct nauha_subscriber *subscribe(const char *kind, struct listener *listener) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_subscriber *subscriber = nauha_subscriber_new("listener", &ops, listener);
    must(nauha_bus_subscribe(nauha_pipeline_bus(pipeline), nauha_subscription_new(&kind, 1),
                             subscriber, &err),
         &err);
    return subscriber;
}

static void test_told_once_to_those_who_subscribe(void **state) {
    (void)state;
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_bus *bus = nauha_pipeline_bus(pipeline);
    const char *weights = "weights";
    struct nauha_subscriber *one = subscribe("weights", &first), *two = subscribe("loss", &second);
    must(nauha_bus_subscribe(bus, nauha_subscription_new(&weights, 1), one, &err), &err);
    must(nauha_bus_tell_lost(bus, NAUHA_KIND_WEIGHTS, 3, 12, &err), &err);
    must(nauha_bus_tell_lost(bus, NAUHA_KIND_BIASES, 4, 16, &err), &err);
    must(nauha_bus_finish(bus, &err), &err);
    assert_string_equal(first.text, "weights:3:12 $");
    assert_string_equal(second.text, "$");
    assert_int_equal(nauha_bus_tell_lost(bus, NAUHA_KIND_WEIGHTS, 3, 12, &err), NAUHA_STATE);
    nauha_pipeline_free(pipeline);
    pipeline = NULL;
    nauha_subscriber_free(one);
    nauha_subscriber_free(two);
}

static void test_failure_names_the_subscriber(void **state) {
    (void)state;
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_subscriber *one = subscribe("weights", &first);
    first.fails = NAUHA_IO;
    assert_int_equal(
        nauha_bus_tell_lost(nauha_pipeline_bus(pipeline), NAUHA_KIND_WEIGHTS, 3, 12, &err),
        NAUHA_IO);
    assert_string_equal(err.message, "subscriber \"listener\": no");
    nauha_pipeline_free(pipeline);
    pipeline = NULL;
    nauha_subscriber_free(one);
}

/* ---- an analyzer, and a recording that stopped at its limit ---- */

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    (void)host;
    (void)config;
    (void)err;
    *self = &first;
    return NAUHA_OK;
}

static void destroy(void *self) {
    (void)self;
}

static const struct nauha_analyzer analyzer = {.abi = NAUHA_ANALYZER_ABI,
                                               .size = sizeof(struct nauha_analyzer),
                                               .name = "listener",
                                               .summary = "writes down what is missing",
                                               .min_kinds = 1,
                                               .max_kinds = 1,
                                               .create = create,
                                               .compute = compute,
                                               .finish = finish,
                                               .destroy = destroy,
                                               .lost = lost};

static void test_analyzers_hear_of_it_before_the_end(void **state) {
    (void)state;
    enum { COUNT = 100000 };
    static float values[COUNT];
    const int64_t dims[] = {COUNT};
    const struct nauha_tensor tensor = {
        .data = values, .dtype = NAUHA_DTYPE_F32, .ndim = 1, .shape = dims};
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_recorder *recorder =
        recorded_open((const char *[]){"codec", "none", "limit", "2M", NULL});
    const uint32_t fc = add_module(recorder, "fc");
    for (unsigned i = 0; i < 10; i++) {
        publish(recorder, NAUHA_KIND_ACTIVATIONS, fc, &tensor);
        nauha_recorder_flush(recorder, NULL);
    }
    nauha_recorder_close(recorder, NULL); /* fails: of its limit */
    struct nauha_trace *trace = NULL;
    struct nauha_trace_info info;
    must(nauha_trace_open(recorded_path, names, &trace, &err), &err);
    nauha_trace_get_info(trace, &info);
    assert_true(info.messages_lost > 0 && info.messages_lost < 10);

    must(nauha_pipeline_add_analyzer(pipeline, &analyzer, &err), &err);
    must(nauha_pipeline_add_metric(pipeline, "listener:activations", &err), &err);
    must(nauha_pipeline_start(pipeline, &err), &err);
    must(nauha_pipeline_replay(pipeline, trace, NULL, NULL, NULL, &err), &err);
    must(nauha_pipeline_finish(pipeline, &err), &err);
    char expected[64];
    snprintf(expected, sizeof expected, "activations:%d:%d $", (int)info.messages_lost,
             (int)info.bytes_lost);
    assert_string_equal(first.text, expected);
    nauha_trace_close(trace);
}

#define RUN(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

static const struct CMUnitTest tests[] = {
    RUN(test_told_once_to_those_who_subscribe),
    RUN(test_failure_names_the_subscriber),
    RUN(test_analyzers_hear_of_it_before_the_end),
};

UNIT_MAIN(tests)
