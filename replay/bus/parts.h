/* SPDX-License-Identifier: MIT */
/* The internals of a bus: topics, subscriptions with a state for each key, and bundles.
 *
 * Threads: one at a time per bus.
 */
#ifndef NAUHA_REPLAY_BUS_PARTS_H
#define NAUHA_REPLAY_BUS_PARTS_H

#include "nauha/bus.h"
#include "nauha/internal/message.h"

/* If memory for an entry of a hash table cannot be had, the bus fails with NOMEM instead of
 * exiting. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

/* How deep publications may be nested; beyond that, a topic feeds on itself. */
#define NAUHA__BUS_DEPTH_MAX 32u

/* ---- bundles ---- */

/* A message that open bundles hold. While it is being delivered, it is the publisher's own
 * (`origin`); it is copied only if a bundle is still open afterwards. All bundles of a bus that
 * hold the message share this, and with it the message's statistics. */
struct nauha__kept {
    struct nauha_message *origin; /* NULL after the delivery: use `message` */
    struct nauha_message message;
    uint32_t holders;         /* bundles that hold it, and the delivery */
    uint32_t readers;         /* bundles that a subscriber is reading */
    struct nauha__kept *next; /* in the pool */
};

struct nauha_bundle {
    struct nauha_message **messages; /* in the order asked for */
    size_t count;
    struct nauha__kept **kept; /* by position, NULL while missing; kept is NULL for one message */
    size_t present;
    struct nauha__key *key;
    struct nauha_bundle *prev, *next; /* in the list of open bundles or in the pool */
};

/* The free list of what bundles hold. */
struct nauha__bundle_pool {
    struct nauha__kept *kept;
};

/* Makes a nauha__kept for the message that is being delivered; NULL when out of memory. The
 * delivery is its first holder. */
struct nauha__kept *nauha__kept_new(struct nauha__bundle_pool *pool, struct nauha_message *origin);
/* Ends the delivery: frees what no bundle holds, and copies the message for the bundles that do.
 * NOMEM. */
enum nauha_status nauha__kept_settle(struct nauha__bundle_pool *pool, struct nauha__kept *kept,
                                     struct nauha_error *err);
/* Ends the hold of one holder. */
void nauha__kept_let_go(struct nauha__bundle_pool *pool, struct nauha__kept *kept);
void nauha__bundle_pool_fini(struct nauha__bundle_pool *pool);

/* Takes an empty bundle of `count` kinds from the free list, or makes one; NULL when out of memory.
 */
struct nauha_bundle *nauha__bundle_new(struct nauha_bundle **free_list, size_t count);
void nauha__bundle_hold(struct nauha_bundle *bundle, size_t position, struct nauha__kept *kept);
/* Prepares a complete bundle for a subscriber, until nauha__bundle_release with lent = true. */
void nauha__bundle_lend(struct nauha_bundle *bundle);
/* Releases the messages and puts the bundle into the free list. */
void nauha__bundle_release(struct nauha__bundle_pool *pool, struct nauha_bundle **free_list,
                           struct nauha_bundle *bundle, bool lent);
void nauha__bundle_free_list(struct nauha_bundle *free_list);

/* ---- which messages belong together ---- */

enum { NAUHA__SAME_SLOT = 1, NAUHA__SAME_STEM = 2, NAUHA__SAME_CALL = 4 };
/* The parts of their keys in which messages of two kinds must agree to be in one bundle, besides
 * step, rank, tag and module: a set of the above. SAME_STEM: see nauha__same_stem. */
unsigned nauha__agreement(uint32_t kind, uint32_t other);
/* Whether two slots are the same without the words "weight" and "bias" in them: that is how the
 * weights and biases of an LSTM belong together. */
bool nauha__same_stem(const char *slot, const char *other);
/* Why messages of two kinds can never be in one bundle, as what follows the first one's name; NULL
 * if they can. */
const char *nauha__cannot_meet(const struct nauha_names *names, uint32_t kind, uint32_t other);

/* ---- subscriptions ---- */

/* The key that distinguishes the messages of a subscription. */
struct nauha__key_id {
    uint32_t tag, module, slot, call, rank;
};

/* The state of a key. It lives as long as the subscription, so that subsampling continues from step
 * to step. */
struct nauha__key {
    struct nauha__key_id id;
    struct nauha_bundle *open;      /* NULL: none */
    struct nauha__meeting *meeting; /* NULL: none. Of a key without slot and call */
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
    /* set by nauha_bus_subscribe: */
    struct nauha_subscriber *subscriber;
    uint32_t tag_id; /* NAUHA_NONE: all */
    uint32_t *ids;   /* of the kinds */
    bool joins;      /* keys agree only in part */
    struct nauha__meeting *meetings;
    struct nauha__key *keys;
    struct nauha_bundle *open, *free;
};

bool nauha__subscription_has_tag(const struct nauha_subscription *subscription, uint32_t tag);
/* Hands a message to the subscriber, or skips it, or puts it into a bundle and delivers the bundle
 * when it is complete. position: of the message's kind among the subscription's kinds. *kept is
 * shared by all subscriptions that get this message; it is NULL at first. */
enum nauha_status nauha__subscription_take(struct nauha_bus *bus,
                                           struct nauha_subscription *subscription, size_t position,
                                           struct nauha_message *message, struct nauha__kept **kept,
                                           struct nauha_error *err);
/* Ends the step: counts and drops the bundles that are still open. Fails on a strict bus if one of
 * them could have been complete. */
enum nauha_status nauha__subscription_end_step(struct nauha_bus *bus,
                                               struct nauha_subscription *subscription,
                                               struct nauha_error *err);
/* Fails with SUBSCRIBER on a strict bus if messages came and no bundle was ever complete. */
enum nauha_status nauha__subscription_finish(const struct nauha_bus *bus,
                                             const struct nauha_subscription *subscription,
                                             struct nauha_error *err);
void nauha__subscription_report(const struct nauha_subscription *subscription,
                                const struct nauha_names *names,
                                void (*line)(void *context, const char *text), void *context);
/* Drops open bundles without counting them. */
void nauha__subscription_abandon(struct nauha_bus *bus, struct nauha_subscription *subscription);
/* Frees what the subscription has from the bus, whose pool must still exist. */
void nauha__subscription_detach(struct nauha_bus *bus, struct nauha_subscription *subscription);

/* Fails the subscriber for a second message before the bundle of the first was complete. */
enum nauha_status nauha__subscription_fail_twice(struct nauha_bus *bus,
                                                 const struct nauha_subscription *subscription,
                                                 const struct nauha_message_info *info,
                                                 struct nauha_error *err);
/* Whether some of its kinds agree only in part of their keys; then the functions below collect its
 * messages. Its `ids` are set. */
bool nauha__subscription_joins(const struct nauha_subscription *subscription);
/* Adds a message to those of a key with a module and a rank, and delivers all bundles that it
 * completes. */
enum nauha_status nauha__meeting_take(struct nauha_bus *bus,
                                      struct nauha_subscription *subscription,
                                      struct nauha__key *key, size_t position,
                                      struct nauha__kept *kept, struct nauha_error *err);
/* Whether a bundle was delivered, whether a message of a kind has come, and whose they are. */
bool nauha__meeting_complete(const struct nauha__meeting *meeting);
bool nauha__meeting_has(const struct nauha__meeting *meeting, size_t position);
struct nauha__key *nauha__meeting_key(const struct nauha__meeting *meeting);
void nauha__meeting_close(struct nauha_bus *bus, struct nauha_subscription *subscription,
                          struct nauha__meeting *meeting);

/* ---- subscribers ---- */

struct nauha_subscriber {
    char *name;
    struct nauha_subscriber_ops ops;
    void *self;
    nauha_bundle_fn fn; /* of a callback subscriber; self is then its context */
    bool ended;         /* it has failed and gets nothing more */
};

/* Call the callbacks. Compute leaves its error to nauha__subscriber_fail, the others have called
 * it. */
enum nauha_status nauha__subscriber_compute(struct nauha_subscriber *subscriber,
                                            struct nauha_bundle *bundle, struct nauha_error *err);
enum nauha_status nauha__subscriber_step_finished(struct nauha_bus *bus,
                                                  struct nauha_subscriber *subscriber,
                                                  uint64_t global_step, struct nauha_error *err);
enum nauha_status nauha__subscriber_lost(struct nauha_bus *bus, struct nauha_subscriber *subscriber,
                                         const char *kind, uint64_t messages, uint64_t bytes,
                                         struct nauha_error *err);
enum nauha_status nauha__subscriber_finish(struct nauha_bus *bus,
                                           struct nauha_subscriber *subscriber,
                                           struct nauha_error *err);

/* What becomes of a failure: ends the subscriber and returns OK if its `failed` agrees; else sets
 * err, which names the subscriber, and returns `status`. */
enum nauha_status nauha__subscriber_fail(struct nauha_bus *bus, struct nauha_subscriber *subscriber,
                                         const char *where, enum nauha_status status,
                                         const struct nauha_error *reason, struct nauha_error *err);
/* The same for a failure at a message. */
enum nauha_status
nauha__subscriber_fail_at(struct nauha_bus *bus, struct nauha_subscriber *subscriber,
                          const struct nauha_message_info *info, enum nauha_status status,
                          const struct nauha_error *reason, struct nauha_error *err);

/* ---- delivery ---- */

/* Hands a bundle to a subscriber. If that fails because of a damaged message, leaves the bundle out
 * and notes the message, unless the bus is strict. */
enum nauha_status nauha__bus_deliver(struct nauha_bus *bus, struct nauha_subscriber *subscriber,
                                     struct nauha_bundle *bundle, struct nauha_error *err);
/* Takes a message as nauha_bus_publish does, as the beginning or end of a step, but does not
 * deliver it. */
enum nauha_status nauha__bus_pass(struct nauha_bus *bus, const struct nauha_message_info *info,
                                  struct nauha_error *err);

/* ---- damage ---- */

#define NAUHA__DAMAGE_SHOWN 5u

/* The damaged messages that a run has left out. */
struct nauha__damage {
    uint64_t messages;
    char *shown[NAUHA__DAMAGE_SHOWN]; /* the first of them */
};

/* Notes a damaged message, once, however many subscribers it makes fail. failure: the error of the
 * first of them. */
void nauha__damage_note_message(struct nauha__damage *damage, struct nauha_message *message,
                                const char *failure);
/* Notes a damaged message or index row that reached no subscription. On a strict bus notes nothing
 * and returns false. */
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
    struct nauha__use use; /* statistics asked of any message, readings of the last */
};

struct nauha_bus {
    struct nauha_names *names;
    struct nauha__topic *topics;
    size_t topic_capacity;
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
    bool failed; /* not only a subscriber has: the call cannot go on, whoever is ended */
    bool finished;
    unsigned depth;
};

#endif
