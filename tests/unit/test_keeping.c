/* SPDX-License-Identifier: MIT */
/* Recordings of hashes or fingerprints in place of tensors: the same messages as with tensors, and
 * what their elements give. */
#include "tests/unit/recorded.h"

#include <math.h>

#include "nauha/bus.h"
#include "nauha/fingerprint.h"
#include "nauha/internal/fingerprint.h"
#include "nauha/keeping.h"

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
        assert_int_equal(a[i].info.kept, NAUHA_KEPT_ELEMENTS);
        assert_int_equal(b[i].info.kept,
                         b[i].info.has_tensor ? NAUHA_KEPT_HASH : NAUHA_KEPT_ELEMENTS);
        if (a[i].info.has_tensor)
            assert_memory_equal(a[i].hash, b[i].hash, sizeof a[i].hash);
    }
}

static void test_hashes_are_those_of_the_tensors(void **state) {
    (void)state;
    assert_same_messages(NULL, (const char *[]){"keep", "hashes", NULL});
}

static void test_hashes_are_of_what_would_be_stored(void **state) {
    (void)state;
    assert_same_messages(
        (const char *[]){"precision", "bf16", "samples", "2", NULL},
        (const char *[]){"precision", "bf16", "samples", "2", "keep", "hashes", NULL});
}

static void test_selection_goes_on_working(void **state) {
    (void)state;
    assert_same_messages(
        (const char *[]){"kinds", "weight_updates", "steps", "1:", NULL},
        (const char *[]){"kinds", "weight_updates", "steps", "1:", "keep", "hashes", NULL});
}

/* Computed by the program of docs/format.md; that of the loss, which has no elements here, too. */
static void test_hash_is_the_documented_one(void **state) {
    (void)state;
    static struct listed got[64];
    record((const char *[]){"keep", "hashes", "steps", "0:1", NULL});
    const size_t count = list(got, 64);
    unsigned seen = 0;
    for (size_t i = 0; i < count; i++) {
        if (got[i].info.kind == NAUHA_KIND_INPUT_DATA) {
            assert_int_equal(got[i].hash[0], 0xe14853bfa673d477);
            assert_int_equal(got[i].hash[1], 0x159872e95ab0c7d3);
            seen++;
        }
        if (got[i].info.kind == NAUHA_KIND_LOSS) {
            assert_int_equal(got[i].hash[0], 0x2b0c3d8eae209f78);
            assert_int_equal(got[i].hash[1], 0x3effa93ad0a52a4e);
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
    record((const char *[]){"keep", "hashes", "kinds", "weights", NULL});
    must(nauha_trace_open(recorded_path, names, &trace, &err), &err);
    must(nauha_cursor_new(trace, NULL, &cursor, &err), &err);
    must(nauha_cursor_next(cursor, &message, &err), &err);
    assert_int_equal(nauha_message_tensor(message, &tensor, &err), NAUHA_UNAVAILABLE);
    assert_string_equal(err.message, "reading \"weights\" of module \"fc\" of step 0: only the "
                                     "hash of the tensor was recorded");
    assert_int_equal(nauha_message_take(message, &tensor, NULL), NAUHA_UNAVAILABLE);
    nauha_cursor_free(cursor);
    must(nauha_trace_verify(trace, NULL, NULL, NULL, &findings, &err), &err);
    assert_int_equal(findings, 0);
    assert_true(nauha_trace_fact(trace, 0, &key, &value));
    assert_string_equal(key, "keep");
    assert_string_equal(value, "hashes");
    nauha_trace_close(trace);
    nauha_names_free(names);
}

/* ---- fingerprints ---- */

enum { ROWS = 40, COLUMNS = 7, WEIGHTS = 143, STEPS = 4, LISTED = 128 };

static void publish_all(struct nauha_recorder *recorder, uint32_t module, unsigned step) {
    static const int64_t strides[] = {1, ROWS}, batch[] = {ROWS, COLUMNS}, long_shape[] = {300};
    static float input[ROWS * COLUMNS];
    static double wide[300];
    static uint16_t bf16[300];
    static int64_t whole[300];
    static uint8_t truth[300];
    for (unsigned i = 0; i < ROWS * COLUMNS; i++)
        input[i] = (float)i / 7.0f - 13.0f * (float)step;
    input[17] = step == 2 ? NAN : input[17];
    input[99] = step == 2 ? INFINITY : input[99];
    for (unsigned i = 0; i < 300; i++) {
        wide[i] = sin(i * 0.37 + step) * 1e200;
        bf16[i] = (uint16_t)(0x3f80 + i * 3 + step);
        whole[i] = (int64_t)i * i * i - 1000;
        truth[i] = i % 3 == 0;
    }
    const struct nauha_tensor tensors[] = {
        {input, NAUHA_DTYPE_F32, 2, batch, strides, 0},
        {wide, NAUHA_DTYPE_F64, 1, long_shape, NULL, 0},
        {bf16, NAUHA_DTYPE_BF16, 1, long_shape, NULL, 0},
        {whole, NAUHA_DTYPE_I64, 1, long_shape, NULL, 0},
        {truth, NAUHA_DTYPE_BOOL, 1, long_shape, NULL, 0},
        {wide, NAUHA_DTYPE_F64, 0, NULL, NULL, 0},
    };
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++)
        publish(recorder, NAUHA_KIND_ACTIVATIONS, module, &tensors[i]);
    publish(recorder, NAUHA_KIND_LOSS, NAUHA_NONE, &tensors[5]);
}

/* Steps of which some end by themselves; a large and a small parameter. */
static void record_large(const char *const *options) {
    static const int64_t large[] = {13, 11}, small[] = {5};
    static float weights[WEIGHTS], bias[5];
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_recorder *recorder = recorded_open(options);
    const uint32_t module = add_module(recorder, "fc");
    const uint32_t slots[] = {add_slot(recorder, "weight"), add_slot(recorder, "bias")};
    for (unsigned i = 0; i < WEIGHTS; i++)
        weights[i] = (float)cos(i * 0.7);
    memset(bias, 0, sizeof bias);
    for (unsigned step = 0; step < STEPS; step++) {
        const struct nauha_parameter now[] = {
            {module, slots[0], false, 0, {weights, NAUHA_DTYPE_F32, 2, large, NULL, 0}},
            {module, slots[1], true, 0, {bias, NAUHA_DTYPE_F32, 1, small, NULL, 0}}};
        must(nauha_recorder_begin_step(recorder, now, 2, &err), &err);
        publish_all(recorder, module, step);
        for (unsigned i = 0; i < WEIGHTS; i++)
            weights[i] = weights[i] * 0.75f + 0.1f;
        bias[step % 5] += 1;
        if (step != 1)
            must(nauha_recorder_end_step(recorder, now, 2, &err), &err);
    }
    close_recorder(recorder);
}

struct print {
    struct nauha_message_info info;
    struct nauha_fingerprint fingerprint;
    struct nauha_stats stats;
};

static size_t list_prints(struct print *out) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_names *names = nauha_names_new();
    struct nauha_trace *trace = NULL;
    struct nauha_cursor *cursor = NULL;
    struct nauha_message *message;
    uint64_t findings;
    size_t count = 0;
    must(nauha_trace_open(recorded_path, names, &trace, &err), &err);
    must(nauha_cursor_new(trace, NULL, &cursor, &err), &err);
    while (nauha_cursor_next(cursor, &message, &err) == NAUHA_OK) {
        const struct nauha_stats *stats = NULL;
        assert_true(count < LISTED);
        out[count] = (struct print){.info = *nauha_message_info(message)};
        if (out[count].info.has_tensor) {
            must(nauha_message_fingerprint(message, &out[count].fingerprint, &err), &err);
            must(nauha_message_stats(message, &stats, &err), &err);
            out[count].stats = *stats;
        }
        count++;
    }
    nauha_cursor_free(cursor);
    must(nauha_trace_verify(trace, NULL, NULL, NULL, &findings, &err), &err);
    assert_int_equal(findings, 0);
    nauha_trace_close(trace);
    nauha_names_free(names);
    return count;
}

static struct print of_elements[LISTED], of_fingerprints[LISTED];

/* The same bytes, whether they were recorded or are computed from the elements. */
static void assert_same_fingerprints(const char *const *full, const char *const *fingerprints) {
    record_large(full);
    const size_t count = list_prints(of_elements);
    record_large(fingerprints);
    assert_int_equal(list_prints(of_fingerprints), count);
    size_t seen = 0;
    for (size_t i = 0; i < count; i++) {
        const struct print *a = &of_elements[i], *b = &of_fingerprints[i];
        assert_int_equal(a->info.kind, b->info.kind);
        assert_int_equal(a->info.bytes, b->info.bytes);
        assert_int_equal(a->info.kept, NAUHA_KEPT_ELEMENTS);
        assert_int_equal(b->info.kept,
                         b->info.bytes > 240 ? NAUHA_KEPT_FINGERPRINT : NAUHA_KEPT_ELEMENTS);
        assert_memory_equal(&a->fingerprint, &b->fingerprint, sizeof a->fingerprint);
        assert_memory_equal(&a->stats, &b->stats, sizeof a->stats);
        seen += b->info.kept == NAUHA_KEPT_FINGERPRINT;
    }
    assert_true(seen > 0);
}

static void test_fingerprints_are_those_of_the_tensors(void **state) {
    (void)state;
    assert_same_fingerprints(NULL, (const char *[]){"keep", "fingerprints", NULL});
    assert_same_fingerprints(
        (const char *[]){"codec", "zstd,temporal", NULL},
        (const char *[]){"codec", "zstd,temporal", "keep", "fingerprints", NULL});
    assert_same_fingerprints(
        (const char *[]){"kinds", "weight_updates", "steps", "1:", NULL},
        (const char *[]){"kinds", "weight_updates", "steps", "1:", "keep", "fingerprints", NULL});
}

static void test_fingerprints_are_of_what_would_be_stored(void **state) {
    (void)state;
    const char *const less[] = {"precision", "bf16", "samples", "9", NULL};
    assert_same_fingerprints(
        less, (const char *[]){"precision", "bf16", "samples", "9", "keep", "fingerprints", NULL});
}

/* Fingerprints that were made elsewhere, of tensors of 100, 10 and 0 elements, as `keep` says. */
static void record_ready(const char *keep) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_recorder *recorder = recorded_open((const char *[]){
        "keep", keep, "flight", strcmp(keep, "fingerprints") == 0 ? "2" : "0", NULL});
    const uint32_t module = add_module(recorder, "fc");
    must(nauha_recorder_begin_step(recorder, NULL, 0, &err), &err);
    for (int64_t n = 100; n >= 0; n = n == 100 ? 10 : n == 10 ? 0 : -1) {
        float elements[100];
        struct nauha_fingerprint print;
        struct nauha__fingerprint_words words;
        for (int i = 0; i < 100; i++)
            elements[i] = i == 99 ? (float)NAN : (float)i - 7;
        const struct nauha_tensor tensor = {elements, NAUHA_DTYPE_F32, 1, &n, NULL, 0};
        must(nauha_tensor_fingerprint(&tensor, &print, &err), &err);
        nauha__fingerprint_pack(&print, &words);
        const struct nauha_tensor form = {.dtype = NAUHA_DTYPE_F32, .ndim = 1, .shape = &n};
        must(nauha_recorder_publish_fingerprint(recorder, NAUHA_KIND_ACTIVATIONS, module, 0, 0,
                                                &form, 0, (const uint64_t *)(const void *)&words,
                                                &err),
             &err);
        must(nauha_recorder_publish(recorder, NAUHA_KIND_LAYER_GRADIENTS, module, 0, 0, &tensor,
                                    &err),
             &err);
    }
    uint64_t words[NAUHA_FINGERPRINT_WORDS] = {0};
    const struct nauha_tensor form = {.dtype = NAUHA_DTYPE_COUNT};
    assert_int_equal(nauha_recorder_publish_fingerprint(recorder, NAUHA_KIND_ACTIVATIONS, module, 0,
                                                        0, NULL, 0, words, &err),
                     NAUHA_INVALID);
    assert_string_equal(err.message, "a fingerprint needs the form of its tensor");
    assert_int_equal(nauha_recorder_publish_fingerprint(recorder, NAUHA_KIND_ACTIVATIONS, module, 0,
                                                        0, &form, 0, words, &err),
                     NAUHA_INVALID);
    assert_int_equal(
        nauha_recorder_publish_fingerprint(recorder, 1000, module, 0, 0, &form, 0, words, &err),
        NAUHA_INVALID);
    must(nauha_recorder_end_step(recorder, NULL, 0, &err), &err);
    close_recorder(recorder);
}

static void test_fingerprints_that_come_ready(void **state) {
    (void)state;
    static const char *const keeps[] = {"fingerprints", "everything"};
    for (size_t k = 0; k < 2; k++) {
        size_t pairs = 0;
        record_ready(keeps[k]);
        const size_t count = list_prints(of_fingerprints);
        for (size_t i = 0; i + 1 < count; i++) {
            const struct print *ready = &of_fingerprints[i], *made = &of_fingerprints[i + 1];
            if (ready->info.kind != NAUHA_KIND_ACTIVATIONS)
                continue;
            assert_int_equal(made->info.kind, NAUHA_KIND_LAYER_GRADIENTS);
            assert_int_equal(ready->info.bytes, made->info.bytes);
            assert_int_equal(ready->info.kept,
                             ready->info.bytes > 0 ? NAUHA_KEPT_FINGERPRINT : NAUHA_KEPT_ELEMENTS);
            assert_memory_equal(&ready->fingerprint, &made->fingerprint, sizeof made->fingerprint);
            pairs++;
        }
        assert_int_equal(pairs, 3);
    }
}

static void test_hashes_that_come_ready(void **state) {
    (void)state;
    static struct listed got[64];
    size_t pairs = 0;
    record_ready("hashes");
    const size_t count = list(got, 64);
    for (size_t i = 0; i + 1 < count; i++) {
        if (got[i].info.kind != NAUHA_KIND_ACTIVATIONS)
            continue;
        assert_int_equal(got[i].info.kept, NAUHA_KEPT_HASH);
        assert_memory_equal(got[i].hash, got[i + 1].hash, sizeof got[i].hash);
        pairs++;
    }
    assert_int_equal(pairs, 3);
}

static bool is_nan(const struct nauha_stats *stats) {
    return stats->nans == 1 && stats->infs == 1 && stats->first_nonfinite == 119;
}

/* The samples and places, worked out by hand. */
static void test_contents_of_a_fingerprint(void **state) {
    (void)state;
    unsigned whole = 0, nonfinite = 0;
    record_large((const char *[]){"keep", "fingerprints", NULL});
    const size_t count = list_prints(of_fingerprints);
    assert_int_equal(nauha_fingerprint_samples(300), 16);
    assert_int_equal(nauha_fingerprint_samples(3), 3);
    assert_int_equal(nauha_fingerprint_position(300, 15), 299);
    assert_int_equal(nauha_fingerprint_position(300, 1), 19); /* 299 / 15 = 19.93 */
    assert_int_equal(nauha_fingerprint_position(300, 14), 279);
    assert_int_equal(nauha_fingerprint_position(16, 7), 7);
    assert_int_equal(nauha_fingerprint_position(UINT64_MAX, 15), UINT64_MAX - 1);
    for (size_t i = 0; i < count; i++) {
        const struct print *print = &of_fingerprints[i];
        nonfinite += is_nan(&print->fingerprint.stats);
        if (!print->info.has_tensor || print->info.dtype != NAUHA_DTYPE_I64)
            continue;
        whole++;
        assert_int_equal(print->fingerprint.samples[0], (uint64_t)-1000);
        assert_int_equal(print->fingerprint.samples[1], 19 * 19 * 19 - 1000);
        assert_int_equal(print->fingerprint.samples[15], 299 * 299 * 299 - 1000);
        assert_int_equal(print->fingerprint.stats.zeros, 1); /* 10^3 */
        assert_int_equal(print->fingerprint.stats.sum, 299.0 * 299 * 300 * 300 / 4 - 300000);
    }
    assert_int_equal(whole, STEPS);
    assert_int_equal(nonfinite, 1);
}

/* The rules: which message is kept how. */
static void test_rules(void **state) {
    (void)state;
    record_large((const char *[]){"keep", "fingerprints", "full", "activations steps=1:3; weights",
                                  "full", "weight_updates steps=3", NULL});
    const size_t count = list_prints(of_fingerprints);
    for (size_t i = 0; i < count; i++) {
        const struct nauha_message_info *info = &of_fingerprints[i].info;
        const uint64_t step = info->global_step;
        const bool full = info->bytes <= 240 || info->kind == NAUHA_KIND_WEIGHTS ||
                          (info->kind == NAUHA_KIND_ACTIVATIONS && (step == 1 || step == 2)) ||
                          (info->kind == NAUHA_KIND_WEIGHT_UPDATES && step == 3);
        assert_int_equal(info->kept, full ? NAUHA_KEPT_ELEMENTS : NAUHA_KEPT_FINGERPRINT);
    }
    record_large(NULL);
    assert_int_equal(list_prints(of_elements), count);
    for (size_t i = 0; i < count; i++)
        assert_memory_equal(&of_elements[i].fingerprint, &of_fingerprints[i].fingerprint,
                            sizeof of_elements[i].fingerprint);
    record_large((const char *[]){"fingerprint", "all", "full", "loss", NULL});
    assert_int_equal(list_prints(of_fingerprints), count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(of_fingerprints[i].info.kept, of_fingerprints[i].info.bytes > 240
                                                           ? NAUHA_KEPT_FINGERPRINT
                                                           : NAUHA_KEPT_ELEMENTS);
}

static enum nauha_grade grade(struct nauha_keeping *keeping, struct nauha_names *names,
                              uint32_t kind, uint64_t step) {
    return nauha_keeping_grade(keeping, names, kind, NAUHA_NONE, 0, step, 0, 0);
}

static enum nauha_grade grade_of_module(struct nauha_keeping *keeping, struct nauha_names *names,
                                        uint32_t kind, uint32_t module, uint64_t step) {
    return nauha_keeping_grade(keeping, names, kind, module, 0, step, 0, 0);
}

static void test_what_cannot_be_made_again(void **state) {
    (void)state;
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_names *names = nauha_names_new();
    struct nauha_keeping *keeping = nauha_keeping_new();
    must(nauha_keeping_except(keeping, NAUHA_KIND_ACTIVATIONS, 5, &err), &err);
    must(nauha_keeping_set(keeping, "keep", "fingerprints", &err), &err);
    assert_int_equal(grade_of_module(keeping, names, NAUHA_KIND_ACTIVATIONS, 5, 3),
                     NAUHA_GRADE_FINGERPRINT);
    must(nauha_keeping_set(keeping, "keep", "proof", &err), &err);
    must(nauha_keeping_set(keeping, "proof-every", "3", &err), &err);
    must(nauha_keeping_except(keeping, NAUHA_KIND_WEIGHT_GRADIENTS, NAUHA_NONE, &err), &err);
    must(nauha_keeping_except(keeping, NAUHA_KIND_ACTIVATIONS, 2, &err), &err);
    struct nauha_keeping *copy = nauha_keeping_copy(keeping);
    nauha_keeping_free(keeping);
    for (uint32_t module = 0; module < 8; module++) {
        const enum nauha_grade expected =
            module == 5 || module == 2 ? NAUHA_GRADE_ELEMENTS : NAUHA_GRADE_NOTHING;
        assert_int_equal(grade_of_module(copy, names, NAUHA_KIND_ACTIVATIONS, module, 3), expected);
        assert_int_equal(grade_of_module(copy, names, NAUHA_KIND_ACTIVATIONS, module, 4),
                         NAUHA_GRADE_NOTHING);
        assert_int_equal(grade_of_module(copy, names, NAUHA_KIND_WEIGHT_GRADIENTS, module, 3),
                         NAUHA_GRADE_ELEMENTS);
        assert_int_equal(grade_of_module(copy, names, NAUHA_KIND_BIAS_GRADIENTS, module, 3),
                         NAUHA_GRADE_FINGERPRINT);
    }
    must(nauha_keeping_set(copy, "fingerprint", "activations", &err), &err);
    assert_int_equal(grade_of_module(copy, names, NAUHA_KIND_ACTIVATIONS, 5, 3),
                     NAUHA_GRADE_FINGERPRINT);
    assert_int_equal(nauha_keeping_except(copy, 64, 0, &err), NAUHA_INVALID);
    nauha_keeping_free(copy);
    nauha_names_free(names);
}

static void test_grades_for_proof(void **state) {
    (void)state;
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_names *names = nauha_names_new();
    struct nauha_keeping *keeping = nauha_keeping_new();
    must(nauha_keeping_set(keeping, "keep", "proof", &err), &err);
    must(nauha_keeping_set(keeping, "fingerprint-every", "5", &err), &err);
    assert_int_equal(grade(keeping, names, NAUHA_KIND_WEIGHTS, 3), NAUHA_GRADE_ELEMENTS);
    assert_int_equal(grade(keeping, names, NAUHA_KIND_WEIGHT_UPDATES, 3), NAUHA_GRADE_ELEMENTS);
    assert_int_equal(grade(keeping, names, NAUHA_KIND_WEIGHT_GRADIENTS, 3),
                     NAUHA_GRADE_FINGERPRINT);
    assert_int_equal(grade(keeping, names, NAUHA_KIND_ACTIVATIONS, 3), NAUHA_GRADE_NOTHING);
    assert_int_equal(grade(keeping, names, NAUHA_KIND_ACTIVATIONS, 5), NAUHA_GRADE_FINGERPRINT);
    must(nauha_keeping_set(keeping, "proof-every", "4", &err), &err);
    struct nauha_keeping *copy = nauha_keeping_copy(keeping);
    nauha_keeping_free(keeping);
    assert_int_equal(grade(copy, names, NAUHA_KIND_WEIGHTS, 3), NAUHA_GRADE_NOTHING);
    assert_int_equal(grade(copy, names, NAUHA_KIND_LOSS, 3), NAUHA_GRADE_ELEMENTS);
    assert_int_equal(grade(copy, names, NAUHA_KIND_WEIGHTS, 4), NAUHA_GRADE_ELEMENTS);
    assert_int_equal(grade(copy, names, NAUHA_KIND_WEIGHT_UPDATES, 4), NAUHA_GRADE_FINGERPRINT);
    assert_int_equal(grade(copy, names, NAUHA_KIND_ACTIVATIONS, 4), NAUHA_GRADE_NOTHING);
    assert_int_equal(grade(copy, names, NAUHA_KIND_ACTIVATIONS, 20), NAUHA_GRADE_FINGERPRINT);
    assert_true(nauha_keeping_accepts_kind(copy, names, NAUHA_KIND_ACTIVATIONS));
    nauha_keeping_free(copy);
    nauha_names_free(names);
}

static void test_options(void **state) {
    (void)state;
    static const struct {
        const char *key, *value, *message;
    } wrong[] = {
        {"keep", "all", "\"all\" is none of everything, proof, fingerprints, hashes"},
        {"full", "", "a rule is empty: KIND,... or all"},
        {"full", "weights;", "a rule is empty: KIND,... or all"},
        {"full", "steps=1:", "a rule begins with its kinds, or with all, not with \"steps=1:\""},
        {"full", "weights fc", "\"fc\" is not KEY=VALUE, as in steps=::100"},
        {"proof-every", "0", "\"0\" is not a number of steps: 1 or more"},
    };
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_recorder_config *config = nauha_recorder_config_new();
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char message[200];
        snprintf(message, sizeof message, "option \"%s\": %s", wrong[i].key, wrong[i].message);
        assert_int_equal(nauha_recorder_config_set(config, wrong[i].key, wrong[i].value, &err),
                         NAUHA_INVALID);
        assert_string_equal(err.message, message);
    }
    must(nauha_recorder_config_set(config, "keep", "proof", &err), &err);
    must(nauha_recorder_check(recorded_path, config, &err), &err);
    must(nauha_recorder_config_set(config, "samples", "4", &err), &err);
    assert_int_equal(nauha_recorder_check(recorded_path, config, &err), NAUHA_INVALID);
    assert_non_null(strstr(err.message, "proof needs all of the inputs"));
    struct nauha_recorder *recorder = NULL;
    assert_int_equal(nauha_recorder_open(recorded_path, config, &recorder, &err), NAUHA_INVALID);
    assert_int_equal(access(recorded_path, F_OK), -1);
    nauha_recorder_config_free(config);

    struct nauha_names *names = nauha_names_new();
    struct nauha_keeping *keeping = nauha_keeping_new();
    must(nauha_keeping_set(keeping, "full", "wieghts", &err), &err);
    assert_int_equal(nauha_keeping_check_kinds(keeping, names, &err), NAUHA_UNKNOWN);
    assert_non_null(strstr(err.message, "did you mean \"weights\"?"));
    nauha_keeping_free(keeping);
    nauha_names_free(names);
}

/* How far fingerprints are apart, worked out by hand. */
static void test_difference(void **state) {
    (void)state;
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_fingerprint a, b;
    float x[20], y[20];
    const int64_t shape[] = {20};
    const struct nauha_tensor of_x = {x, NAUHA_DTYPE_F32, 1, shape, NULL, 0};
    const struct nauha_tensor of_y = {y, NAUHA_DTYPE_F32, 1, shape, NULL, 0};
    for (unsigned i = 0; i < 20; i++)
        x[i] = y[i] = 1;
    y[19] = 2; /* the largest and the last of the samples */
    must(nauha_tensor_fingerprint(&of_x, &a, &err), &err);
    must(nauha_tensor_fingerprint(&of_y, &b, &err), &err);
    assert_float_equal(nauha_fingerprint_difference(&a, &b, NAUHA_DTYPE_F32), 0.5, 1e-15);
    assert_float_equal(nauha_fingerprint_difference(&a, &a, NAUHA_DTYPE_F32), 0, 0);
    y[19] = NAN;
    must(nauha_tensor_fingerprint(&of_y, &b, &err), &err);
    assert_true(isinf(nauha_fingerprint_difference(&a, &b, NAUHA_DTYPE_F32)));
}

#define RECORDED(test) cmocka_unit_test_setup_teardown(test, recorded_setup, recorded_teardown)

static const struct CMUnitTest tests[] = {
    RECORDED(test_hashes_are_those_of_the_tensors),
    RECORDED(test_hashes_are_of_what_would_be_stored),
    RECORDED(test_selection_goes_on_working),
    RECORDED(test_hash_is_the_documented_one),
    RECORDED(test_tensors_are_refused),
    RECORDED(test_fingerprints_are_those_of_the_tensors),
    RECORDED(test_fingerprints_are_of_what_would_be_stored),
    RECORDED(test_fingerprints_that_come_ready),
    RECORDED(test_hashes_that_come_ready),
    RECORDED(test_contents_of_a_fingerprint),
    RECORDED(test_rules),
    cmocka_unit_test(test_grades_for_proof),
    RECORDED(test_options),
    cmocka_unit_test(test_difference),
};

UNIT_MAIN(tests)
