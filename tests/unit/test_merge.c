/* SPDX-License-Identifier: MIT */
/* Several ranks' traces in one order. */
#include "tests/unit/recorded.h"

#include "nauha/pipeline.h"
#include "replay/trace/merge.h"

#define RANKS 3

static char paths[RANKS][160];
static uint32_t world_size = RANKS; /* of what is recorded next */
static struct nauha_names *names;
static struct nauha_trace *traces[RANKS];

/* The rank whose steps also have a network output, of the loss's value; NAUHA_NONE: none. */
static uint32_t output_rank;

/* Records those steps that are chosen out of `steps` of rank `rank`, each with one loss of value
 * 100 * rank + step. */
static void record(size_t position, uint32_t rank, uint64_t steps, const char *chosen) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_recorder_config *config = nauha_recorder_config_new();
    struct nauha_recorder *recorder = NULL;
    snprintf(paths[position], sizeof paths[position], "%s.%zu", recorded_path, position);
    must(nauha_recorder_config_set_rank(config, rank, world_size, &err), &err);
    must(nauha_recorder_config_set(config, "steps", chosen, &err), &err);
    must(nauha_recorder_open(paths[position], config, &recorder, &err), &err);
    nauha_recorder_config_free(config);
    for (uint64_t step = 0; step < steps; step++) {
        const float value = 100.0f * (float)rank + (float)step;
        const struct nauha_tensor loss = {.data = &value, .dtype = NAUHA_DTYPE_F32};
        must(nauha_recorder_begin_step(recorder, NULL, 0, &err), &err);
        publish(recorder, NAUHA_KIND_LOSS, NAUHA_NONE, &loss);
        if (rank == output_rank)
            publish(recorder, NAUHA_KIND_NETWORK_OUTPUT, NAUHA_NONE, &loss);
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

static int setup(void **state) {
    output_rank = NAUHA_NONE;
    return recorded_setup(state);
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
    assert_non_null(strstr(err.message, "both have rank 1"));
}

static void test_ranks_of_different_trainings_are_refused(void **state) {
    (void)state;
    record(0, 0, 1, "0:");
    world_size = RANKS + 1;
    record(1, 1, 1, "0:");
    world_size = RANKS;
    open_traces(2);
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha__merge *merge = NULL;
    assert_int_equal(nauha__merge_new(traces, 2, NULL, &merge, &err), NAUHA_INVALID);
    assert_non_null(strstr(err.message, "one of 3 ranks"));
    assert_non_null(strstr(err.message, "one of 4"));
}

/* ---- through a pipeline ---- */

/* What a subscriber saw: the value of each message, and -1 - STEP where a step ended. */
struct seen {
    double events[32];
    size_t count;
    uint64_t done, total;
};

static enum nauha_status see(void *self, struct nauha_bundle *bundle, struct nauha_error *err) {
    struct seen *seen = self;
    const struct nauha_stats *stats = NULL;
    for (size_t i = 0; i < nauha_bundle_count(bundle); i++) {
        struct nauha_message *message = nauha_bundle_message(bundle, i);
        const struct nauha_message_info *info = nauha_message_info(message);
        must(nauha_message_stats(message, &stats, err), err);
        assert_int_equal(info->rank, (uint32_t)stats->sum / 100);
        assert_int_equal(info->global_step, (uint64_t)stats->sum % 100);
        seen->events[seen->count++] = stats->sum;
    }
    return NAUHA_OK;
}

static enum nauha_status see_end(void *self, uint64_t global_step, struct nauha_error *err) {
    struct seen *seen = self;
    (void)err;
    seen->events[seen->count++] = -1.0 - (double)global_step;
    return NAUHA_OK;
}

static void see_progress(void *context, uint64_t done, uint64_t total) {
    struct seen *seen = context;
    seen->done = done;
    seen->total = total;
}

static const struct nauha_subscriber_ops see_ops = {.compute = see, .step_finished = see_end};

/* Replays the traces that are open to one subscriber to the losses. */
static void replay(size_t count, uint64_t subsample, bool synchronized, struct seen *seen) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_pipeline *pipeline = nauha_pipeline_new(names);
    struct nauha_subscriber *subscriber = nauha_subscriber_new("test", &see_ops, seen);
    struct nauha_subscription *subscription =
        nauha_subscription_new((const char *const[]){"loss", "network_output"}, synchronized + 1u);
    must(nauha_subscription_set_subsample(subscription, subsample, &err), &err);
    nauha_subscription_set_synchronized(subscription, synchronized);
    must(nauha_bus_subscribe(nauha_pipeline_bus(pipeline), subscription, subscriber, &err), &err);
    must(nauha_pipeline_start(pipeline, &err), &err);
    must(nauha_pipeline_replay_ranks(pipeline, traces, count, NULL, see_progress, seen, &err),
         &err);
    must(nauha_pipeline_finish(pipeline, &err), &err);
    nauha_pipeline_free(pipeline);
    nauha_subscriber_free(subscriber);
}

static void assert_seen(const struct seen *seen, const double *expected, size_t count) {
    assert_int_equal(seen->count, count);
    for (size_t i = 0; i < count; i++)
        assert_float_equal(seen->events[i], expected[i], 0);
    assert_true(seen->total > 0);
    assert_int_equal(seen->done, seen->total);
}

static void test_steps_end_for_each_rank(void **state) {
    (void)state;
    record(0, 1, 2, "0:");
    record(1, 0, 3, "0:");
    open_traces(2);
    struct seen seen = {.count = 0};
    replay(2, 1, false, &seen);
    static const double expected[] = {0, -1, 100, -1, 1, -2, 101, -2, 2, -3};
    assert_seen(&seen, expected, sizeof expected / sizeof *expected);
}

/* Every other loss of each rank, not of all losses together. */
static void test_subsampling_counts_each_rank(void **state) {
    (void)state;
    record(0, 0, 3, "0:");
    record(1, 1, 5, "0:");
    record(2, 2, 4, "1:");
    open_traces(RANKS);
    struct seen seen = {.count = 0};
    replay(RANKS, 2, false, &seen);
    double losses[32];
    size_t count = 0;
    for (size_t i = 0; i < seen.count; i++) {
        if (seen.events[i] >= 0)
            losses[count++] = seen.events[i];
    }
    static const double expected[] = {0, 100, 201, 2, 102, 203, 104};
    assert_int_equal(count, sizeof expected / sizeof *expected);
    assert_memory_equal(losses, expected, sizeof expected);
}

/* A loss of one rank and an output of another are no bundle. */
static void test_bundles_keep_to_a_rank(void **state) {
    (void)state;
    output_rank = 1;
    record(0, 0, 2, "0:");
    record(1, 1, 2, "0:");
    open_traces(2);
    struct seen seen = {.count = 0};
    replay(2, 1, true, &seen);
    static const double expected[] = {-1, 100, 100, -1, -2, 101, 101, -2};
    assert_seen(&seen, expected, sizeof expected / sizeof *expected);
}

static void test_replay_refuses_the_same_rank_twice(void **state) {
    (void)state;
    record(0, 2, 1, "0:");
    record(1, 2, 1, "0:");
    open_traces(2);
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_pipeline *pipeline = nauha_pipeline_new(names);
    must(nauha_pipeline_check_ranks(traces, 1, &err), &err);
    assert_int_equal(nauha_pipeline_check_ranks(traces, 2, &err), NAUHA_INVALID);
    assert_non_null(
        strstr(err.message, "they are different trainings, which have to be replayed one by one"));
    must(nauha_pipeline_start(pipeline, &err), &err);
    assert_int_equal(nauha_pipeline_replay_ranks(pipeline, traces, 2, NULL, NULL, NULL, &err),
                     NAUHA_INVALID);
    nauha_pipeline_free(pipeline);
}

#define RUN(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

static const struct CMUnitTest tests[] = {
    RUN(test_step_by_step_and_rank_by_rank),
    RUN(test_the_same_rank_twice_is_refused),
    RUN(test_ranks_of_different_trainings_are_refused),
    RUN(test_steps_end_for_each_rank),
    RUN(test_subsampling_counts_each_rank),
    RUN(test_bundles_keep_to_a_rank),
    RUN(test_replay_refuses_the_same_rank_twice),
};

UNIT_MAIN(tests)
