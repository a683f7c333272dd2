/* SPDX-License-Identifier: MIT */
/* Threads that use one recorder at the same time: what each publishes comes in its order, whole,
 * and everything is told apart. `make run-unit CONFIG=tsan T=recorder_threads` looks for races. */
#include "tests/unit/recorded.h"

#include <pthread.h>
#include <stdatomic.h>

/* ---- publishing alone ---- */

enum { THREADS = 4, EACH = 2000 };

struct publisher {
    pthread_t thread;
    struct nauha_recorder *recorder;
    uint32_t module;
};

static void *publish_many(void *context) {
    struct publisher *me = context;
    int32_t values[64];
    const int64_t shape[] = {64};
    for (int i = 0; i < EACH; i++) {
        for (int j = 0; j < 64; j++)
            values[j] = (int32_t)me->module * 1000000 + i;
        const struct nauha_tensor tensor = {values, NAUHA_DTYPE_I32, 1, shape, NULL, 0};
        if (nauha_recorder_publish(me->recorder, NAUHA_KIND_ACTIVATIONS, me->module, 0, 0, &tensor,
                                   NULL) != NAUHA_OK)
            return me;
    }
    return NULL;
}

static void test_several_threads(void **state) {
    (void)state;
    struct nauha_recorder *recorder =
        recorded_open((const char *const[]){"buffer", "1M", "flush", "0.01", NULL});
    struct publisher publishers[THREADS];
    for (int t = 0; t < THREADS; t++) {
        char name[16];
        snprintf(name, sizeof name, "m%d", t);
        publishers[t] =
            (struct publisher){.recorder = recorder, .module = add_module(recorder, name)};
    }
    for (int t = 0; t < THREADS; t++)
        assert_int_equal(pthread_create(&publishers[t].thread, NULL, publish_many, &publishers[t]),
                         0);
    for (int t = 0; t < THREADS; t++) {
        void *failed;
        pthread_join(publishers[t].thread, &failed);
        assert_null(failed);
    }
    close_recorder(recorder);
    struct recorded got = read_back();
    int32_t next[THREADS] = {0};
    assert_int_equal(got.count, THREADS * EACH);
    for (size_t i = 0; i < got.count; i++) {
        int32_t values[64];
        memcpy(values, got.messages[i].data, sizeof values);
        uint32_t module = got.messages[i].info.module;
        assert_int_equal(got.messages[i].info.seq, i);
        assert_int_equal(values[0], (int32_t)module * 1000000 + next[module]++);
        assert_int_equal(values[63], values[0]);
    }
    forget(&got);
}

/* ---- all calls together ---- */

enum { ROUNDS = 400, ELEMENTS = 6 };

static const int64_t elements_shape[] = {ELEMENTS};

struct training {
    struct nauha_recorder *recorder;
    uint32_t modules[THREADS], slot;
    atomic_int next; /* publisher */
    atomic_bool over;
};

/* Counts up, with a name of its own now and then; returns NULL where all went well. */
static void *publish_counts(void *context) {
    struct training *training = context;
    struct nauha_names *names = nauha_recorder_names(training->recorder);
    uint32_t module = training->modules[atomic_fetch_add(&training->next, 1)], slot = 0;
    for (int32_t i = 0; i < ROUNDS; i++) {
        int32_t values[ELEMENTS] = {i, i, i, i, i, i};
        const struct nauha_tensor tensor = {values, NAUHA_DTYPE_I32, 1, elements_shape, NULL, 0};
        char name[24];
        snprintf(name, sizeof name, "s%u.%d", module, i / 50);
        if ((i % 50 == 0 && nauha_names_add_slot(names, name, &slot, NULL) != NAUHA_OK) ||
            nauha_recorder_publish(training->recorder, NAUHA_KIND_ACTIVATIONS, module, slot, 0,
                                   &tensor, NULL) != NAUHA_OK)
            return context;
    }
    return NULL;
}

/* Weights are the number of their step, so that each update is 1. */
static void *train(void *context) {
    struct training *training = context;
    float weights[ELEMENTS];
    const struct nauha_parameter parameter = {
        training->modules[0],
        training->slot,
        false,
        0,
        {weights, NAUHA_DTYPE_F32, 1, elements_shape, NULL, 0}};
    for (int step = 0; step < ROUNDS; step++) {
        bool good = true;
        for (int after = 0; after < 2; after++) {
            for (int i = 0; i < ELEMENTS; i++)
                weights[i] = (float)(step + after);
            good = good && (after ? nauha_recorder_end_step : nauha_recorder_begin_step)(
                               training->recorder, &parameter, 1, NULL) == NAUHA_OK;
        }
        if (step % 10 == 9)
            good = good && nauha_recorder_epoch_finished(training->recorder, NULL) == NAUHA_OK;
        if (!good)
            return context;
    }
    return NULL;
}

/* What a program may ask for at any time, over and over. */
static void *interfere(void *context) {
    struct training *training = context;
    struct nauha_recorder *recorder = training->recorder;
    uint32_t test = 0;
    uint64_t messages = 0, step = 0;
    bool good =
        nauha_names_add_tag(nauha_recorder_names(recorder), "test", &test, NULL) == NAUHA_OK;
    for (uint32_t i = 0; good && !atomic_load(&training->over); i++) {
        struct nauha_recorder_stats stats;
        nauha_recorder_pause(recorder, i % 8 == 7);
        nauha_recorder_get_stats(recorder, &stats);
        nauha_recorder_wants(recorder, NAUHA_KIND_LOSS, NAUHA_NONE);
        good = stats.messages >= messages && nauha_recorder_global_step(recorder) >= step &&
               nauha_recorder_set_tag(recorder, i % 2 ? test : 0, NULL) == NAUHA_OK &&
               nauha_recorder_alias(recorder, training->modules[0], training->slot,
                                    training->modules[1], training->slot, NULL) == NAUHA_OK &&
               nauha_recorder_flush(recorder, NULL) == NAUHA_OK &&
               nauha_recorder_failure(recorder, NULL) == NAUHA_OK;
        messages = stats.messages;
        step = nauha_recorder_global_step(recorder);
    }
    return good ? NULL : context;
}

static void check_trained(const struct recorded *got, const struct training *training) {
    int32_t last[THREADS];
    for (int t = 0; t < THREADS; t++)
        last[t] = -1;
    for (size_t i = 0; i < got->count; i++) {
        const struct nauha_message_info *info = &got->messages[i].info;
        assert_int_equal(info->seq, i);
        if (info->kind == NAUHA_KIND_ACTIVATIONS) {
            int32_t values[ELEMENTS];
            int t = 0;
            memcpy(values, got->messages[i].data, sizeof values);
            while (training->modules[t] != info->module)
                t++;
            assert_true(values[0] > last[t] && values[0] == values[ELEMENTS - 1]);
            last[t] = values[0];
        } else if (info->kind == NAUHA_KIND_WEIGHTS || info->kind == NAUHA_KIND_WEIGHT_UPDATES) {
            float values[ELEMENTS], expected = 1;
            memcpy(values, got->messages[i].data, sizeof values);
            if (info->kind == NAUHA_KIND_WEIGHTS)
                expected = (float)info->global_step;
            assert_float_equal(values[0], expected, 0);
            assert_float_equal(values[ELEMENTS - 1], expected, 0);
        }
    }
}

static void test_every_call_from_every_thread(void **state) {
    (void)state;
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct training training = {
        .recorder = recorded_open((const char *const[]){"buffer", "1M", "flush", "0.005", NULL})};
    for (int t = 0; t < THREADS; t++) {
        char name[16];
        snprintf(name, sizeof name, "m%d", t);
        training.modules[t] = add_module(training.recorder, name);
    }
    training.slot = add_slot(training.recorder, "weight");
    pthread_t interferer, threads[THREADS + 1];
    assert_int_equal(pthread_create(&interferer, NULL, interfere, &training), 0);
    for (int t = 0; t <= THREADS; t++)
        assert_int_equal(
            pthread_create(&threads[t], NULL, t < THREADS ? publish_counts : train, &training), 0);
    void *failed;
    for (int t = 0; t <= THREADS; t++) {
        pthread_join(threads[t], &failed);
        assert_null(failed);
    }
    atomic_store(&training.over, true);
    pthread_join(interferer, &failed);
    assert_null(failed);
    struct nauha_recorder_stats stats;
    nauha_recorder_get_stats(training.recorder, &stats);
    close_recorder(training.recorder);
    struct recorded got = read_back();
    assert_int_equal(got.count, stats.messages);
    assert_true(got.info.complete);
    check_trained(&got, &training);
    uint64_t findings = 0;
    must(nauha_trace_verify(got.trace, NULL, NULL, NULL, &findings, &err), &err);
    assert_int_equal(findings, 0);
    forget(&got);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, recorded_setup, recorded_teardown)
static const struct CMUnitTest tests[] = {
    TEST(test_several_threads),
    TEST(test_every_call_from_every_thread),
};
UNIT_MAIN(tests)
