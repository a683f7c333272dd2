/* SPDX-License-Identifier: MIT */
/* Messages made by hand, and a subscriber that writes down what it gets. */
#ifndef NAUHA_TESTS_BUS_FIXTURE_H
#define NAUHA_TESTS_BUS_FIXTURE_H

#include "tests/unit/unit.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nauha/bus.h"
#include "nauha/internal/message.h"

#define SHAPE(...) ((const int64_t[]){__VA_ARGS__})

static struct nauha_error err;

static inline void ok(enum nauha_status status) {
    if (status != NAUHA_OK)
        fail_msg("%s", err.message);
}

/* The code and the whole text. */
static inline void refused(enum nauha_status status, enum nauha_status code, const char *text) {
    assert_int_equal(status, code);
    assert_int_equal(err.code, code);
    assert_string_equal(err.message, text);
}

/* ---- messages ---- */

/* The stamps of a message; module NULL: of the network. */
static inline struct nauha_message_info stamps_of(struct nauha_names *names, uint32_t kind,
                                                  const char *module, uint64_t step) {
    struct nauha_message_info info = {.time_ns = 1000 * step,
                                      .global_step = step,
                                      .train_step = (uint32_t)step,
                                      .kind = kind,
                                      .module = NAUHA_NONE};
    if (module)
        ok(nauha_names_add_module(names, module, "Linear", &info.module, &err));
    nauha__message_resolve(&info, names, NAUHA_NONE);
    return info;
}

/* A live message: its elements and its shape are the caller's memory. */
static inline struct nauha_message message_of(struct nauha_message_info stamps,
                                              enum nauha_dtype dtype, uint32_t ndim,
                                              const int64_t *shape, const void *data) {
    struct nauha_message message = {.info = stamps, .data = data};
    message.info.has_tensor = true;
    message.info.dtype = dtype;
    message.info.ndim = ndim;
    message.info.shape = shape;
    message.info.bytes = nauha_dtype_size(dtype);
    for (uint32_t d = 0; d < ndim; d++)
        message.info.bytes *= (uint64_t)shape[d];
    return message;
}

static inline enum nauha_status try_publish(struct nauha_bus *bus, struct nauha_message message) {
    enum nauha_status status = nauha_bus_publish(bus, &message, &err);
    nauha__message_fini(&message);
    return status;
}

/* One float. */
static inline enum nauha_status try_send(struct nauha_bus *bus, uint32_t kind, const char *module,
                                         uint64_t step, float value) {
    static const int64_t one[] = {1};
    return try_publish(bus, message_of(stamps_of(nauha_bus_names(bus), kind, module, step),
                                       NAUHA_DTYPE_F32, 1, one, &value));
}

static inline void send(struct nauha_bus *bus, uint32_t kind, const char *module, uint64_t step,
                        float value) {
    ok(try_send(bus, kind, module, step, value));
}

static inline void send_event(struct nauha_bus *bus, uint32_t kind, uint64_t step) {
    ok(try_publish(
        bus, (struct nauha_message){.info = stamps_of(nauha_bus_names(bus), kind, NULL, step)}));
}

/* ---- a subscriber ---- */

/* Writes "kind:module=value", with commas inside a bundle, " |STEP" for the end of a step and
 * " $" for that of the run. */
struct diary {
    char text[8192];
    struct nauha_bus *bus;
    uint32_t publishes; /* the first value again on this topic; NONE: nothing */
    enum nauha_status fails;
    const char *fails_with;
};

static inline void note(struct diary *diary, const char *text) {
    assert_true(strlen(diary->text) + strlen(text) < sizeof diary->text);
    strcat(diary->text, text);
}

static inline enum nauha_status diary_compute(void *self, struct nauha_bundle *bundle,
                                              struct nauha_error *error) {
    struct diary *diary = self;
    double value = 0, first = 0;
    for (size_t i = 0; i < nauha_bundle_count(bundle); i++) {
        struct nauha_message *message = nauha_bundle_message(bundle, i);
        const struct nauha_message_info *info = nauha_message_info(message);
        struct nauha_tensor tensor;
        char text[512];
        value = 0;
        if (info->has_tensor) {
            ok(nauha_message_tensor(message, &tensor, &err));
            nauha_tensor_to_f64(&tensor, 0, 1, &value);
        }
        first = i == 0 ? value : first;
        snprintf(text, sizeof text, "%s%s:%s=%g", i > 0 ? "," : " ", info->kind_name,
                 info->module_name, value);
        note(diary, text);
    }
    assert_null(nauha_bundle_message(bundle, nauha_bundle_count(bundle)));
    if (diary->fails != NAUHA_OK)
        return diary->fails_with ? nauha_error_set(error, diary->fails, "%s", diary->fails_with)
                                 : diary->fails;
    if (diary->publishes == NAUHA_NONE)
        return NAUHA_OK;
    return nauha_bus_publish_scalar(diary->bus, diary->publishes,
                                    nauha_message_info(nauha_bundle_message(bundle, 0)), first,
                                    error);
}

static inline enum nauha_status diary_step_finished(void *self, uint64_t step,
                                                    struct nauha_error *error) {
    char text[32];
    (void)error;
    snprintf(text, sizeof text, " |%" PRIu64, step);
    note(self, text);
    return NAUHA_OK;
}

static inline enum nauha_status diary_finish(void *self, struct nauha_error *error) {
    (void)error;
    note(self, " $");
    return NAUHA_OK;
}

static const struct nauha_subscriber_ops diary_ops = {
    .compute = diary_compute, .step_finished = diary_step_finished, .finish = diary_finish};

static inline struct nauha_subscriber *diary_new(const char *name, struct diary *diary,
                                                 struct nauha_bus *bus) {
    *diary = (struct diary){.bus = bus, .publishes = NAUHA_NONE};
    struct nauha_subscriber *subscriber = nauha_subscriber_new(name, &diary_ops, diary);
    assert_non_null(subscriber);
    return subscriber;
}

/* Kinds with spaces between them. */
static inline struct nauha_subscription *subscription_to(const char *kinds) {
    const char *list[8];
    size_t count = 0;
    char text[256];
    snprintf(text, sizeof text, "%s", kinds);
    for (char *word = strtok(text, " "); word; word = strtok(NULL, " "))
        list[count++] = word;
    struct nauha_subscription *subscription = nauha_subscription_new(list, count);
    assert_non_null(subscription);
    return subscription;
}

static inline void collect_line(void *context, const char *text) {
    strcat(context, text);
    strcat(context, "\n");
}

static inline const char *report_of(const struct nauha_bus *bus) {
    static char text[8192];
    text[0] = '\0';
    nauha_bus_report(bus, collect_line, text);
    return text;
}

#endif
