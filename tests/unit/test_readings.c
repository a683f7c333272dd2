/* SPDX-License-Identifier: MIT */
/* What subscribers ask of recorded messages: how often they are read, and what must not be. */
#include "tests/unit/bus_fixture.h"

static struct nauha_names *names;
static struct nauha_bus *bus;

static int setup(void **state) {
    (void)state;
    names = nauha_names_new();
    bus = nauha_bus_new(names);
    return bus ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    nauha_bus_free(bus);
    nauha_names_free(names);
    return 0;
}

static void subscribe(const char *kinds, struct nauha_subscriber *subscriber) {
    ok(nauha_bus_subscribe(bus, subscription_to(kinds), subscriber, &err));
}

struct source_counts {
    unsigned loads, visits, agains;
};

static enum nauha_status visit_one(void *context, const struct nauha_message_info *info,
                                   uint64_t row, bool again, nauha_piece_fn fn, void *fn_context,
                                   struct nauha_error *error) {
    static const float x[] = {-3};
    static const int64_t one[] = {1};
    const struct nauha_tensor piece = {
        .data = x, .dtype = NAUHA_DTYPE_F32, .ndim = 1, .shape = one};
    struct source_counts *counts = context;
    (void)info;
    (void)row;
    counts->visits++;
    counts->agains += again;
    return fn(fn_context, &piece, 0, error);
}

static enum nauha_status pass_over(void *context, const struct nauha_tensor *piece, uint64_t at,
                                   struct nauha_error *error) {
    (void)context;
    (void)piece;
    (void)at;
    (void)error;
    return NAUHA_OK;
}

static enum nauha_status squares_compute(void *self, struct nauha_bundle *bundle,
                                         struct nauha_error *error) {
    const struct nauha_stats *stats = NULL;
    (void)self;
    ok(nauha_message_stats_of(nauha_bundle_message(bundle, 0), NAUHA_STATISTICS_SUM_SQUARES, &stats,
                              error));
    assert_true(stats->sum_squares == 9);
    return NAUHA_OK;
}

static enum nauha_status abs_compute(void *self, struct nauha_bundle *bundle,
                                     struct nauha_error *error) {
    const struct nauha_stats *stats = NULL;
    (void)self;
    ok(nauha_message_stats_of(nauha_bundle_message(bundle, 0), NAUHA_STATISTICS_SUM_ABS, &stats,
                              error));
    assert_true(stats->sum_abs == 3);
    return NAUHA_OK;
}

static enum nauha_status pieces_compute(void *self, struct nauha_bundle *bundle,
                                        struct nauha_error *error) {
    (void)self;
    return nauha_message_for_each_piece(nauha_bundle_message(bundle, 0), pass_over, NULL, error);
}

static struct nauha_message recorded_message(const struct nauha__source *source, uint64_t step) {
    static const int64_t one[] = {1};
    struct nauha_message message =
        message_of(stamps_of(names, NAUHA_KIND_WEIGHTS, "fc", step), NAUHA_DTYPE_F32, 1, one, NULL);
    message.source = source;
    return message;
}

static void test_a_pass_for_all_subscribers(void **state) {
    (void)state;
    static const struct nauha_subscriber_ops computes[] = {
        {.compute = squares_compute}, {.compute = abs_compute}, {.compute = pieces_compute}};
    struct nauha_subscriber *subscribers[3];
    struct source_counts counts = {.loads = 0};
    const struct nauha__source source = {.context = &counts, .visit = visit_one};
    for (size_t i = 0; i < 3; i++) {
        subscribers[i] = nauha_subscriber_new("reader", &computes[i], &counts);
        subscribe("weights", subscribers[i]);
    }
    /* The first message shows what is asked for: two statistics, and the elements themselves. */
    ok(try_publish(bus, recorded_message(&source, 1)));
    assert_int_equal(counts.visits, 3);
    assert_int_equal(counts.agains, 0);
    /* Then one pass makes both, told that the elements are wanted once more. */
    ok(try_publish(bus, recorded_message(&source, 2)));
    assert_int_equal(counts.visits, 3 + 2);
    assert_int_equal(counts.agains, 2);
    ok(try_publish(bus, recorded_message(&source, 3)));
    assert_int_equal(counts.visits, 3 + 2 + 2);
    assert_int_equal(counts.agains, 2 + 1);
    nauha_bus_free(bus);
    bus = NULL;
    for (size_t i = 0; i < 3; i++)
        nauha_subscriber_free(subscribers[i]);
}

static enum nauha_status tensor_compute(void *self, struct nauha_bundle *bundle,
                                        struct nauha_error *error) {
    struct nauha_tensor tensor;
    (void)self;
    return nauha_message_tensor(nauha_bundle_message(bundle, 0), &tensor, error);
}

static void test_tensor_limit(void **state) {
    (void)state;
    static const struct nauha_subscriber_ops pieces = {.compute = pieces_compute},
                                             whole = {.compute = tensor_compute};
    struct source_counts counts = {.loads = 0};
    const struct nauha__source source = {.context = &counts, .visit = visit_one};
    struct nauha_subscriber *readers[] = {nauha_subscriber_new("pieces", &pieces, &counts),
                                          nauha_subscriber_new("whole", &whole, &counts)};
    nauha_bus_set_tensor_limit(bus, 3);
    subscribe("weights", readers[0]);
    ok(try_publish(bus, recorded_message(&source, 1)));
    assert_int_equal(counts.visits, 1);
    subscribe("weights", readers[1]);
    refused(try_publish(bus, recorded_message(&source, 2)), NAUHA_LIMIT,
            "subscriber \"whole\": reading \"weights\" of module \"fc\" of step 2: the tensor has "
            "4 bytes, more than the tensor limit of 3: raise the limit (--tensor-limit), or use "
            "metrics that read tensors piece by piece");
    nauha_bus_free(bus);
    bus = NULL;
    for (size_t i = 0; i < 2; i++)
        nauha_subscriber_free(readers[i]);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_a_pass_for_all_subscribers, setup, teardown),
    cmocka_unit_test_setup_teardown(test_tensor_limit, setup, teardown),
};

UNIT_MAIN(tests)
