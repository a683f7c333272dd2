/* SPDX-License-Identifier: MIT */
/* Recordings of hashes in place of tensors: the same messages as with tensors, and their hashes. */
#include "tests/unit/recorded.h"

#include <xxhash.h>

static const int64_t weight_shape[] = {3, 2}, batch_shape[] = {4, 3};
static const int64_t transposed[] = {1, 4}; /* elements from one row and column to the next */

static struct nauha_parameter parameter(uint32_t module, uint32_t slot, const float *values) {
    return (struct nauha_parameter){
        module, slot, false, 0, {values, NAUHA_DTYPE_F32, 2, weight_shape, NULL, 0}};
}

/* Three steps, of which the second ends by itself; a strided input, events, an empty tensor. */
static void record(const char *const *options) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_recorder *recorder = recorded_open(options);
    const uint32_t module = add_module(recorder, "fc"), slot = add_slot(recorder, "weight");
    float weights[6] = {1.0f, -2.0f, 0.0f, -0.0f, 1e-40f, 3e38f}, input[12];
    for (unsigned step = 0; step < 3; step++) {
        struct nauha_parameter now = parameter(module, slot, weights);
        for (unsigned i = 0; i < 12; i++)
            input[i] = (float)i / 7.0f + (float)step;
        const struct nauha_tensor data = {input, NAUHA_DTYPE_F32, 2, batch_shape, transposed, 0};
        const struct nauha_tensor none = {NULL, NAUHA_DTYPE_F64, 1, (const int64_t[]){0}, NULL, 0};
        must(nauha_recorder_begin_step(recorder, &now, 1, &err), &err);
        publish(recorder, NAUHA_KIND_INPUT_DATA, NAUHA_NONE, &data);
        publish(recorder, NAUHA_KIND_ACTIVATIONS, module, &data);
        publish(recorder, NAUHA_KIND_LOSS, NAUHA_NONE, &none);
        for (unsigned i = 0; i < 6; i++)
            weights[i] = weights[i] * 0.75f + 0.1f;
        if (step != 1)
            must(nauha_recorder_end_step(recorder, &now, 1, &err), &err);
    }
    close_recorder(recorder);
}

/* The messages of a recording, and the hash of each tensor by the library itself. */
struct listed {
    struct nauha_message_info info;
    uint64_t hash[2];
};

static size_t list(struct listed *out, size_t room) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_names *names = nauha_names_new();
    struct nauha_trace *trace = NULL;
    struct nauha_cursor *cursor = NULL;
    struct nauha_message *message;
    size_t count = 0;
    must(nauha_trace_open(recorded_path, names, &trace, &err), &err);
    must(nauha_cursor_new(trace, NULL, &cursor, &err), &err);
    while (nauha_cursor_next(cursor, &message, &err) == NAUHA_OK) {
        assert_true(count < room);
        out[count].info = *nauha_message_info(message);
        if (out[count].info.has_tensor)
            must(nauha_message_hash(message, out[count].hash, &err), &err);
        count++;
    }
    nauha_cursor_free(cursor);
    nauha_trace_close(trace);
    nauha_names_free(names);
    return count;
}

static void assert_same_messages(const char *const *full, const char *const *hashed) {
    static struct listed a[64], b[64];
    record(full);
    const size_t count = list(a, 64);
    record(hashed);
    assert_int_equal(list(b, 64), count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(a[i].info.seq, b[i].info.seq);
        assert_int_equal(a[i].info.global_step, b[i].info.global_step);
        assert_int_equal(a[i].info.kind, b[i].info.kind);
        assert_int_equal(a[i].info.bytes, b[i].info.bytes);
        assert_int_equal(a[i].info.has_tensor, b[i].info.has_tensor);
        assert_false(a[i].info.hash_only);
        assert_int_equal(b[i].info.hash_only, b[i].info.has_tensor);
        if (a[i].info.has_tensor)
            assert_memory_equal(a[i].hash, b[i].hash, sizeof a[i].hash);
    }
}

static void test_hashes_are_those_of_the_tensors(void **state) {
    (void)state;
    assert_same_messages(NULL, (const char *[]){"hash", "yes", NULL});
}

static void test_hashes_are_of_what_would_be_stored(void **state) {
    (void)state;
    assert_same_messages(
        (const char *[]){"precision", "bf16", "samples", "2", NULL},
        (const char *[]){"precision", "bf16", "samples", "2", "hash", "yes", NULL});
}

static void test_selection_goes_on_working(void **state) {
    (void)state;
    assert_same_messages(
        (const char *[]){"kinds", "weight_updates", "steps", "1:", NULL},
        (const char *[]){"kinds", "weight_updates", "steps", "1:", "hash", "yes", NULL});
}

/* The values of XXH3 by the library's own function, and of nothing by its published test vector. */
static void test_hash_is_xxh3(void **state) {
    (void)state;
    static struct listed got[64];
    const float input[12] = {0,        4 / 7.0f, 8 / 7.0f,  1 / 7.0f, 5 / 7.0f, 9 / 7.0f,
                             2 / 7.0f, 6 / 7.0f, 10 / 7.0f, 3 / 7.0f, 7 / 7.0f, 11 / 7.0f};
    record((const char *[]){"hash", "yes", "steps", "0:1", NULL});
    const size_t count = list(got, 64);
    const XXH128_hash_t expected = XXH3_128bits(input, sizeof input);
    unsigned seen = 0;
    for (size_t i = 0; i < count; i++) {
        if (got[i].info.kind == NAUHA_KIND_INPUT_DATA) {
            assert_int_equal(got[i].hash[0], expected.low64);
            assert_int_equal(got[i].hash[1], expected.high64);
            seen++;
        }
        if (got[i].info.kind == NAUHA_KIND_LOSS) {
            assert_int_equal(got[i].hash[0], 0x6001c324468d497f);
            assert_int_equal(got[i].hash[1], 0x99aa06d3014798d8);
            seen++;
        }
    }
    assert_int_equal(seen, 2);
}

static void test_tensors_are_refused(void **state) {
    (void)state;
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_names *names = nauha_names_new();
    struct nauha_trace *trace = NULL;
    struct nauha_cursor *cursor = NULL;
    struct nauha_message *message;
    struct nauha_tensor tensor;
    uint64_t findings;
    const char *key, *value;
    record((const char *[]){"hash", "yes", "kinds", "weights", NULL});
    must(nauha_trace_open(recorded_path, names, &trace, &err), &err);
    must(nauha_cursor_new(trace, NULL, &cursor, &err), &err);
    must(nauha_cursor_next(cursor, &message, &err), &err);
    assert_int_equal(nauha_message_tensor(message, &tensor, &err), NAUHA_UNAVAILABLE);
    assert_string_equal(err.message, "reading \"weights\" of module \"fc\" of step 0: only the "
                                     "hash of the tensor was recorded (--hash)");
    assert_int_equal(nauha_message_take(message, &tensor, NULL), NAUHA_UNAVAILABLE);
    nauha_cursor_free(cursor);
    must(nauha_trace_verify(trace, NULL, NULL, NULL, &findings, &err), &err);
    assert_int_equal(findings, 0);
    assert_true(nauha_trace_fact(trace, 0, &key, &value));
    assert_string_equal(key, "tensors");
    assert_string_equal(value, "not recorded, hash only");
    nauha_trace_close(trace);
    nauha_names_free(names);
}

static void test_option(void **state) {
    (void)state;
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_recorder_config *config = nauha_recorder_config_new();
    must(nauha_recorder_config_set(config, "hash", NULL, &err), &err);
    must(nauha_recorder_config_set(config, "hash", "no", &err), &err);
    assert_int_equal(nauha_recorder_config_set(config, "hash", "1", &err), NAUHA_INVALID);
    assert_string_equal(err.message, "option \"hash\": \"1\" is neither yes nor no");
    nauha_recorder_config_free(config);
}

#define RECORDED(test) cmocka_unit_test_setup_teardown(test, recorded_setup, recorded_teardown)

static const struct CMUnitTest tests[] = {
    RECORDED(test_hashes_are_those_of_the_tensors),
    RECORDED(test_hashes_are_of_what_would_be_stored),
    RECORDED(test_selection_goes_on_working),
    RECORDED(test_hash_is_xxh3),
    RECORDED(test_tensors_are_refused),
    cmocka_unit_test(test_option),
};

UNIT_MAIN(tests)
