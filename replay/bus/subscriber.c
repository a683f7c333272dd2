/* SPDX-License-Identifier: MIT */
/* Subscribers: the callbacks behind subscriptions, and what becomes of their failures.
 *
 * Threads: one at a time per bus.
 */
#include <inttypes.h>
#include <stdio.h>
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

/* ---- callbacks ---- */

/* The callback's own error context: without the cost of clearing its text for every message. */
static void prepare(struct nauha_error *own) {
    own->code = NAUHA_OK;
    own->saved_errno = 0;
    own->message[0] = '\0';
}

/* A callback may fail without a word, or with NAUHA_END, which would read as the end of a trace. */
static enum nauha_status outcome(enum nauha_status status, struct nauha_error *own) {
    if (status == NAUHA_END)
        status = NAUHA_SUBSCRIBER;
    if (status != NAUHA_OK) {
        own->code = status;
        if (!own->message[0])
            nauha_error_set(own, status, "%s", nauha_status_text(status));
    }
    return status;
}

enum nauha_status nauha__subscriber_compute(struct nauha_subscriber *subscriber,
                                            struct nauha_bundle *bundle, struct nauha_error *err) {
    prepare(err);
    return outcome(subscriber->fn ? subscriber->fn(subscriber->self, bundle, err)
                                  : subscriber->ops.compute(subscriber->self, bundle, err),
                   err);
}

enum nauha_status nauha__subscriber_step_finished(struct nauha_bus *bus,
                                                  struct nauha_subscriber *subscriber,
                                                  uint64_t global_step, struct nauha_error *err) {
    if (!subscriber->ops.step_finished || subscriber->ended)
        return NAUHA_OK;
    struct nauha_error own;
    char where[48];
    prepare(&own);
    enum nauha_status status =
        outcome(subscriber->ops.step_finished(subscriber->self, global_step, &own), &own);
    if (status == NAUHA_OK)
        return NAUHA_OK;
    snprintf(where, sizeof where, "the end of step %" PRIu64, global_step);
    status = nauha__subscriber_fail(bus, subscriber, where, status, &own, err);
    return status == NAUHA_OK ? NAUHA_OK
                              : nauha_error_wrap(err, status, "end of step %" PRIu64, global_step);
}

enum nauha_status nauha__subscriber_lost(struct nauha_bus *bus, struct nauha_subscriber *subscriber,
                                         const char *kind, uint64_t messages, uint64_t bytes,
                                         struct nauha_error *err) {
    if (!subscriber->ops.lost || subscriber->ended)
        return NAUHA_OK;
    struct nauha_error own;
    char where[NAUHA_NAME_MAX + 32];
    prepare(&own);
    enum nauha_status status =
        outcome(subscriber->ops.lost(subscriber->self, kind, messages, bytes, &own), &own);
    if (status == NAUHA_OK)
        return NAUHA_OK;
    snprintf(where, sizeof where, "the losses of \"%s\"", kind);
    return nauha__subscriber_fail(bus, subscriber, where, status, &own, err);
}

enum nauha_status nauha__subscriber_finish(struct nauha_bus *bus,
                                           struct nauha_subscriber *subscriber,
                                           struct nauha_error *err) {
    if (!subscriber->ops.finish || subscriber->ended)
        return NAUHA_OK;
    struct nauha_error own;
    prepare(&own);
    enum nauha_status status = outcome(subscriber->ops.finish(subscriber->self, &own), &own);
    return status == NAUHA_OK
               ? NAUHA_OK
               : nauha__subscriber_fail(bus, subscriber, "the end of the run", status, &own, err);
}

/* ---- failures ---- */

static void end(struct nauha_bus *bus, struct nauha_subscriber *subscriber) {
    subscriber->ended = true;
    for (size_t i = 0; i < bus->subscription_count; i++) {
        if (bus->subscriptions[i]->subscriber == subscriber)
            nauha__subscription_abandon(bus, bus->subscriptions[i]);
    }
}

/* A subscriber that calls itself by what it publishes may fail again on the way back. */
enum nauha_status nauha__subscriber_fail(struct nauha_bus *bus, struct nauha_subscriber *subscriber,
                                         const char *where, enum nauha_status status,
                                         const struct nauha_error *reason,
                                         struct nauha_error *err) {
    if (!bus->strict && !bus->failed && subscriber->ops.failed &&
        (subscriber->ended || subscriber->ops.failed(subscriber->self, where, reason))) {
        end(bus, subscriber);
        return NAUHA_OK;
    }
    bus->failed = true;
    nauha_error_set(err, status, "%s", reason->message);
    if (err)
        err->saved_errno = reason->saved_errno;
    nauha_error_wrap(err, status, "subscriber \"%s\"", subscriber->name);
    return status;
}

enum nauha_status
nauha__subscriber_fail_at(struct nauha_bus *bus, struct nauha_subscriber *subscriber,
                          const struct nauha_message_info *info, enum nauha_status status,
                          const struct nauha_error *reason, struct nauha_error *err) {
    char where[NAUHA_NAME_MAX + NAUHA_MODULE_NAME_MAX + 64];
    if (info->module == NAUHA_NONE)
        snprintf(where, sizeof where, "step %" PRIu64 ", \"%s\" of the network", info->global_step,
                 info->kind_name);
    else
        snprintf(where, sizeof where, "step %" PRIu64 ", \"%s\" of module \"%s\"",
                 info->global_step, info->kind_name, info->module_name);
    return nauha__subscriber_fail(bus, subscriber, where, status, reason, err);
}
