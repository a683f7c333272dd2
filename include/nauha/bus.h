/* SPDX-License-Identifier: MIT */
/* The bus: it delivers each message of a topic to the subscribers that have a subscription to that
 * topic. The source of the messages is a trace at replay and the tap of a recorder in a live run.
 *
 * Threads: one at a time; callbacks run in the publishing thread.
 */
#ifndef NAUHA_BUS_H
#define NAUHA_BUS_H

#include "nauha/message.h"
#include "nauha/plot.h"
#include "nauha/stats.h"

#ifdef __cplusplus
extern "C" {
#endif

struct nauha_bus;
struct nauha_subscriber;
struct nauha_subscription;
struct nauha_bundle;

/* ---- topics ---- */

/* Creates a bus on which the built-in kinds are registered as topics. names is borrowed until
 * nauha_bus_free. NULL when out of memory. Caller owns, release with nauha_bus_free. */
NAUHA_API struct nauha_bus *nauha_bus_new(struct nauha_names *names);
NAUHA_API void nauha_bus_free(struct nauha_bus *bus);
NAUHA_API struct nauha_names *nauha_bus_names(const struct nauha_bus *bus);

/* Registers a topic; *kind is the number of the kind that its messages have. plot is copied and may
 * be NULL; a topic that already has a plot keeps it. INVALID: not a name of a kind, or registered
 * with another scope or form. */
NAUHA_API enum nauha_status nauha_bus_register_topic(struct nauha_bus *bus, const char *name,
                                                     enum nauha_scope scope, enum nauha_form form,
                                                     const struct nauha_plot *plot, uint32_t *kind,
                                                     struct nauha_error *err);
NAUHA_API bool nauha_bus_has_topic(const struct nauha_bus *bus, uint32_t kind);
/* The plot given at registration, or NULL. Borrowed until nauha_bus_free. */
NAUHA_API const struct nauha_plot *nauha_bus_plot(const struct nauha_bus *bus, uint32_t kind);

/* ---- subscribers ---- */

/* The callbacks of a subscriber; all but compute may be NULL. A callback that does not return
 * NAUHA_OK makes the call that caused it fail, unless `failed` returns true. */
struct nauha_subscriber_ops {
    /* Receives a bundle: one message for a plain subscription; one message of every kind, in the
     * order of the subscription's kinds, for a synchronized one. The bundle is borrowed for the
     * call. compute may publish. If it fails because elements of a message are damaged, the bus
     * drops the bundle and goes on, unless it is strict: compute must therefore read all elements
     * that it needs before it changes its state. */
    enum nauha_status (*compute)(void *self, struct nauha_bundle *bundle, struct nauha_error *err);
    /* Called when all messages of a step of one rank have been delivered. May publish. */
    enum nauha_status (*step_finished)(void *self, uint64_t global_step, struct nauha_error *err);
    /* Says how many messages of a subscribed kind, of all tags and modules, were published in the
     * training but lost by the recorder, and their bytes. See nauha_bus_tell_lost. kind is borrowed
     * for the call. */
    enum nauha_status (*lost)(void *self, const char *kind, uint64_t messages, uint64_t bytes,
                              struct nauha_error *err);
    /* Called at the end of the run. It may publish, for the last time. */
    enum nauha_status (*finish)(void *self, struct nauha_error *err);
    /* Called when another callback has failed, or when a second message of a kind has come for an
     * open bundle, but not on a strict bus, and not if a trace cannot be read or if a subscriber to
     * what this one publishes has failed. where: such as `step 3, "loss" of the network` or "the
     * end of step 3"; reason: what the callback said. Both are borrowed for the call. True: the
     * subscriber is ended, which means that none of its callbacks is called again, and the call
     * that caused the failure goes on. False, or NULL: that call fails. */
    bool (*failed)(void *self, const char *where, const struct nauha_error *reason);
    void (*free)(void *self);
};

/* self is consumed, also on failure: ops->free releases it. name appears in error messages; it and
 * ops are copied. NULL when out of memory. Caller owns, release with nauha_subscriber_free after
 * nauha_bus_free. */
NAUHA_API struct nauha_subscriber *
nauha_subscriber_new(const char *name, const struct nauha_subscriber_ops *ops, void *self);
/* A subscriber whose compute is the function fn; context is borrowed. */
typedef enum nauha_status (*nauha_bundle_fn)(void *context, struct nauha_bundle *bundle,
                                             struct nauha_error *err);
NAUHA_API struct nauha_subscriber *
nauha_subscriber_from_function(const char *name, nauha_bundle_fn fn, void *context);
NAUHA_API void nauha_subscriber_free(struct nauha_subscriber *subscriber);

/* ---- subscriptions ---- */

/* A subscription to all messages of these kinds that have the tag "default". Strings are copied.
 * NULL when out of memory. Caller owns, release with nauha_subscription_free unless
 * nauha_bus_subscribe has consumed it. */
NAUHA_API struct nauha_subscription *nauha_subscription_new(const char *const *kinds, size_t count);
NAUHA_API void nauha_subscription_free(struct nauha_subscription *subscription);
#define NAUHA_ALL_TAGS "*"
/* Takes messages with this tag, or, if it is NAUHA_ALL_TAGS, with any; those of a bundle have the
 * same tag. INVALID: it is empty. NOMEM. */
NAUHA_API enum nauha_status nauha_subscription_set_tag(struct nauha_subscription *subscription,
                                                       const char *tag, struct nauha_error *err);
/* Takes only messages whose global_step is a multiple of n. INVALID: n is 0. */
NAUHA_API enum nauha_status nauha_subscription_set_every(struct nauha_subscription *subscription,
                                                         uint64_t n, struct nauha_error *err);
/* Takes only every n-th message of each kind and key (tag, module, slot, call, rank), beginning
 * with the first. INVALID: n is 0. */
NAUHA_API enum nauha_status
nauha_subscription_set_subsample(struct nauha_subscription *subscription, uint64_t n,
                                 struct nauha_error *err);
/* Collects the messages of a step that belong together and delivers them as one bundle when every
 * kind is there. They have the same rank, tag and module; whether slot and call must be the same
 * follows from the kinds, see "Bundles" in docs/messages.md. There is a bundle for each
 * combination that agrees. A second message of a kind with the same slot and call before the bundle
 * of the first is complete is an error of the subscriber. A bundle that is still incomplete at the
 * end of the step is dropped and counted; see nauha_bus_set_strict. Open bundles copy live tensors,
 * but only refer to recorded ones. */
NAUHA_API void nauha_subscription_set_synchronized(struct nauha_subscription *subscription,
                                                   bool synchronized);

/* Gives a subscriber (borrowed until nauha_bus_free) a subscription (consumed, also on failure). A
 * subscriber may have several subscriptions. Subscribers to the same topic receive a message in the
 * order of these calls. UNKNOWN: a topic is not registered. INVALID: no topic, one twice, or, if
 * the subscription is synchronized, two whose messages can never belong together, with the reason.
 * STATE: called in a callback, or after nauha_bus_finish. */
NAUHA_API enum nauha_status nauha_bus_subscribe(struct nauha_bus *bus,
                                                struct nauha_subscription *subscription,
                                                struct nauha_subscriber *subscriber,
                                                struct nauha_error *err);

/* ---- publishing ---- */

/* Whether there is a subscription to this kind, with any tag. */
NAUHA_API bool nauha_bus_wants(const struct nauha_bus *bus, uint32_t kind);

/* Whether there is a subscription that takes messages of this kind and tag in this step, regardless
 * of subsampling. */
NAUHA_API bool nauha_bus_takes(const struct nauha_bus *bus, uint32_t kind, uint32_t tag,
                               uint64_t global_step);

/* Delivers a message, whose numbers are those of the bus's names, to every subscription to its kind
 * before it returns. If its rank or global_step differs from that of the message before, the
 * earlier step ends first; batch_finished ends its own step after it has been delivered. UNKNOWN:
 * the topic is not registered. LIMIT: subscribers publish in a cycle. STATE: after
 * nauha_bus_finish. If a callback fails, its code is returned, and err names the subscriber. */
NAUHA_API enum nauha_status nauha_bus_publish(struct nauha_bus *bus, struct nauha_message *message,
                                              struct nauha_error *err);

/* Publishes a scalar (f64, ndim 0) as a message with the step, time, rank and key of `stamps`; for
 * topics of network scope its module is NAUHA_NONE. Its seq counts the messages that were published
 * by this and the next two functions. INVALID: the topic does not hold scalars. */
NAUHA_API enum nauha_status nauha_bus_publish_scalar(struct nauha_bus *bus, uint32_t kind,
                                                     const struct nauha_message_info *stamps,
                                                     double value, struct nauha_error *err);
/* Publishes a tensor as a message with the kind, step, time, rank and key of `stamps`, whose other
 * fields are ignored. tensor is contiguous and borrowed for the call. May be called in a callback.
 * INVALID: the kind is an event, or the tensor is malformed. Else fails as nauha_bus_publish. */
NAUHA_API enum nauha_status nauha_bus_publish_tensor(struct nauha_bus *bus,
                                                     const struct nauha_message_info *stamps,
                                                     const struct nauha_tensor *tensor,
                                                     struct nauha_error *err);
/* Publishes a histogram (f64, [bins, 3]: low edge, high edge, count). edges has bins + 1 ascending
 * values, counts has bins values; both are copied. */
NAUHA_API enum nauha_status nauha_bus_publish_histogram(struct nauha_bus *bus, uint32_t kind,
                                                        const struct nauha_message_info *stamps,
                                                        const double *edges, const uint64_t *counts,
                                                        size_t bins, struct nauha_error *err);

/* Calls `lost` of each subscriber to a kind, once per subscriber: so many messages of the kind, and
 * bytes, are missing in the recording. Call it after the last message and before nauha_bus_finish.
 * If a callback fails, its code is returned, and err names the subscriber. */
NAUHA_API enum nauha_status nauha_bus_tell_lost(struct nauha_bus *bus, uint32_t kind,
                                                uint64_t messages, uint64_t bytes,
                                                struct nauha_error *err);

/* On a strict bus, every failure of a subscriber makes the call that caused it fail. Damaged
 * messages are errors (DAMAGED), and so are incomplete bundles of a key for which messages of every
 * kind have come (SUBSCRIBER). The error is found at the end of the step or, if the missing kind
 * comes for the first time in a later step, then. A module that never has one of the kinds, such as
 * a layer without bias, is no error. But nauha_bus_finish fails if a subscription received messages
 * and none of its bundles was ever complete. */
NAUHA_API void nauha_bus_set_strict(struct nauha_bus *bus, bool strict);

/* The largest recorded tensor, in bytes, that nauha_message_tensor reads: for a larger one it fails
 * with LIMIT, so that memory stays bounded. nauha_message_for_each_piece and the functions built on
 * it read tensors of any size. 0, the default: no limit. */
NAUHA_API void nauha_bus_set_tensor_limit(struct nauha_bus *bus, uint64_t bytes);

/* Ends the run: ends the last step, then calls `finish` of each subscriber, in the order of their
 * first subscriptions. STATE: in a callback, or called before. */
NAUHA_API enum nauha_status nauha_bus_finish(struct nauha_bus *bus, struct nauha_error *err);

/* Calls line once for each remark to the user after a run: how many damaged messages were left out,
 * with the reasons for the first of them; for each subscriber and module the incomplete bundles
 * that were dropped, with the missing kinds and their counts, if messages of every kind came for
 * the key in some step; and subscriptions that received messages but no complete bundle. */
NAUHA_API void nauha_bus_report(const struct nauha_bus *bus,
                                void (*line)(void *context, const char *text), void *context);

/* ---- bundles ---- */

NAUHA_API size_t nauha_bundle_count(const struct nauha_bundle *bundle);
/* Borrowed until the callback returns; NULL past the end. */
NAUHA_API struct nauha_message *nauha_bundle_message(struct nauha_bundle *bundle, size_t position);

/* All statistics of a message's tensor, computed piece by piece, at most once per message however
 * many subscribers ask. Borrowed until the message ends. Fails as nauha_message_for_each_piece. */
NAUHA_API enum nauha_status nauha_message_stats(struct nauha_message *message,
                                                const struct nauha_stats **stats,
                                                struct nauha_error *err);

/* The same for the groups in `which`, a set of enum nauha_statistics; the other fields, except
 * count, are unspecified. The bus remembers which groups subscribers ask for of each kind, so that
 * one pass over the elements computes them all. */
NAUHA_API enum nauha_status nauha_message_stats_of(struct nauha_message *message, unsigned which,
                                                   const struct nauha_stats **stats,
                                                   struct nauha_error *err);

/* The sum of |x|^p over the elements, p > 0, computed piece by piece. Fails as
 * nauha_message_for_each_piece. */
NAUHA_API enum nauha_status nauha_message_sum_powers(struct nauha_message *message, double p,
                                                     double *sum, struct nauha_error *err);

#ifdef __cplusplus
}
#endif
#endif
