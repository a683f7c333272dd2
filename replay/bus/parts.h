/* SPDX-License-Identifier: MIT */
/* What a bus consists of: topics, subscriptions with a state per key, and bundles.
 *
 * Threads: one at a time per bus.
 */
#ifndef NAUHA_REPLAY_BUS_PARTS_H
#define NAUHA_REPLAY_BUS_PARTS_H

#include "nauha/bus.h"
#include "nauha/internal/message.h"

/* The tables of the bus do without memory they cannot get, and say so. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

/* Publications inside one another; more is a topic that feeds on itself. */
#define NAUHA__BUS_DEPTH_MAX 32u

/* ---- bundles ---- */

/* A message that open bundles wait with. While it is being delivered it is the publisher's own
 * (`origin`); it is kept only if a bundle is still open behind that. Shared by all bundles of a
 * bus that hold it, and so are its statistics. */
struct nauha__kept {
    struct nauha_message *origin; /* NULL after the delivery: `message` counts */
    struct nauha_message message;
    uint32_t holders;         /* bundles, and the delivery */
    uint32_t readers;         /* bundles in a subscriber's hands */
    struct nauha__kept *next; /* in the pool */
};

struct nauha_bundle {
    struct nauha_message **messages; /* in the order asked for */
    size_t count;
    struct nauha__kept **kept; /* by position, NULL while missing; itself NULL: a plain bundle */
    size_t present;
    struct nauha__key *key;
    struct nauha_bundle *prev, *next; /* in the list of open bundles or in the pool */
};

/* What bundles are made of; both lists hold what is free. */
struct nauha__bundle_pool {
    struct nauha__kept *kept;
};

/* A place for the message that is being delivered; NULL when out of memory. */
struct nauha__kept *nauha__kept_new(struct nauha__bundle_pool *pool, struct nauha_message *origin);
/* The delivery ends: what nobody holds goes back, the rest is made to last. NOMEM. */
enum nauha_status nauha__kept_settle(struct nauha__bundle_pool *pool, struct nauha__kept *kept,
                                     struct nauha_error *err);
void nauha__bundle_pool_fini(struct nauha__bundle_pool *pool);

/* An empty bundle of `count` kinds, from the list of free ones or new; NULL when out of memory. */
struct nauha_bundle *nauha__bundle_new(struct nauha_bundle **free_list, size_t count);
void nauha__bundle_hold(struct nauha_bundle *bundle, size_t position, struct nauha__kept *kept);
/* A complete bundle goes into a subscriber's hands and comes back. */
void nauha__bundle_lend(struct nauha_bundle *bundle);
/* Lets go of the messages and puts the bundle into the list of free ones. */
void nauha__bundle_release(struct nauha__bundle_pool *pool, struct nauha_bundle **free_list,
                           struct nauha_bundle *bundle, bool lent);
void nauha__bundle_free_list(struct nauha_bundle *free_list);

/* ---- subscriptions ---- */

/* What tells the messages of a subscription apart; its tag is always the same. */
struct nauha__key_id {
    uint32_t module, slot, call, rank;
};

/* A key lives as long as the subscription: subsampling counts on over the steps. */
struct nauha__key {
    struct nauha__key_id id;
    struct nauha_bundle *open; /* NULL: none */
    uint64_t completed;
    uint64_t dropped;       /* bundles that were incomplete when their step ended */
    uint64_t first_dropped; /* step of the first */
    UT_hash_handle hh;
    struct nauha__key_kind {
        uint64_t came;    /* messages, before subsampling */
        uint64_t missing; /* dropped bundles that lacked this kind */
    } kinds[];            /* by position */
};

struct nauha_subscription {
    char **kinds;
    size_t count;
    char *tag;
    uint64_t subsample, every;
    bool synchronized;
    /* from here on: set by nauha_bus_subscribe */
    struct nauha_subscriber *subscriber;
    uint32_t tag_id;
    struct nauha__key *keys;
    struct nauha_bundle *open, *free;
};

/* Hands a message, which is the kind at `position`, to the subscriber, counts it, or puts it into
 * a bundle. *kept is shared by the subscriptions that one message goes through; NULL at first. */
enum nauha_status nauha__subscription_take(struct nauha_bus *bus,
                                           struct nauha_subscription *subscription, size_t position,
                                           struct nauha_message *message, struct nauha__kept **kept,
                                           struct nauha_error *err);
/* The step is over: drops and counts open bundles. strict: fails for the first that could have
 * been complete. */
enum nauha_status nauha__subscription_end_step(struct nauha_bus *bus,
                                               struct nauha_subscription *subscription,
                                               struct nauha_error *err);
/* strict: SUBSCRIBER where messages came and no bundle was ever complete. */
enum nauha_status nauha__subscription_finish(const struct nauha_bus *bus,
                                             const struct nauha_subscription *subscription,
                                             struct nauha_error *err);
void nauha__subscription_report(const struct nauha_subscription *subscription,
                                const struct nauha_names *names,
                                void (*line)(void *context, const char *text), void *context);
/* Forgets open bundles without a word. */
void nauha__subscription_abandon(struct nauha_bus *bus, struct nauha_subscription *subscription);
/* Frees what the bus gave it; the pool is still there. */
void nauha__subscription_detach(struct nauha_bus *bus, struct nauha_subscription *subscription);

/* ---- subscribers ---- */

struct nauha_subscriber {
    char *name;
    struct nauha_subscriber_ops ops;
    void *self;
    nauha_bundle_fn fn; /* of a callback subscriber; self is then its context */
};

/* The callbacks, with errors that name the subscriber. */
enum nauha_status nauha__subscriber_compute(struct nauha_subscriber *subscriber,
                                            struct nauha_bundle *bundle, struct nauha_error *err);
enum nauha_status nauha__subscriber_step_finished(struct nauha_subscriber *subscriber,
                                                  uint64_t global_step, struct nauha_error *err);
enum nauha_status nauha__subscriber_lost(struct nauha_subscriber *subscriber, const char *kind,
                                         uint64_t messages, uint64_t bytes,
                                         struct nauha_error *err);
enum nauha_status nauha__subscriber_finish(struct nauha_subscriber *subscriber,
                                           struct nauha_error *err);

/* ---- delivery ---- */

/* Hands a bundle to a subscriber. Where that fails for a damaged message, the bundle is left out
 * and the message noted, unless the bus is strict. */
enum nauha_status nauha__bus_deliver(struct nauha_bus *bus, struct nauha_subscriber *subscriber,
                                     struct nauha_bundle *bundle, struct nauha_error *err);
/* Takes note of a message without delivering it: it may end a step, as at nauha_bus_publish. */
enum nauha_status nauha__bus_pass(struct nauha_bus *bus, const struct nauha_message_info *info,
                                  struct nauha_error *err);

/* ---- damage ---- */

#define NAUHA__DAMAGE_SHOWN 5u

/* What was left out of a run because it is damaged. */
struct nauha__damage {
    uint64_t messages;
    char *shown[NAUHA__DAMAGE_SHOWN]; /* the first of them */
};

/* Once for each message, however many subscribers it fails. failure: what the first of them says.
 */
void nauha__damage_note_message(struct nauha__damage *damage, struct nauha_message *message,
                                const char *failure);
/* A message, or row of an index, that never came as far as a subscription. False, with nothing
 * noted, on a strict bus. */
bool nauha__bus_leave_out(struct nauha_bus *bus, const char *reason);
void nauha__damage_report(const struct nauha__damage *damage,
                          void (*line)(void *context, const char *text), void *context);
void nauha__damage_fini(struct nauha__damage *damage);

/* ---- the bus ---- */

struct nauha__taker {
    struct nauha_subscription *subscription;
    size_t position; /* of the topic among the subscription's kinds */
};

/* By kind; a kind that is not registered has registered == false. */
struct nauha__topic {
    bool registered;
    struct nauha_plot *plot;
    struct nauha__taker *takers;
    size_t taker_count, taker_capacity;
    struct nauha__use use; /* statistics of any message, readings of the last */
};

struct nauha_bus {
    struct nauha_names *names;
    struct nauha__topic *topics;
    size_t topic_count;
    struct nauha_subscription **subscriptions;
    size_t subscription_count, subscription_capacity;
    struct nauha_subscriber **subscribers; /* in order of their first subscription */
    size_t subscriber_count, subscriber_capacity;
    struct nauha__bundle_pool pool;
    struct nauha__damage damage;
    double *scratch; /* a histogram's elements; NULL while in use */
    size_t scratch_size;
    uint64_t published; /* by subscribers */
    uint64_t tensor_limit;
    uint64_t global_step;
    uint32_t rank;
    bool in_step;
    bool strict;
    bool finished;
    unsigned depth;
};

#endif
