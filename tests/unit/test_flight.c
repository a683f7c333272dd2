/* SPDX-License-Identifier: MIT */
/* The flight recorder: steps that are held in memory, and what a trace has of them after a dump. */
#include "tests/unit/recorded.h"

#include <math.h>
#include <sys/stat.h>

#include "nauha/fingerprint.h"
#include "tests/unit/trace_fixture.h"

enum { SMALL = 400, LARGE = 100000, ROWS = 200 };

struct training {
    struct nauha_recorder *recorder;
    uint32_t module, slot;
    float *values; /* of any message */
    float weights[ROWS];
    unsigned large; /* elements of a layer gradient */
};

static void begin(struct training *training, const char *const *options, unsigned large) {
    training->recorder = recorded_open(options);
    training->module = add_module(training->recorder, "fc");
    training->slot = add_slot(training->recorder, "weight");
    training->values = malloc(LARGE * sizeof *training->values);
    training->large = large;
    for (unsigned i = 0; i < ROWS; i++)
        training->weights[i] = (float)i / 3.0f;
}

static void end(struct training *training) {
    close_recorder(training->recorder);
    free(training->values);
}

static void send(struct training *training, uint32_t kind, unsigned count, unsigned step) {
    const int64_t shape = (int64_t)count;
    const struct nauha_tensor tensor = {training->values, NAUHA_DTYPE_F32, 1, &shape, NULL, 0};
    for (unsigned i = 0; i < count; i++)
        training->values[i] = (float)((i * 7919u + step * 104729u + kind) % 10007u) / 3.0f;
    publish(training->recorder, kind, training->module, &tensor);
}

static void send_loss(struct training *training, float loss) {
    publish(training->recorder, NAUHA_KIND_LOSS, NAUHA_NONE,
            &(struct nauha_tensor){&loss, NAUHA_DTYPE_F32, 0, NULL, NULL, 0});
}

static void dump(struct training *training, const char *reason) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    must(nauha_recorder_dump(training->recorder, reason, &err), &err);
}

static void begin_step(struct training *training) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    static const int64_t shape[] = {ROWS};
    const struct nauha_parameter now = {training->module,
                                        training->slot,
                                        false,
                                        0,
                                        {training->weights, NAUHA_DTYPE_F32, 1, shape, NULL, 0}};
    must(nauha_recorder_begin_step(training->recorder, &now, 1, &err), &err);
    for (unsigned i = 0; i < ROWS; i++)
        training->weights[i] = training->weights[i] * 0.75f + 0.1f;
}

/* Steps of a loss, a small and a large tensor, and weights; dump_at: the step in the middle of
 * which a dump is asked for. */
static void record(const char *const *options, unsigned steps, unsigned large, unsigned dump_at) {
    struct training training;
    begin(&training, options, large);
    for (unsigned step = 0; step < steps; step++) {
        begin_step(&training);
        send(&training, NAUHA_KIND_ACTIVATIONS, SMALL, step);
        send_loss(&training, (float)step);
        if (step == dump_at)
            dump(&training, "a test");
        send(&training, NAUHA_KIND_LAYER_GRADIENTS, large, step);
    }
    end(&training);
}

static bool is_fingerprinted(const struct nauha_message_info *info) {
    return info->has_tensor && info->kind != NAUHA_KIND_LOSS;
}

/* A recording in full, and one of the same training with a flight recorder, have the same messages;
 * those of steps [first, last] are in full in both, and every fingerprint is that of the
 * elements. */
static void compare(const char *const *full, const char *const *flight, unsigned large,
                    uint64_t first, uint64_t last) {
    record(full, 12, large, UINT32_MAX);
    struct recorded expected = read_back();
    record(flight, 12, large, 6);
    struct nauha_names *names = nauha_names_new();
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_trace *trace = NULL;
    struct nauha_cursor *cursor = NULL;
    struct nauha_message *message;
    size_t count = 0, whole = 0;
    must(nauha_trace_open(recorded_path, names, &trace, &err), &err);
    must(nauha_cursor_new(trace, NULL, &cursor, &err), &err);
    for (; nauha_cursor_next(cursor, &message, &err) == NAUHA_OK; count++) {
        const struct nauha_message_info *info = nauha_message_info(message);
        const struct recorded_message *same = &expected.messages[count];
        assert_int_equal(info->seq, same->info.seq);
        assert_int_equal(info->kind, same->info.kind);
        assert_int_equal(info->global_step, same->info.global_step);
        if (!is_fingerprinted(info))
            continue;
        const bool in_full = info->global_step >= first && info->global_step <= last;
        const struct nauha_tensor tensor = {
            .data = same->data, .dtype = info->dtype, .ndim = 1, .shape = same->info.shape};
        uint64_t hash[2], of_elements[2];
        must(nauha_message_hash(message, hash, &err), &err);
        must(nauha_tensor_hash(&tensor, of_elements, &err), &err);
        assert_memory_equal(hash, of_elements, sizeof hash);
        assert_int_equal(info->kept == NAUHA_KEPT_ELEMENTS, in_full);
        whole += in_full;
        if (!in_full)
            continue;
        struct nauha_tensor got;
        must(nauha_message_tensor(message, &got, &err), &err);
        assert_memory_equal(got.data, same->data, info->bytes);
    }
    assert_int_equal(count, expected.count);
    uint64_t findings = 99;
    must(nauha_trace_verify(trace, NULL, NULL, NULL, &findings, &err), &err);
    assert_int_equal(findings, 0);
    /* Those of the steps before the dump, and of step 6 itself, were written later. */
    assert_in_range(nauha_trace_later_verified(trace), (6 - first) * 4, whole);
    /* The last step has no weights: it was not ended. */
    assert_int_equal(whole, (last - first + 1) * 4 - (last == 11 ? 2 : 0));
    nauha_cursor_free(cursor);
    nauha_trace_close(trace);
    nauha_names_free(names);
    forget(&expected);
}

static void test_a_dump_has_the_held_steps_and_those_after(void **state) {
    (void)state;
    compare(NULL, (const char *[]){"flight", "3", "flight-after", "2", NULL}, LARGE, 4, 8);
    compare(NULL, (const char *[]){"flight", "1", "flight-after", "0", NULL}, LARGE, 6, 6);
    compare(NULL, (const char *[]){"flight", "100", "flight-after", "100", NULL}, SMALL, 0, 11);
}

static void test_any_codec_and_hashes(void **state) {
    (void)state;
    compare((const char *[]){"codec", "none", NULL},
            (const char *[]){"flight", "3", "codec", "none", NULL}, LARGE, 4, 7);
    compare((const char *[]){"codec", "zstd,temporal", NULL},
            (const char *[]){"flight", "3", "codec", "zstd,temporal", NULL}, LARGE, 4, 7);
    compare(NULL, (const char *[]){"flight", "3", "keep", "hashes", NULL}, LARGE, 4, 7);
    compare((const char *[]){"precision", "bf16", NULL},
            (const char *[]){"flight", "3", "precision", "bf16", NULL}, LARGE, 4, 7);
}

/* Messages that are kept in full by a rule take blocks of the same streams in between. */
static void test_streams_are_shared_with_messages_in_full(void **state) {
    (void)state;
    static const char *const options[] = {"flight",        "3", "keep", "fingerprints", "full",
                                          "all steps=::2", NULL};
    record(options, 12, LARGE, 7);
    struct nauha_names *names = nauha_names_new();
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_trace *trace = NULL;
    struct nauha_cursor *cursor = NULL;
    struct nauha_message *message;
    must(nauha_trace_open(recorded_path, names, &trace, &err), &err);
    must(nauha_cursor_new(trace, NULL, &cursor, &err), &err);
    while (nauha_cursor_next(cursor, &message, &err) == NAUHA_OK) {
        const struct nauha_message_info *info = nauha_message_info(message);
        if (info->kind != NAUHA_KIND_LAYER_GRADIENTS)
            continue;
        /* Of the held steps, only the odd ones count. */
        const uint64_t step = info->global_step;
        assert_int_equal(info->kept == NAUHA_KEPT_ELEMENTS,
                         step % 2 == 0 || (step >= 3 && step <= 8));
        if (info->kept != NAUHA_KEPT_ELEMENTS)
            continue;
        struct nauha_tensor got;
        must(nauha_message_tensor(message, &got, &err), &err);
        for (unsigned i = 0; i < LARGE; i++)
            assert_true(((const float *)got.data)[i] ==
                        (float)((i * 7919u + (unsigned)step * 104729u + info->kind) % 10007u) /
                            3.0f);
    }
    nauha_cursor_free(cursor);
    nauha_trace_close(trace);
    nauha_names_free(names);
}

/* ---- how much is held ---- */

static struct nauha_trace_dump only_dump(const struct recorded *got) {
    struct nauha_trace_dump first, second;
    assert_true(nauha_trace_get_dump(got->trace, 0, &first));
    assert_false(nauha_trace_get_dump(got->trace, 1, &second));
    return first;
}

static uint64_t steps_held(const char *buffer, unsigned large, uint64_t *first_step) {
    struct training training;
    struct nauha_recorder_stats stats;
    const char *const options[] = {"flight", "8", "buffer", buffer, NULL};
    begin(&training, options, large);
    for (unsigned step = 0; step < 20; step++) {
        begin_step(&training);
        send(&training, NAUHA_KIND_LAYER_GRADIENTS, large, step);
    }
    dump(&training, "full");
    nauha_recorder_get_stats(training.recorder, &stats);
    end(&training);
    struct nauha_names *names = nauha_names_new();
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_trace *trace = NULL;
    struct nauha_trace_dump found;
    must(nauha_trace_open(recorded_path, names, &trace, &err), &err);
    assert_true(nauha_trace_get_dump(trace, 0, &found));
    *first_step = found.first_step;
    assert_int_equal(found.step, 19);
    assert_string_equal(found.reason, "full");
    nauha_trace_close(trace);
    nauha_names_free(names);
    return stats.steps_held;
}

static void test_as_many_steps_are_held_as_fit(void **state) {
    (void)state;
    uint64_t first_step;
    assert_int_equal(steps_held("64M", LARGE, &first_step), 8);
    assert_int_equal(first_step, 12);
    /* 4 MB: 16 blocks of 256 KB, of which 11 may be held. A step takes 400 KB, in one stream, and
     * its weights a stream of their own. */
    const uint64_t fits = steps_held("4M", LARGE, &first_step);
    assert_in_range(fits, 4, 6);
    assert_in_range(first_step, 19 - fits, 20 - fits);
    /* 1 MB: 2 blocks may be held, and a step takes more. Only the last one is not over yet. */
    assert_int_equal(steps_held("1M", LARGE, &first_step), 0);
    assert_int_equal(first_step, 19);
}

/* A dump counts towards the limit, and is cut there. What is left of it are fingerprints. */
static void test_a_dump_stays_within_the_limit(void **state) {
    (void)state;
    /* Each flush fills up the open blocks, which counts towards the limit: there is only one, when
     * the recorder is closed. */
    static const char *const options[] = {"flight", "12",   "flight-after", "0",   "limit", "4M",
                                          "codec",  "none", "flush",        "600", NULL};
    struct training training;
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct stat file;
    begin(&training, options, LARGE);
    for (unsigned step = 0; step < 12; step++) {
        begin_step(&training);
        send(&training, NAUHA_KIND_ACTIVATIONS, SMALL, step);
        send(&training, NAUHA_KIND_LAYER_GRADIENTS, LARGE, step);
    }
    dump(&training, "more than the limit");
    assert_int_equal(nauha_recorder_close(training.recorder, &err), NAUHA_LIMIT);
    free(training.values);
    assert_int_equal(stat(recorded_path, &file), 0);
    assert_true(file.st_size <= 4 << 20);
    struct nauha_names *names = nauha_names_new();
    struct nauha_trace *trace = NULL;
    struct nauha_cursor *cursor = NULL;
    struct nauha_message *message;
    unsigned whole = 0, prints = 0;
    must(nauha_trace_open(recorded_path, names, &trace, &err), &err);
    must(nauha_cursor_new(trace, NULL, &cursor, &err), &err);
    while (nauha_cursor_next(cursor, &message, &err) == NAUHA_OK) {
        const struct nauha_message_info *info = nauha_message_info(message);
        struct nauha_tensor tensor;
        if (info->kind != NAUHA_KIND_LAYER_GRADIENTS)
            continue;
        whole += info->kept == NAUHA_KEPT_ELEMENTS;
        prints += info->kept == NAUHA_KEPT_FINGERPRINT;
        if (info->kept == NAUHA_KEPT_ELEMENTS)
            must(nauha_message_tensor(message, &tensor, &err), &err);
    }
    assert_in_range(whole, 1, 8); /* of 400 KB each */
    assert_int_equal(whole + prints, 12);
    nauha_cursor_free(cursor);
    nauha_trace_close(trace);
    nauha_names_free(names);
}

/* ---- why ---- */

static void test_a_loss_that_is_not_finite(void **state) {
    (void)state;
    struct training training;
    const float losses[] = {1, 1, (float)INFINITY, (float)NAN, (float)NAN, 1, 1, (float)NAN};
    begin(&training, (const char *[]){"flight", "2", "flight-after", "1", NULL}, SMALL);
    for (unsigned step = 0; step < 8; step++) {
        begin_step(&training);
        send_loss(&training, losses[step]);
    }
    end(&training);
    struct nauha_names *names = nauha_names_new();
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_trace *trace = NULL;
    struct nauha_trace_dump found;
    must(nauha_trace_open(recorded_path, names, &trace, &err), &err);
    assert_true(nauha_trace_get_dump(trace, 0, &found));
    assert_int_equal(found.step, 2);
    assert_int_equal(found.first_step, 0); /* the weights of steps 0 and 1 */
    assert_int_equal(found.last_step, 3);
    assert_string_equal(found.reason, "the loss is not finite");
    assert_true(nauha_trace_get_dump(trace, 1, &found));
    assert_int_equal(found.step, 7);
    assert_false(nauha_trace_get_dump(trace, 2, &found));
    nauha_trace_close(trace);
    nauha_names_free(names);
}

static enum nauha_status ask(void *context, struct nauha_message *message,
                             struct nauha_error *err) {
    struct training *training = context;
    const struct nauha_message_info *info = nauha_message_info(message);
    return info->kind == NAUHA_KIND_ACTIVATIONS && info->global_step == 5
               ? nauha_recorder_dump(training->recorder, "the tap", err)
               : NAUHA_OK;
}

static void test_the_tap_may_ask(void **state) {
    (void)state;
    struct training training;
    struct nauha_error err = NAUHA_ERROR_INIT;
    begin(&training, (const char *[]){"flight", "2", "flight-after", "0", NULL}, SMALL);
    must(nauha_recorder_tap(training.recorder, ask, &training, &err), &err);
    for (unsigned step = 0; step < 8; step++) {
        begin_step(&training);
        send(&training, NAUHA_KIND_ACTIVATIONS, SMALL, step);
    }
    end(&training);
    struct recorded got = {.names = nauha_names_new()};
    must(nauha_trace_open(recorded_path, got.names, &got.trace, &err), &err);
    const struct nauha_trace_dump found = only_dump(&got);
    assert_int_equal(found.step, 5);
    assert_int_equal(found.first_step, 4);
    assert_string_equal(found.reason, "the tap");
    forget(&got);
}

/* A second reason while steps are written in full changes nothing. */
static void test_a_reason_within_a_dump(void **state) {
    (void)state;
    struct training training;
    begin(&training, (const char *[]){"flight", "2", "flight-after", "2", NULL}, SMALL);
    for (unsigned step = 0; step < 8; step++) {
        begin_step(&training);
        send(&training, NAUHA_KIND_ACTIVATIONS, SMALL, step);
        if (step == 3 || step == 5)
            dump(&training, "again");
    }
    end(&training);
    struct nauha_names *names = nauha_names_new();
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_trace *trace = NULL;
    struct nauha_trace_dump found;
    must(nauha_trace_open(recorded_path, names, &trace, &err), &err);
    assert_true(nauha_trace_get_dump(trace, 0, &found));
    assert_int_equal(found.step, 3);
    assert_int_equal(found.last_step, 5);
    assert_false(nauha_trace_get_dump(trace, 1, &found));
    nauha_trace_close(trace);
    nauha_names_free(names);
}

static void test_what_is_refused(void **state) {
    (void)state;
    static const char *const refused[] = {"proof", "everything"};
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_recorder *recorder = NULL;
    for (size_t i = 0; i < 2; i++) {
        struct nauha_recorder_config *config = nauha_recorder_config_new();
        must(nauha_recorder_config_set(config, "flight", "3", &err), &err);
        must(nauha_recorder_config_set(config, "keep", refused[i], &err), &err);
        assert_int_equal(nauha_recorder_open(recorded_path, config, &recorder, &err),
                         NAUHA_INVALID);
        assert_has(err.message, "flight");
        nauha_recorder_config_free(config);
    }
    recorder = recorded_open(NULL);
    assert_int_equal(nauha_recorder_dump(recorder, "no", &err), NAUHA_STATE);
    close_recorder(recorder);
}

/* ---- damaged and older traces ---- */

static void test_rows_out_of_order_are_damage(void **state) {
    (void)state;
    const char *path = fixture_path("order.h5");
    struct fixture f;
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_names *names = nauha_names_new();
    struct nauha_trace *trace = NULL;
    struct nauha__elements_row rows[] = {{.seq = 5}, {.seq = 5}, {.seq = 4}};
    fixture_new(&f, path, &(struct fixture_options){0});
    for (size_t i = 0; i < 3; i++)
        nauha__row_seal(nauha__table(NAUHA__TABLE_ELEMENTS), &rows[i]);
    fixture_append(&f, NAUHA__TABLE_ELEMENTS, rows, 3);
    fixture_close(&f, NULL);
    must(nauha_trace_open(path, names, &trace, &err), &err);
    char lines[4096] = "";
    uint64_t findings = 0;
    must(nauha_trace_verify(trace, collect, NULL, lines, &findings, &err), &err);
    assert_has(lines, "/elements");
    nauha_trace_close(trace);
    nauha_names_free(names);
}

static void test_older_traces_lack_the_tables(void **state) {
    (void)state;
    for (int id = NAUHA__TABLE_ELEMENTS; id <= NAUHA__TABLE_DUMPS; id++) {
        const char *path = fixture_path("older.h5");
        struct fixture f;
        struct nauha_error err = NAUHA_ERROR_INIT;
        struct nauha_names *names = nauha_names_new();
        struct nauha_trace *trace = NULL;
        fixture_new(&f, path, &(struct fixture_options){.minor = 3, .without_table = id + 1});
        fixture_close(&f, NULL);
        must(nauha_trace_open(path, names, &trace, &err), &err);
        nauha_trace_close(trace);
        nauha_names_free(names);
    }
}

#define RECORDED(test) cmocka_unit_test_setup_teardown(test, recorded_setup, recorded_teardown)
static const struct CMUnitTest tests[] = {
    RECORDED(test_a_dump_has_the_held_steps_and_those_after),
    RECORDED(test_any_codec_and_hashes),
    RECORDED(test_streams_are_shared_with_messages_in_full),
    RECORDED(test_as_many_steps_are_held_as_fit),
    RECORDED(test_a_dump_stays_within_the_limit),
    RECORDED(test_a_loss_that_is_not_finite),
    RECORDED(test_the_tap_may_ask),
    RECORDED(test_a_reason_within_a_dump),
    RECORDED(test_what_is_refused),
    cmocka_unit_test(test_rows_out_of_order_are_damage),
    cmocka_unit_test(test_older_traces_lack_the_tables),
};

UNIT_MAIN(tests)
