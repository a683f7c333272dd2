/* SPDX-License-Identifier: MIT */
/* Subscribers: the callbacks behind subscriptions, and errors that name the subscriber.
 *
 * Threads: one at a time per bus.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "replay/bus/parts.h"

struct nauha_subscriber *nauha_subscriber_new(const char *name,
                                              const struct nauha_subscriber_ops *ops, void *self) {
    struct nauha_subscriber *subscriber = calloc(1, sizeof *subscriber);
    if (!subscriber || !(subscriber->name = strdup(name))) {
        free(subscriber);
        if (ops->free)
            ops->free(self);
        return NULL;
    }
    subscriber->ops = *ops;
    subscriber->self = self;
    return subscriber;
}

struct nauha_subscriber *nauha_subscriber_from_function(const char *name, nauha_bundle_fn fn,
                                                        void *context) {
    static const struct nauha_subscriber_ops none = {.compute = NULL};
    struct nauha_subscriber *subscriber = nauha_subscriber_new(name, &none, context);
    if (subscriber)
        subscriber->fn = fn;
    return subscriber;
}

void nauha_subscriber_free(struct nauha_subscriber *subscriber) {
    if (!subscriber)
        return;
    if (subscriber->ops.free)
        subscriber->ops.free(subscriber->self);
    free(subscriber->name);
    free(subscriber);
}

/* A callback may fail without a word, or with NAUHA_END, which would read as the end of a trace. */
static enum nauha_status failed(const struct nauha_subscriber *subscriber, enum nauha_status status,
                                const struct nauha_error *own, struct nauha_error *err) {
    if (status == NAUHA_END)
        status = NAUHA_SUBSCRIBER;
    if (!own->message[0])
        return nauha_error_set(err, status, "subscriber \"%s\": %s", subscriber->name,
                               nauha_status_text(status));
    nauha_error_set(err, status, "%s", own->message);
    if (err)
        err->saved_errno = own->saved_errno;
    nauha_error_wrap(err, status, "subscriber \"%s\"", subscriber->name);
    return status;
}

/* The callback's own error context: without the cost of clearing its text for every message. */
static void prepare(struct nauha_error *own) {
    own->code = NAUHA_OK;
    own->saved_errno = 0;
    own->message[0] = '\0';
}

enum nauha_status nauha__subscriber_compute(struct nauha_subscriber *subscriber,
                                            struct nauha_bundle *bundle, struct nauha_error *err) {
    struct nauha_error own;
    prepare(&own);
    enum nauha_status status = subscriber->fn
                                   ? subscriber->fn(subscriber->self, bundle, &own)
                                   : subscriber->ops.compute(subscriber->self, bundle, &own);
    return status == NAUHA_OK ? NAUHA_OK : failed(subscriber, status, &own, err);
}

enum nauha_status nauha__subscriber_step_finished(struct nauha_subscriber *subscriber,
                                                  uint64_t global_step, struct nauha_error *err) {
    if (!subscriber->ops.step_finished)
        return NAUHA_OK;
    struct nauha_error own;
    prepare(&own);
    enum nauha_status status = subscriber->ops.step_finished(subscriber->self, global_step, &own);
    if (status == NAUHA_OK)
        return NAUHA_OK;
    failed(subscriber, status, &own, err);
    return nauha_error_wrap(err, status == NAUHA_END ? NAUHA_SUBSCRIBER : status,
                            "end of step %" PRIu64, global_step);
}

enum nauha_status nauha__subscriber_lost(struct nauha_subscriber *subscriber, const char *kind,
                                         uint64_t messages, uint64_t bytes,
                                         struct nauha_error *err) {
    if (!subscriber->ops.lost)
        return NAUHA_OK;
    struct nauha_error own;
    prepare(&own);
    enum nauha_status status = subscriber->ops.lost(subscriber->self, kind, messages, bytes, &own);
    return status == NAUHA_OK ? NAUHA_OK : failed(subscriber, status, &own, err);
}

enum nauha_status nauha__subscriber_finish(struct nauha_subscriber *subscriber,
                                           struct nauha_error *err) {
    if (!subscriber->ops.finish)
        return NAUHA_OK;
    struct nauha_error own;
    prepare(&own);
    enum nauha_status status = subscriber->ops.finish(subscriber->self, &own);
    return status == NAUHA_OK ? NAUHA_OK : failed(subscriber, status, &own, err);
}
