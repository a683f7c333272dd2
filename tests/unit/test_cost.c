/* SPDX-License-Identifier: MIT */
/* What messages are taken to cost: more where more of them is entropy coded. */
#include "tests/unit/trace_fixture.h"

#include <string.h>

#include "nauha/trace.h"
#include "replay/parallel/cost.h"
#include "tests/unit/codec_data.h"

#define COUNT 16384 /* a chunk of the trace */

/* A module of noise, which is stored as it is, and one of bytes of little entropy. */
static void write_trace(const char *path, enum nauha__codec_method method) {
    static const char *const names[] = {"noise", "coded"};
    static const enum data_class classes[] = {DATA_RANDOM, DATA_IMAGES};
    struct fixture f;
    fixture_new(&f, path, &(struct fixture_options){.method = method, .chunk_bytes = 4 * COUNT});
    float *values = malloc(COUNT * sizeof *values);
    assert_non_null(values);
    const int64_t dims[] = {COUNT};
    for (unsigned i = 0; i < 2; i++) {
        const uint32_t module = fixture_module(&f, names[i], "Linear");
        data_fill(classes[i], 7, 4, (unsigned char *)values, COUNT);
        fixture_tensor(&f, NAUHA_KIND_ACTIVATIONS, module, 0, NAUHA_DTYPE_F32, 1, dims, values);
    }
    fixture_event(&f, NAUHA_KIND_BATCH_FINISHED, 0);
    fixture_close(&f, "");
    free(values);
}

struct costs {
    uint64_t noise, coded, event, twice; /* twice: of the coded one, for two metrics */
};

static struct costs costs_of(enum nauha__codec_method method) {
    struct nauha_names *names = nauha_names_new();
    struct nauha_trace *trace = NULL;
    struct nauha_cursor *cursor = NULL;
    struct nauha_message *message = NULL;
    uint64_t costs[3] = {0}, twice = 0;
    const char *path = fixture_path("cost.h5");
    write_trace(path, method);
    assert_int_equal(nauha_trace_open(path, names, &trace, NULL), NAUHA_OK);
    struct nauha__cost *cost = nauha__cost_new(names);
    assert_non_null(cost);
    assert_int_equal(nauha_cursor_new(trace, NULL, &cursor, NULL), NAUHA_OK);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(nauha_cursor_next(cursor, &message, NULL), NAUHA_OK);
        costs[i] = nauha__cost_of(cost, message, 1);
        assert_int_equal(nauha__cost_of(cost, message, 1), costs[i]);
        if (i == 1)
            twice = nauha__cost_of(cost, message, 2);
    }
    nauha_cursor_free(cursor);
    nauha__cost_free(cost);
    nauha_trace_close(trace);
    nauha_names_free(names);
    return (struct costs){costs[0], costs[1], costs[2], twice};
}

static void test_entropy_coded_bytes_cost_most(void **state) {
    (void)state;
    const struct costs costs = costs_of(NAUHA__CODEC_ZSTD);
    assert_true(costs.coded > 2 * costs.noise);
    assert_true(costs.noise > costs.event);
    assert_true(costs.event > 0);
}

static void test_what_is_not_compressed_costs_the_same(void **state) {
    (void)state;
    const struct costs costs = costs_of(NAUHA__CODEC_NONE);
    assert_int_equal(costs.coded, costs.noise);
}

/* Each metric looks at every byte. */
static void test_every_metric_costs(void **state) {
    (void)state;
    const struct costs costs = costs_of(NAUHA__CODEC_ZSTD);
    assert_int_equal(costs.twice - costs.coded, 4 * COUNT);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_entropy_coded_bytes_cost_most),
    cmocka_unit_test(test_what_is_not_compressed_costs_the_same),
    cmocka_unit_test(test_every_metric_costs),
};

UNIT_MAIN_THEN(tests, fixture_clean())
