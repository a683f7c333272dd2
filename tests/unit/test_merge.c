/* SPDX-License-Identifier: MIT */
/* Several ranks' traces in one order. */
#include "tests/unit/recorded.h"

#include "replay/merge.h"

#define RANKS 3

static char paths[RANKS][160];
static struct nauha_names *names;
static struct nauha_trace *traces[RANKS];

/* Records `steps` steps of rank `rank`, each with one loss of value 100 * rank + step; every
 * `every`-th only. */
static void record(size_t position, uint32_t rank, uint64_t steps, const char *chosen) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_recorder_config *config = nauha_recorder_config_new();
    struct nauha_recorder *recorder = NULL;
    snprintf(paths[position], sizeof paths[position], "%s.%zu", recorded_path, position);
    must(nauha_recorder_config_set_rank(config, rank, RANKS, &err), &err);
    must(nauha_recorder_config_set(config, "steps", chosen, &err), &err);
    must(nauha_recorder_open(paths[position], config, &recorder, &err), &err);
    nauha_recorder_config_free(config);
    for (uint64_t step = 0; step < steps; step++) {
        const float value = 100.0f * (float)rank + (float)step;
        const struct nauha_tensor loss = {.data = &value, .dtype = NAUHA_DTYPE_F32};
        must(nauha_recorder_begin_step(recorder, NULL, 0, &err), &err);
        publish(recorder, NAUHA_KIND_LOSS, NAUHA_NONE, &loss);
        must(nauha_recorder_end_step(recorder, NULL, 0, &err), &err);
    }
    close_recorder(recorder);
}

static void open_traces(size_t count) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    names = nauha_names_new();
    for (size_t i = 0; i < count; i++)
        must(nauha_trace_open(paths[i], names, &traces[i], &err), &err);
}

static int teardown(void **state) {
    for (size_t i = 0; i < RANKS; i++) {
        nauha_trace_close(traces[i]);
        traces[i] = NULL;
        unlink(paths[i]);
    }
    nauha_names_free(names);
    names = NULL;
    return recorded_teardown(state);
}

static void test_step_by_step_and_rank_by_rank(void **state) {
    (void)state;
    /* given in another order than that of the ranks, of unequal lengths, one with gaps */
    record(0, 2, 2, "0:");
    record(1, 0, 3, "0:");
    record(2, 1, 5, "0::2");
    open_traces(RANKS);
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha__merge *merge = NULL;
    struct nauha_selector *selector = nauha_selector_new();
    must(nauha_selector_set(selector, "kinds", "loss,batch_finished", &err), &err);
    must(nauha__merge_new(traces, RANKS, selector, &merge, &err), &err);
    static const float expected[] = {0, 100, 200, 1, 201, 2, 102, 104};
    uint64_t done, total;
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        struct nauha_message *message = NULL;
        struct nauha_tensor tensor;
        must(nauha__merge_next(merge, &message, &err), &err);
        const struct nauha_message_info *info = nauha_message_info(message);
        assert_string_equal(info->kind_name, "loss");
        must(nauha_message_tensor(message, &tensor, &err), &err);
        assert_float_equal(*(const float *)tensor.data, expected[i], 0);
        assert_int_equal(info->rank, (uint32_t)expected[i] / 100);
        assert_int_equal(info->global_step, (uint64_t)expected[i] % 100);
        must(nauha__merge_next(merge, &message, &err), &err);
        assert_string_equal(nauha_message_info(message)->kind_name, "batch_finished");
        assert_int_equal(nauha_message_info(message)->rank, (uint32_t)expected[i] / 100);
    }
    struct nauha_message *none = NULL;
    assert_int_equal(nauha__merge_next(merge, &none, &err), NAUHA_END);
    assert_int_equal(nauha__merge_next(merge, &none, &err), NAUHA_END);
    nauha__merge_progress(merge, &done, &total);
    assert_int_equal(done, total);
    assert_true(total > 0);
    nauha__merge_free(merge);
    nauha_selector_free(selector);
}

static void test_the_same_rank_twice_is_refused(void **state) {
    (void)state;
    record(0, 1, 1, "0:");
    record(1, 1, 1, "0:");
    open_traces(2);
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha__merge *merge = NULL;
    assert_int_equal(nauha__merge_new(traces, 2, NULL, &merge, &err), NAUHA_INVALID);
    assert_null(merge);
    assert_non_null(strstr(err.message, paths[0]));
    assert_non_null(strstr(err.message, paths[1]));
    assert_non_null(strstr(err.message, "both of rank 1"));
}

#define RUN(test) cmocka_unit_test_setup_teardown(test, recorded_setup, teardown)

static const struct CMUnitTest tests[] = {
    RUN(test_step_by_step_and_rank_by_rank),
    RUN(test_the_same_rank_twice_is_refused),
};

UNIT_MAIN(tests)
