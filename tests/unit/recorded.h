/* SPDX-License-Identifier: MIT */
/* For tests of the recorder: a place for traces, and their messages read back with the reader. */
#ifndef NAUHA_TESTS_RECORDED_H
#define NAUHA_TESTS_RECORDED_H

#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nauha/recorder.h"
#include "nauha/trace.h"

static char recorded_path[128];

static inline int recorded_setup(void **state) {
    (void)state;
    snprintf(recorded_path, sizeof recorded_path, "/tmp/nauha-recorder-%d.h5", (int)getpid());
    unlink(recorded_path);
    return 0;
}

static inline int recorded_teardown(void **state) {
    (void)state;
    unlink(recorded_path);
    return 0;
}

static inline void must(enum nauha_status status, const struct nauha_error *err) {
    if (status != NAUHA_OK)
        fail_msg("%s", err->message);
}

/* Opens a recorder on recorded_path; options: key, value, key, value, ..., NULL. */
static inline struct nauha_recorder *recorded_open(const char *const *options) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_recorder *recorder = NULL;
    struct nauha_recorder_config *config = nauha_recorder_config_new();
    assert_non_null(config);
    for (; options && *options; options += 2)
        must(nauha_recorder_config_set(config, options[0], options[1], &err), &err);
    must(nauha_recorder_open(recorded_path, config, &recorder, &err), &err);
    nauha_recorder_config_free(config);
    return recorder;
}

static inline uint32_t add_module(struct nauha_recorder *recorder, const char *name) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    uint32_t id;
    must(nauha_names_add_module(nauha_recorder_names(recorder), name, "Linear", &id, &err), &err);
    return id;
}

static inline uint32_t add_slot(struct nauha_recorder *recorder, const char *name) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    uint32_t id;
    must(nauha_names_add_slot(nauha_recorder_names(recorder), name, &id, &err), &err);
    return id;
}

static inline void publish(struct nauha_recorder *recorder, uint32_t kind, uint32_t module,
                           const struct nauha_tensor *tensor) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    must(nauha_recorder_publish(recorder, kind, module, 0, 0, tensor, &err), &err);
}

static inline void close_recorder(struct nauha_recorder *recorder) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    must(nauha_recorder_close(recorder, &err), &err);
}

/* ---- reading back ---- */

struct recorded_message {
    struct nauha_message_info info; /* strings live as long as the recording is open */
    unsigned char *data;
};

struct recorded {
    struct nauha_names *names;
    struct nauha_trace *trace;
    struct nauha_trace_info info;
    struct recorded_message *messages;
    size_t count;
};

static inline struct recorded read_back(void) {
    struct recorded got = {.names = nauha_names_new()};
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_cursor *cursor = NULL;
    struct nauha_message *message;
    must(nauha_trace_open(recorded_path, got.names, &got.trace, &err), &err);
    nauha_trace_get_info(got.trace, &got.info);
    got.messages = calloc(got.info.messages + 1, sizeof *got.messages);
    must(nauha_cursor_new(got.trace, NULL, &cursor, &err), &err);
    enum nauha_status status;
    while ((status = nauha_cursor_next(cursor, &message, &err)) == NAUHA_OK) {
        struct recorded_message *copy = &got.messages[got.count++];
        copy->info = *nauha_message_info(message);
        if (!copy->info.has_tensor || copy->info.bytes == 0)
            continue;
        struct nauha_tensor tensor;
        must(nauha_message_tensor(message, &tensor, &err), &err);
        copy->data = malloc(copy->info.bytes);
        memcpy(copy->data, tensor.data, copy->info.bytes);
    }
    assert_int_equal(status, NAUHA_END);
    nauha_cursor_free(cursor);
    return got;
}

static inline void forget(struct recorded *got) {
    for (size_t i = 0; i < got->count; i++)
        free(got->messages[i].data);
    free(got->messages);
    nauha_trace_close(got->trace);
    nauha_names_free(got->names);
}

#endif
