/* SPDX-License-Identifier: MIT */
/* A pipeline of metrics, fed by hand, and listeners to what they publish. */
#ifndef NAUHA_TESTS_ANALYZER_FIXTURE_H
#define NAUHA_TESTS_ANALYZER_FIXTURE_H

#include "tests/unit/bus_fixture.h"

#include "nauha/pipeline.h"

#define W NAUHA_KIND_WEIGHTS
#define U NAUHA_KIND_WEIGHT_UPDATES
#define COUNT(array) (sizeof(array) / sizeof *(array))

/* What a topic got: its messages' stamps and elements. */
struct series {
    size_t count;
    struct nauha_message_info info[64];
    size_t elements[64];
    double values[64][3 * 64];
};

static struct nauha_names *names;
static struct nauha_pipeline *pipeline;
static struct nauha_subscriber *listeners[8];
static struct series series[8];
static size_t listener_count;

/* What a metric refuses is what the publication returns. */
static inline bool end_at_failures(void *context, const char *text) {
    (void)context;
    (void)text;
    return false;
}

static inline int setup(void **state) {
    (void)state;
    names = nauha_names_new();
    pipeline = nauha_pipeline_new(names);
    nauha_pipeline_on_failure(pipeline, end_at_failures, NULL);
    listener_count = 0;
    memset(series, 0, sizeof series);
    return pipeline ? 0 : -1;
}

static inline int teardown(void **state) {
    (void)state;
    nauha_pipeline_free(pipeline);
    for (size_t i = 0; i < listener_count; i++)
        nauha_subscriber_free(listeners[i]);
    nauha_names_free(names);
    return 0;
}

static inline enum nauha_status listen_to(void *context, struct nauha_bundle *bundle,
                                          struct nauha_error *error) {
    struct series *to = context;
    struct nauha_message *message = nauha_bundle_message(bundle, 0);
    struct nauha_tensor tensor;
    size_t n = 0;
    assert_true(to->count < COUNT(to->values));
    ok(nauha_message_tensor(message, &tensor, error));
    ok(nauha_tensor_count(&tensor, &n, error));
    assert_true(n <= COUNT(to->values[0]));
    to->info[to->count] = *nauha_message_info(message);
    to->elements[to->count] = n;
    nauha_tensor_to_f64(&tensor, 0, n, to->values[to->count++]);
    return NAUHA_OK;
}

static inline void add(const char *spec) {
    ok(nauha_pipeline_add_metric(pipeline, spec, &err));
}

static inline void start(void) {
    ok(nauha_pipeline_start(pipeline, &err));
}

/* After start. */
/* The series of an evaluation carries the tag that the metric subscribes to. */
static inline struct series *listen_tagged(const char *topic, const char *tag) {
    struct series *to = &series[listener_count];
    struct nauha_subscriber *listener = nauha_subscriber_from_function(topic, listen_to, to);
    struct nauha_subscription *subscription = nauha_subscription_new(&topic, 1);
    listeners[listener_count++] = listener;
    ok(nauha_subscription_set_tag(subscription, tag, &err));
    ok(nauha_bus_subscribe(nauha_pipeline_bus(pipeline), subscription, listener, &err));
    return to;
}

static inline struct series *listen(const char *topic) {
    return listen_tagged(topic, "default");
}

/* One metric and its topic. */
static inline struct series *run(const char *spec, const char *topic) {
    add(spec);
    start();
    return listen(topic);
}

static inline enum nauha_status try_feed(struct nauha_message message) {
    enum nauha_status status = nauha_pipeline_publish(pipeline, &message, &err);
    nauha__message_fini(&message);
    return status;
}

static inline void feed_event(uint32_t kind, uint64_t step) {
    ok(try_feed((struct nauha_message){.info = stamps_of(names, kind, NULL, step)}));
}

static inline void feed(uint32_t kind, const char *module, uint64_t step, enum nauha_dtype dtype,
                        size_t n, const void *data) {
    const int64_t shape[] = {(int64_t)n};
    ok(try_feed(message_of(stamps_of(names, kind, module, step), dtype, 1, shape, data)));
}

static inline void feed_f64(uint32_t kind, const char *module, uint64_t step, size_t n,
                            const double *x) {
    feed(kind, module, step, NAUHA_DTYPE_F64, n, x);
}

static inline void finish(void) {
    ok(nauha_pipeline_finish(pipeline, &err));
}

static inline void assert_value(const struct series *from, size_t i, double expected) {
    assert_true(i < from->count);
    assert_int_equal(from->elements[i], 1);
    const double value = from->values[i][0];
    if (isnan(expected) ? !isnan(value) : !(value == expected))
        fail_msg("%.17g is not %.17g", value, expected);
}

/* y_low and y_high: NaN for ends that are where the values are. */
static inline void assert_plot_from(const char *topic, const char *title, const char *ylabel,
                                    double y_low, double y_high, bool log_y) {
    const struct nauha_plot *plot =
        nauha_bus_plot(nauha_pipeline_bus(pipeline), nauha_names_find_kind(names, topic));
    assert_non_null(plot);
    assert_string_equal(plot->title, title);
    assert_string_equal(plot->xlabel, "step");
    assert_string_equal(plot->ylabel, ylabel);
    assert_int_equal(plot->log_y, log_y);
    assert_true(isnan(y_low) ? isnan(plot->y_low) : plot->y_low == y_low);
    assert_true(isnan(y_high) ? isnan(plot->y_high) : plot->y_high == y_high);
}

static inline void assert_plot(const char *topic, const char *title, const char *ylabel,
                               bool log_y) {
    assert_plot_from(topic, title, ylabel, NAN, NAN, log_y);
}

#define RUN(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
