/* SPDX-License-Identifier: MIT */
/* The bus: topics, the subscriptions to them and the subscribers behind those. The same bus runs
 * live, behind a recorder's tap, and at replay, behind a trace.
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

/* The built-in kinds are registered on a new bus. names is borrowed until nauha_bus_free. NULL
 * when out of memory. Caller owns, release with nauha_bus_free. */
NAUHA_API struct nauha_bus *nauha_bus_new(struct nauha_names *names);
NAUHA_API void nauha_bus_free(struct nauha_bus *bus);
NAUHA_API struct nauha_names *nauha_bus_names(const struct nauha_bus *bus);

/* Registers a topic by name; the number is the kind of its messages. plot is copied and may be
 * NULL. INVALID: a bad name, or one registered already with another scope or form. */
NAUHA_API enum nauha_status nauha_bus_register_topic(struct nauha_bus *bus, const char *name,
                                                     enum nauha_scope scope, enum nauha_form form,
                                                     const struct nauha_plot *plot, uint32_t *kind,
                                                     struct nauha_error *err);
NAUHA_API bool nauha_bus_has_topic(const struct nauha_bus *bus, uint32_t kind);
/* The plot configuration given at registration; NULL where there is none. Borrowed. */
NAUHA_API const struct nauha_plot *nauha_bus_plot(const struct nauha_bus *bus, uint32_t kind);

/* ---- subscribers ---- */

/* What a subscriber does. Each callback may be NULL except compute; all return NAUHA_OK or fail
 * the publication that caused them. */
struct nauha_subscriber_ops {
    /* One bundle: a single message for a plain subscription, all kinds in the order asked for a
     * synchronized one. Borrowed for the call. May publish. Where it fails because a message's
     * elements are damaged, the run goes on as if the bundle had not come, unless the bus is
     * strict: so a subscriber asks for all elements before it changes its state. */
    enum nauha_status (*compute)(void *self, struct nauha_bundle *bundle, struct nauha_error *err);
    /* The last message of a step (of one rank) has been delivered. May publish. */
    enum nauha_status (*step_finished)(void *self, uint64_t global_step, struct nauha_error *err);
    /* So many messages of a kind it subscribes to, of any tag and module, were published in the
     * training and not recorded: see nauha_bus_tell_lost. kind is borrowed for the call. */
    enum nauha_status (*lost)(void *self, const char *kind, uint64_t messages, uint64_t bytes,
                              struct nauha_error *err);
    /* The run has ended: the last chance to publish. */
    enum nauha_status (*finish)(void *self, struct nauha_error *err);
    void (*free)(void *self);
};

/* self is consumed, also on failure. name is for error messages; copied. NULL when out of
 * memory. Caller owns, release with nauha_subscriber_free after the bus. */
NAUHA_API struct nauha_subscriber *
nauha_subscriber_new(const char *name, const struct nauha_subscriber_ops *ops, void *self);
/* The callback subscriber: each bundle goes to a function of the user's. */
typedef enum nauha_status (*nauha_bundle_fn)(void *context, struct nauha_bundle *bundle,
                                             struct nauha_error *err);
NAUHA_API struct nauha_subscriber *
nauha_subscriber_from_function(const char *name, nauha_bundle_fn fn, void *context);
NAUHA_API void nauha_subscriber_free(struct nauha_subscriber *subscriber);

/* ---- subscriptions ---- */

/* To the kinds of these names, with the tag "default" and every message. Strings are copied.
 * NULL when out of memory. Caller owns until it is handed to a bus. */
NAUHA_API struct nauha_subscription *nauha_subscription_new(const char *const *kinds, size_t count);
NAUHA_API void nauha_subscription_free(struct nauha_subscription *subscription);
NAUHA_API enum nauha_status nauha_subscription_set_tag(struct nauha_subscription *subscription,
                                                       const char *tag, struct nauha_error *err);
/* Only messages of steps whose number is a multiple of n; n >= 1. */
NAUHA_API enum nauha_status nauha_subscription_set_every(struct nauha_subscription *subscription,
                                                         uint64_t n, struct nauha_error *err);
/* Only every n-th message of each key (tag, module, slot, call, rank) and kind, from the first;
 * n >= 1. */
NAUHA_API enum nauha_status
nauha_subscription_set_subsample(struct nauha_subscription *subscription, uint64_t n,
                                 struct nauha_error *err);
/* Collects the messages of one step per key until every kind has come and releases them as one
 * bundle. A second message of a kind for an open bundle is an error; a bundle incomplete when
 * the step ends is dropped and counted, or an error on a strict bus. Open bundles keep a copy of
 * live tensors and only a reference to recorded ones. */
NAUHA_API void nauha_subscription_set_synchronized(struct nauha_subscription *subscription,
                                                   bool synchronized);

/* Joins a subscription (consumed, also on failure) and a subscriber (borrowed until
 * nauha_bus_free). A subscriber may have several. UNKNOWN: a topic that is not registered,
 * naming it. Subscribers to one topic are served in the order of these calls. */
NAUHA_API enum nauha_status nauha_bus_subscribe(struct nauha_bus *bus,
                                                struct nauha_subscription *subscription,
                                                struct nauha_subscriber *subscriber,
                                                struct nauha_error *err);

/* ---- publishing ---- */

/* Whether any subscription takes this kind (with any tag). */
NAUHA_API bool nauha_bus_wants(const struct nauha_bus *bus, uint32_t kind);

/* Whether any subscription takes messages of this kind and tag in this step, but for its
 * subsampling. */
NAUHA_API bool nauha_bus_takes(const struct nauha_bus *bus, uint32_t kind, uint32_t tag,
                               uint64_t global_step);

/* Delivers a message, whose numbers are those of the bus's names, to every subscription at once
 * and in order. A message of another (rank, global_step) than the one before ends that step;
 * batch_finished ends its own after delivery. UNKNOWN: topic not registered, naming it.
 * SUBSCRIBER or another code: from the first callback that failed, naming the subscriber. */
NAUHA_API enum nauha_status nauha_bus_publish(struct nauha_bus *bus, struct nauha_message *message,
                                              struct nauha_error *err);

/* What a subscriber publishes, with the stamps and the key of `stamps` (module NONE for topics of
 * network scope). seq counts the messages that this bus's subscribers published. */
NAUHA_API enum nauha_status nauha_bus_publish_scalar(struct nauha_bus *bus, uint32_t kind,
                                                     const struct nauha_message_info *stamps,
                                                     double value, struct nauha_error *err);
/* A message of the caller's own making: kind, tag, module, slot, call and stamps as `stamps` has
 * them, whose other fields are ignored; the tensor, contiguous, is borrowed for the call. For
 * sources that are subscribers, in a callback; else as nauha_bus_publish. INVALID: an event's
 * kind, or a tensor that is malformed. */
NAUHA_API enum nauha_status nauha_bus_publish_tensor(struct nauha_bus *bus,
                                                     const struct nauha_message_info *stamps,
                                                     const struct nauha_tensor *tensor,
                                                     struct nauha_error *err);
/* edges: bins + 1 ascending values; counts: bins. Copied. */
NAUHA_API enum nauha_status nauha_bus_publish_histogram(struct nauha_bus *bus, uint32_t kind,
                                                        const struct nauha_message_info *stamps,
                                                        const double *edges, const uint64_t *counts,
                                                        size_t bins, struct nauha_error *err);

/* Tells each subscriber to a kind, once, what is missing of it in the recording that was published
 * here, before nauha_bus_finish. From the first callback that failed, naming the subscriber. */
NAUHA_API enum nauha_status nauha_bus_tell_lost(struct nauha_bus *bus, uint32_t kind,
                                                uint64_t messages, uint64_t bytes,
                                                struct nauha_error *err);

/* Makes damaged messages an error (DAMAGED), and incomplete bundles (SUBSCRIBER): where messages of
 * every kind have come for the key, so that the bundle could have been complete. That is known at
 * the end of its step, or when the kind that was missing comes for the first time, in a later step.
 * A module that never has one of the kinds (no bias) lacks nothing; but a subscription to which
 * messages came and of which no bundle was ever complete fails nauha_bus_finish. */
NAUHA_API void nauha_bus_set_strict(struct nauha_bus *bus, bool strict);

/* The largest recorded tensor, in bytes, that subscribers may have in one piece:
 * nauha_message_tensor of a larger one fails with LIMIT, so that memory stays bounded;
 * nauha_message_for_each_piece and what is built on it take any size. 0, the default: no limit. */
NAUHA_API void nauha_bus_set_tensor_limit(struct nauha_bus *bus, uint64_t bytes);

/* Ends the run: the last step, then each subscriber's finish in order of their first
 * subscription. */
NAUHA_API enum nauha_status nauha_bus_finish(struct nauha_bus *bus, struct nauha_error *err);

/* Calls line once for each thing the user should know after a run: how many messages were left out
 * because they are damaged, the first of them and why; for each subscriber and module
 * the bundles dropped because they were incomplete, with the kinds that were missing and how often,
 * where messages of every kind came for the key in some step; and subscriptions to which messages
 * came and of which no bundle was ever complete. */
NAUHA_API void nauha_bus_report(const struct nauha_bus *bus,
                                void (*line)(void *context, const char *text), void *context);

/* ---- bundles ---- */

NAUHA_API size_t nauha_bundle_count(const struct nauha_bundle *bundle);
/* Borrowed until the callback returns; NULL past the end. */
NAUHA_API struct nauha_message *nauha_bundle_message(struct nauha_bundle *bundle, size_t position);

/* Statistics of a message's tensor, computed at most once per message however many subscribers
 * ask, piece by piece. Borrowed until the message ends. Fails as nauha_message_for_each_piece does.
 */
NAUHA_API enum nauha_status nauha_message_stats(struct nauha_message *message,
                                                const struct nauha_stats **stats,
                                                struct nauha_error *err);

/* Only those that are asked for: `which` is of enum nauha_statistics; of the other fields only
 * `count` is certain to be set. One pass computes what several subscribers ask for, once a bus has
 * seen what they ask of messages of a kind. */
NAUHA_API enum nauha_status nauha_message_stats_of(struct nauha_message *message, unsigned which,
                                                   const struct nauha_stats **stats,
                                                   struct nauha_error *err);

/* As nauha_stats_sum_powers, of a message's tensor piece by piece. Fails as
 * nauha_message_for_each_piece does. */
NAUHA_API enum nauha_status nauha_message_sum_powers(struct nauha_message *message, double p,
                                                     double *sum, struct nauha_error *err);

#ifdef __cplusplus
}
#endif
#endif
