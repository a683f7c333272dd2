/* SPDX-License-Identifier: MIT */
/* Reads a trace in every way there is. Whatever is in it, each call succeeds or says what is wrong,
 * and what verify lets pass is all there. */
#include "tests/fuzz/fuzz_trace.h"

#include <hdf5.h>
#include <string.h>

#include "nauha/fingerprint.h"
#include "nauha/pipeline.h"

/* An error of the trace, with a reason; or a message that memory cannot hold. */
static void require_failure(enum nauha_status status, const struct nauha_error *err) {
    fuzz_require(status == NAUHA_FORMAT || status == NAUHA_DAMAGED || status == NAUHA_VERSION ||
                 status == NAUHA_INVALID || status == NAUHA_UNKNOWN || status == NAUHA_LIMIT ||
                 status == NAUHA_NOMEM);
    fuzz_require(err->code == status && strlen(err->message) > 10);
}

/* ---- what is in it ---- */

static void take_finding(void *context, const char *text) {
    uint64_t *told = context;
    fuzz_require(text[0] != '\0');
    ++*told;
}

static uint64_t verify(struct nauha_trace *trace) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    uint64_t findings = 0, told = 0;
    enum nauha_status status =
        nauha_trace_verify(trace, take_finding, NULL, &told, &findings, &err);
    if (status != NAUHA_OK)
        require_failure(status, &err);
    else
        fuzz_require((findings > 0) == (told > 0));
    return findings;
}

/* Returns the messages that the trace says it has. */
static uint64_t describe(struct nauha_trace *trace, const struct nauha_names *names) {
    struct nauha_trace_info info;
    const char *key, *value;
    uint64_t sum = 0, messages, bytes;
    uint32_t kind;
    nauha_trace_get_info(trace, &info);
    fuzz_require(info.codec && info.failure && info.path);
    for (size_t i = 0; nauha_trace_fact(trace, i, &key, &value); i++)
        fuzz_require(strlen(key) < SIZE_MAX && strlen(value) < SIZE_MAX);
    for (size_t i = 0; nauha_trace_loss(trace, i, &kind, &value, &messages, &bytes); i++)
        fuzz_require(kind < nauha_names_kinds(names) && strlen(value) <= 64);
    /* Two rows of /kinds may be the same kind, which is then counted with both. */
    for (uint32_t i = 0; i < nauha_names_kinds(names); i++) {
        nauha_trace_kind_totals(trace, i, &messages, &bytes);
        sum += messages;
    }
    fuzz_require(sum == info.messages);
    return info.messages;
}

/* ---- messages ---- */

struct count {
    uint64_t good, damaged_rows, damaged_tensors;
};

/* Every byte, so that one outside of the memory is noticed. */
static void read_elements(const void *data, size_t bytes) {
    static volatile unsigned char sink;
    unsigned char all = 0;
    for (size_t i = 0; i < bytes; i++)
        all ^= ((const unsigned char *)data)[i];
    sink = all;
    (void)sink;
}

static void read_fingerprint(struct nauha_message *message, struct count *count) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_fingerprint fingerprint;
    const enum nauha_status status = nauha_message_fingerprint(message, &fingerprint, &err);
    if (status == NAUHA_OK) {
        read_elements(&fingerprint, sizeof fingerprint);
    } else {
        require_failure(status, &err);
        count->damaged_tensors += status != NAUHA_NOMEM;
    }
}

static void read_message(struct nauha_message *message, struct count *count) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    const struct nauha_message_info *info = nauha_message_info(message);
    fuzz_require(info->kind_name && info->module_name && info->slot_name && info->tag_name);
    count->good++;
    if (!info->has_tensor)
        return;
    struct nauha_tensor tensor;
    enum nauha_status status = nauha_message_tensor(message, &tensor, &err);
    if (status == NAUHA_OK) {
        read_elements(tensor.data, info->bytes);
    } else if (status == NAUHA_UNAVAILABLE) { /* its hash or fingerprint was recorded: no damage */
        fuzz_require(strlen(err.message) > 10);
        if (info->kept == NAUHA_KEPT_FINGERPRINT)
            read_fingerprint(message, count);
    } else {
        require_failure(status, &err);
        count->damaged_tensors += status != NAUHA_NOMEM;
    }
}

static struct count read_messages(struct nauha_trace *trace,
                                  const struct nauha_selector *selector) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_cursor *cursor = NULL;
    struct nauha_message *message = NULL;
    struct count count = {0};
    uint64_t before = 0, done = 0, total = 0;
    enum nauha_status status = nauha_cursor_new(trace, selector, &cursor, &err);
    if (status != NAUHA_OK) {
        require_failure(status, &err);
        return count;
    }
    while ((status = nauha_cursor_next(cursor, &message, &err)) != NAUHA_END) {
        nauha_cursor_progress(cursor, &done, &total);
        fuzz_require(done > before && done <= total);
        before = done;
        if (status == NAUHA_OK) {
            read_message(message, &count);
        } else {
            require_failure(status, &err);
            count.damaged_rows++;
        }
    }
    nauha_cursor_free(cursor);
    return count;
}

static struct nauha_selector *make_selector(unsigned number) {
    static const char *const settings[FUZZ_SELECTORS][2] = {
        {"steps", "1:"},          {"steps", "::2"},      {"steps", "3"},
        {"steps", "1000:1500:7"}, {"steps", "2:9000"},   {"steps", "1000000:"},
        {"epochs", "1:"},         {"kinds", "weights"},  {"kinds", "weight_updates,loss"},
        {"modules", "features*"}, {"modules", "(root)"}, {"exclude", "features*"},
        {"tag", "test"},          {"rank", "3"},         {"kinds", "sharpness"},
        {"steps", "::1000"},
    };
    struct nauha_selector *selector = nauha_selector_new();
    fuzz_require(selector && nauha_selector_set(selector, settings[number][0], settings[number][1],
                                                NULL) == NAUHA_OK);
    return selector;
}

/* A trace that stays as it is has no more messages when it is looked at again. */
static void refresh(struct nauha_trace *trace, uint64_t messages) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_trace_info info;
    bool live = false;
    enum nauha_status status = nauha_trace_refresh(trace, &live, &err);
    if (status != NAUHA_OK)
        require_failure(status, &err);
    nauha_trace_get_info(trace, &info);
    fuzz_require(info.messages == messages && live == (status != NAUHA_OK));
}

/* ---- metrics ---- */

/* Nobody writes the trace: there is nothing to wait for, unless what is there cannot be read. */
static bool go_on(void *context, bool waiting, uint64_t done, uint64_t total) {
    (void)context;
    fuzz_require(done <= total);
    return !waiting;
}

static void replay(struct nauha_trace *trace, struct nauha_names *names,
                   const struct nauha_selector *selector, bool follow) {
    static const char *const specs[] = {"norm:weights,activations", "ratio:weight_updates,weights",
                                        "train_accuracy", "loss"};
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_pipeline *pipeline = nauha_pipeline_new(names);
    enum nauha_status status = NAUHA_OK;
    fuzz_require(pipeline != NULL);
    for (size_t i = 0; i < sizeof specs / sizeof *specs && status == NAUHA_OK; i++)
        status = nauha_pipeline_add_metric(pipeline, specs[i], &err);
    if (status == NAUHA_OK)
        status = nauha_pipeline_start(pipeline, &err);
    if (status == NAUHA_OK)
        status = follow ? nauha_pipeline_follow(pipeline, &trace, 1, selector, go_on, NULL, &err)
                        : nauha_pipeline_replay(pipeline, trace, selector, NULL, NULL, &err);
    if (status == NAUHA_OK)
        status = nauha_pipeline_finish(pipeline, &err);
    if (status != NAUHA_OK)
        fuzz_require(err.code == status && strlen(err.message) > 10);
    nauha_pipeline_free(pipeline);
}

void fuzz_walk(const char *path, unsigned selector_number) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_names *names = nauha_names_new();
    struct nauha_trace *trace = NULL;
    fuzz_require(names != NULL);
    enum nauha_status status = nauha_trace_open(path, names, &trace, &err);
    if (status == NAUHA_OK) {
        struct nauha_selector *selector = make_selector(selector_number);
        uint64_t messages = describe(trace, names), findings = verify(trace);
        struct count all = read_messages(trace, NULL);
        struct count chosen = read_messages(trace, selector);
        fuzz_require(all.good == messages && chosen.good <= messages);
        fuzz_require(findings > 0 || all.damaged_rows + all.damaged_tensors == 0);
        refresh(trace, messages);
        replay(trace, names, selector, selector_number % 2 == 1);
        nauha_selector_free(selector);
        nauha_trace_close(trace);
    } else {
        require_failure(status, &err);
    }
    nauha_names_free(names);
    fuzz_require(H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL) == 0);
}
