/* SPDX-License-Identifier: MIT */
/* What the recorder writes is what the reader reads: with every codec, small and big tensors,
 * derived updates, and a recording that was killed. */
#include "tests/unit/unit.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nauha/recorder.h"
#include "nauha/trace.h"

#define STEPS 6u
#define SMALL 12u
#define BIG 90000u /* 360 KB: a big stream, more than one chunk */

static char path[64];

static float value(uint64_t step, uint64_t i) {
    return (float)(step * step) * 0.25f + (float)(i % 1000);
}

static void must(enum nauha_status status, const struct nauha_error *err) {
    if (status != NAUHA_OK)
        fail_msg("%s", err->message);
}

struct model {
    uint32_t modules[2];
    float small[SMALL], big[BIG], bias[3];
    struct nauha_parameter parameters[3];
};

static const int64_t small_shape[] = {3, 4}, big_shape[] = {300, 300}, bias_shape[] = {3};

static void set_values(struct model *model, uint64_t step) {
    for (uint64_t i = 0; i < BIG; i++)
        model->big[i] = value(step, i);
    memcpy(model->small, model->big, sizeof model->small);
    memcpy(model->bias, model->big, sizeof model->bias);
}

static struct model *make_model(struct nauha_recorder *recorder) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_names *names = nauha_recorder_names(recorder);
    struct model *model = calloc(1, sizeof *model);
    uint32_t slots[2];
    must(nauha_names_add_module(names, "fc", "Linear", &model->modules[0], &err), &err);
    must(nauha_names_add_module(names, "big", "Linear", &model->modules[1], &err), &err);
    must(nauha_names_add_slot(names, "weight", &slots[0], &err), &err);
    must(nauha_names_add_slot(names, "bias", &slots[1], &err), &err);
    const struct nauha_parameter parameters[3] = {
        {model->modules[0],
         slots[0],
         false,
         0,
         {.data = model->small, .dtype = NAUHA_DTYPE_F32, .ndim = 2, .shape = small_shape}},
        {model->modules[0],
         slots[1],
         true,
         0,
         {.data = model->bias, .dtype = NAUHA_DTYPE_F32, .ndim = 1, .shape = bias_shape}},
        {model->modules[1],
         slots[0],
         false,
         0,
         {.data = model->big, .dtype = NAUHA_DTYPE_F32, .ndim = 2, .shape = big_shape}},
    };
    memcpy(model->parameters, parameters, sizeof parameters);
    return model;
}

static void run_step(struct nauha_recorder *recorder, struct model *model, uint64_t step) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    const float activations[] = {(float)step, -1, 2};
    const int64_t labels[] = {(int64_t)step, -7};
    const double loss = 1.0 / (double)(step + 1);
    const struct nauha_tensor tensors[] = {
        {.data = activations, .dtype = NAUHA_DTYPE_F32, .ndim = 1, .shape = bias_shape},
        {.data = labels, .dtype = NAUHA_DTYPE_I64, .ndim = 1, .shape = (const int64_t[]){2}},
        {.data = &loss, .dtype = NAUHA_DTYPE_F64, .ndim = 0}};
    set_values(model, step);
    must(nauha_recorder_begin_step(recorder, model->parameters, 3, &err), &err);
    must(nauha_recorder_publish(recorder, NAUHA_KIND_ACTIVATIONS, model->modules[0], 0, 0,
                                &tensors[0], &err),
         &err);
    must(nauha_recorder_publish(recorder, NAUHA_KIND_INPUT_LABELS, NAUHA_NONE, 0, 0, &tensors[1],
                                &err),
         &err);
    must(nauha_recorder_publish(recorder, NAUHA_KIND_LOSS, NAUHA_NONE, 0, 0, &tensors[2], &err),
         &err);
    set_values(model, step + 1);
    must(nauha_recorder_end_step(recorder, model->parameters, 3, &err), &err);
}

/* key NULL: everything. Returns the number of messages. */
static uint64_t record(const char *codec, const char *key, const char *value_text) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_recorder_config *config = nauha_recorder_config_new();
    struct nauha_recorder *recorder = NULL;
    must(nauha_recorder_config_set(config, "codec", codec, &err), &err);
    must(nauha_recorder_config_describe(config, "model", "fc", &err), &err);
    if (key)
        must(nauha_recorder_config_set(config, key, value_text, &err), &err);
    must(nauha_recorder_open(path, config, &recorder, &err), &err);
    nauha_recorder_config_free(config);
    struct model *model = make_model(recorder);
    for (uint64_t step = 0; step < STEPS; step++)
        run_step(recorder, model, step);
    must(nauha_recorder_epoch_finished(recorder, &err), &err);
    struct nauha_recorder_stats stats;
    nauha_recorder_get_stats(recorder, &stats);
    assert_int_equal(stats.messages_lost, 0);
    must(nauha_recorder_close(recorder, &err), &err);
    free(model);
    return stats.messages;
}

static void check_floats(const struct nauha_tensor *tensor, uint64_t count, uint64_t step,
                         bool update) {
    for (uint64_t i = 0; i < count; i++) {
        float now = value(step, i);
        float expected = update ? value(step + 1, i) - now : now; /* exact */
        assert_true(((const float *)tensor->data)[i] == expected);
    }
}

static void check_message(struct nauha_message *message) {
    const struct nauha_message_info *info = nauha_message_info(message);
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_tensor tensor = {.data = NULL};
    if (!info->has_tensor) {
        assert_true(info->kind <= NAUHA_KIND_EPOCH_FINISHED);
        return;
    }
    must(nauha_message_tensor(message, &tensor, &err), &err);
    uint64_t step = info->global_step;
    uint64_t count = info->bytes / nauha_dtype_size(info->dtype);
    switch (info->kind) {
    case NAUHA_KIND_WEIGHTS:
    case NAUHA_KIND_BIASES:
        check_floats(&tensor, count, step, false);
        break;
    case NAUHA_KIND_WEIGHT_UPDATES:
    case NAUHA_KIND_BIAS_UPDATES:
        check_floats(&tensor, count, step, true);
        break;
    case NAUHA_KIND_ACTIVATIONS:
        assert_true(((const float *)tensor.data)[0] == (float)step);
        assert_string_equal(info->module_name, "fc");
        break;
    case NAUHA_KIND_INPUT_LABELS:
        assert_int_equal(((const int64_t *)tensor.data)[0], step);
        assert_int_equal(((const int64_t *)tensor.data)[1], -7);
        break;
    case NAUHA_KIND_LOSS:
        assert_true(*(const double *)tensor.data == 1.0 / (double)(step + 1));
        break;
    default:
        fail_msg("unexpected kind %s", info->kind_name);
    }
    if (info->kind == NAUHA_KIND_WEIGHTS || info->kind == NAUHA_KIND_WEIGHT_UPDATES) {
        assert_string_equal(info->slot_name, "weight");
        assert_int_equal(count, strcmp(info->module_name, "big") == 0 ? BIG : SMALL);
    }
}

static void tell(void *context, const char *text) {
    (void)context;
    print_message("%s\n", text);
}

/* Checks every message there is; returns how many. */
static uint64_t check_trace(bool complete, bool all) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_names *names = nauha_names_new();
    struct nauha_trace *trace = NULL;
    struct nauha_cursor *cursor = NULL;
    struct nauha_message *message = NULL;
    must(nauha_trace_open(path, names, &trace, &err), &err);
    must(nauha_cursor_new(trace, NULL, &cursor, &err), &err);
    uint64_t count = 0, updates = 0;
    enum nauha_status status;
    while ((status = nauha_cursor_next(cursor, &message, &err)) == NAUHA_OK) {
        const struct nauha_message_info *info = nauha_message_info(message);
        assert_int_equal(info->seq, count);
        check_message(message);
        updates += info->kind == NAUHA_KIND_WEIGHT_UPDATES;
        count++;
    }
    if (status != NAUHA_END)
        fail_msg("%s", err.message);
    if (complete && all)
        assert_int_equal(updates, 2 * STEPS);
    struct nauha_trace_info info;
    nauha_trace_get_info(trace, &info);
    assert_int_equal(info.messages, count);
    assert_int_equal(info.complete, complete);
    if (complete && all)
        assert_int_equal(info.steps, STEPS);
    const char *key, *fact;
    bool found = false;
    for (size_t i = 0; nauha_trace_fact(trace, i, &key, &fact); i++)
        found = found || (strcmp(key, "model") == 0 && strcmp(fact, "fc") == 0);
    assert_true(found);
    uint64_t findings = 99;
    must(nauha_trace_verify(trace, tell, NULL, NULL, &findings, &err), &err);
    assert_int_equal(findings, 0);
    nauha_cursor_free(cursor);
    nauha_trace_close(trace);
    nauha_names_free(names);
    return count;
}

static void test_every_codec(void **state) {
    (void)state;
    static const char *const codecs[] = {"none", "lz4", "zstd"};
    for (size_t i = 0; i < 3; i++) {
        uint64_t messages = record(codecs[i], NULL, NULL);
        assert_int_equal(check_trace(true, true), messages);
    }
}

/* A trace of chosen messages has nothing missing, and updates whose weights are not chosen. */
static void test_selections(void **state) {
    (void)state;
    static const struct {
        const char *key, *value;
        uint64_t messages;
    } cases[] = {{"kinds", "weights,loss", STEPS * 3},
                 {"kinds", "weight_updates", STEPS * 2},
                 {"modules", "big", 0},
                 {"steps", "::4", 0},
                 {"steps", "2:3", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        record("zstd", cases[i].key, cases[i].value);
        uint64_t messages = check_trace(true, false);
        assert_true(messages > 0);
        if (cases[i].messages)
            assert_int_equal(messages, cases[i].messages);
    }
}

/* Killed after a flush in the middle of the run: what was flushed is there and sound. */
static void test_killed_recording(void **state) {
    (void)state;
    int channel[2];
    assert_int_equal(pipe(channel), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct nauha_error err = NAUHA_ERROR_INIT;
        struct nauha_recorder_config *config = nauha_recorder_config_new();
        struct nauha_recorder *recorder = NULL;
        must(nauha_recorder_config_describe(config, "model", "fc", &err), &err);
        must(nauha_recorder_open(path, config, &recorder, &err), &err);
        struct model *model = make_model(recorder);
        for (uint64_t step = 0; step < STEPS; step++)
            run_step(recorder, model, step);
        must(nauha_recorder_flush(recorder, &err), &err);
        _Bool told = write(channel[1], "x", 1) == 1;
        for (uint64_t step = STEPS; told; step++)
            run_step(recorder, model, step);
        _exit(1);
    }
    char byte;
    assert_int_equal(read(channel[0], &byte, 1), 1);
    usleep(30000);
    kill(child, SIGKILL);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    close(channel[0]);
    close(channel[1]);
    /* In each step: batch_started, 3 tensors, 3 parameters; the last step's updates may wait for
     * the weights of the next. */
    assert_true(check_trace(false, true) >= STEPS * 7);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_codec),
        cmocka_unit_test(test_selections),
        cmocka_unit_test(test_killed_recording),
    };
    snprintf(path, sizeof path, "/tmp/nauha-test-%d.h5", (int)getpid());
    const char *filter = getenv("CMOCKA_TEST_FILTER");
    if (filter)
        cmocka_set_test_filter(filter);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
