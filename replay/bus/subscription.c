/* SPDX-License-Identifier: MIT */
/* Subscriptions: choosing messages by tag and subsample, and collecting them in bundles.
 *
 * Threads: one at a time per bus.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "replay/bus/parts.h"

/* ---- making ---- */

struct nauha_subscription *nauha_subscription_new(const char *const *kinds, size_t count) {
    struct nauha_subscription *subscription = calloc(1, sizeof *subscription);
    if (!subscription)
        return NULL;
    subscription->subsample = subscription->every = 1;
    subscription->tag = strdup("default");
    subscription->kinds = calloc(count ? count : 1, sizeof *subscription->kinds);
    if (!subscription->tag || !subscription->kinds) {
        nauha_subscription_free(subscription);
        return NULL;
    }
    for (; subscription->count < count; subscription->count++) {
        char *kind = strdup(kinds[subscription->count]);
        if (!kind) {
            nauha_subscription_free(subscription);
            return NULL;
        }
        subscription->kinds[subscription->count] = kind;
    }
    return subscription;
}

void nauha_subscription_free(struct nauha_subscription *subscription) {
    if (!subscription)
        return;
    for (size_t i = 0; i < subscription->count; i++)
        free(subscription->kinds[i]);
    free(subscription->kinds);
    free(subscription->ids);
    free(subscription->tag);
    free(subscription);
}

enum nauha_status nauha_subscription_set_tag(struct nauha_subscription *subscription,
                                             const char *tag, struct nauha_error *err) {
    if (!tag[0])
        return nauha_error_set(err, NAUHA_INVALID, "tag of a subscription is empty");
    char *copy = strdup(tag);
    if (!copy)
        return nauha_error_nomem(err);
    free(subscription->tag);
    subscription->tag = copy;
    return NAUHA_OK;
}

enum nauha_status nauha_subscription_set_subsample(struct nauha_subscription *subscription,
                                                   uint64_t n, struct nauha_error *err) {
    if (n == 0)
        return nauha_error_set(err, NAUHA_INVALID, "subsample is 0: it must be 1 or more");
    subscription->subsample = n;
    return NAUHA_OK;
}

enum nauha_status nauha_subscription_set_every(struct nauha_subscription *subscription, uint64_t n,
                                               struct nauha_error *err) {
    if (n == 0)
        return nauha_error_set(err, NAUHA_INVALID, "every is 0: it must be 1 or more");
    subscription->every = n;
    return NAUHA_OK;
}

void nauha_subscription_set_synchronized(struct nauha_subscription *subscription,
                                         bool synchronized) {
    subscription->synchronized = synchronized;
}

bool nauha__subscription_has_tag(const struct nauha_subscription *subscription, uint32_t tag) {
    return subscription->tag_id == NAUHA_NONE || subscription->tag_id == tag;
}

/* ---- keys ---- */

static struct nauha__key *key_of(struct nauha_subscription *subscription,
                                 const struct nauha__key_id id, struct nauha_error *err) {
    struct nauha__key *key = NULL;
    HASH_FIND(hh, subscription->keys, &id, sizeof id, key);
    if (key)
        return key;
    key = calloc(1, sizeof *key + subscription->count * sizeof *key->kinds);
    if (key) {
        key->id = id;
        HASH_ADD(hh, subscription->keys, id, sizeof id, key);
        if (key->hh.tbl)
            return key;
        free(key);
    }
    nauha_error_set(err, NAUHA_NOMEM, "no memory to follow one more module");
    return NULL;
}

/* Whether messages of every kind have come for the key: a bundle that lacks one then could have
 * been complete. A module that has no such kind (a layer without bias) never gets there. */
static bool could_be_complete(const struct nauha_subscription *subscription,
                              const struct nauha__key *key) {
    for (size_t i = 0; i < subscription->count; i++) {
        if (key->kinds[i].came == 0)
            return false;
    }
    return true;
}

/* ---- taking messages ---- */

static enum nauha_status fail_incomplete(const struct nauha_subscription *subscription,
                                         const struct nauha__key *key,
                                         const struct nauha_names *names, const char *missing,
                                         uint64_t step, struct nauha_error *err) {
    return nauha_error_set(
        err, NAUHA_SUBSCRIBER,
        "subscriber \"%s\": bundle of module \"%s\" in step %" PRIu64 " was incomplete%s%s%s",
        subscription->subscriber->name, nauha_names_module(names, key->id.module), step,
        missing ? ", without \"" : "", missing ? missing : "", missing ? "\"" : "");
}

static enum nauha_status release(struct nauha_bus *bus, struct nauha_subscription *subscription,
                                 struct nauha_bundle *bundle, struct nauha_error *err) {
    struct nauha__key *key = bundle->key;
    /* Whoever publishes inside the callback finds no bundle of this key open. */
    key->open = NULL;
    key->completed++;
    DL_DELETE(subscription->open, bundle);
    nauha__bundle_lend(bundle);
    enum nauha_status status = nauha__bus_deliver(bus, subscription->subscriber, bundle, err);
    nauha__bundle_release(&bus->pool, &subscription->free, bundle, true);
    return status;
}

enum nauha_status nauha__subscription_fail_twice(struct nauha_bus *bus,
                                                 const struct nauha_subscription *subscription,
                                                 const struct nauha_message_info *info,
                                                 struct nauha_error *err) {
    struct nauha_error reason;
    const bool network = info->module == NAUHA_NONE;
    nauha_error_set(&reason, NAUHA_INVALID,
                    "a second \"%s\" of %s%s%s in step %" PRIu64 " before its bundle was complete",
                    info->kind_name, network ? "the network" : "module \"",
                    network ? "" : info->module_name, network ? "" : "\"", info->global_step);
    return nauha__subscriber_fail_at(bus, subscription->subscriber, info, NAUHA_INVALID, &reason,
                                     err);
}

/* Only now it shows that what was dropped need not have been. */
static enum nauha_status check_dropped(const struct nauha_bus *bus,
                                       const struct nauha_subscription *subscription,
                                       const struct nauha__key *key, struct nauha_error *err) {
    if (bus->strict && key->dropped > 0 && could_be_complete(subscription, key))
        return fail_incomplete(subscription, key, bus->names, NULL, key->first_dropped, err);
    return NAUHA_OK;
}

static enum nauha_status join(struct nauha_bus *bus, struct nauha_subscription *subscription,
                              size_t position, struct nauha_message *message,
                              struct nauha__kept **kept, struct nauha_error *err) {
    struct nauha__key *key =
        key_of(subscription,
               (struct nauha__key_id){message->info.tag, message->info.module, NAUHA_NONE,
                                      NAUHA_NONE, message->info.rank},
               err);
    if (!key)
        return NAUHA_NOMEM;
    key->kinds[position].came++;
    enum nauha_status status = check_dropped(bus, subscription, key, err);
    if (status != NAUHA_OK)
        return status;
    if (!*kept && !(*kept = nauha__kept_new(&bus->pool, message)))
        return nauha_error_set(err, NAUHA_NOMEM, "subscriber \"%s\": no memory for a bundle",
                               subscription->subscriber->name);
    return nauha__meeting_take(bus, subscription, key, position, *kept, err);
}

static enum nauha_status collect(struct nauha_bus *bus, struct nauha_subscription *subscription,
                                 struct nauha__key *key, size_t position,
                                 struct nauha_message *message, struct nauha__kept **kept,
                                 struct nauha_error *err) {
    if (key->open && key->open->kept[position])
        return nauha__subscription_fail_twice(bus, subscription, &message->info, err);
    enum nauha_status status = check_dropped(bus, subscription, key, err);
    if (status != NAUHA_OK)
        return status;
    if (!*kept)
        *kept = nauha__kept_new(&bus->pool, message);
    if (*kept && !key->open) {
        key->open = nauha__bundle_new(&subscription->free, subscription->count);
        if (key->open) {
            key->open->key = key;
            DL_APPEND(subscription->open, key->open);
        }
    }
    if (!*kept || !key->open)
        return nauha_error_set(err, NAUHA_NOMEM, "subscriber \"%s\": no memory for a bundle",
                               subscription->subscriber->name);
    nauha__bundle_hold(key->open, position, *kept);
    return key->open->present == subscription->count ? release(bus, subscription, key->open, err)
                                                     : NAUHA_OK;
}

enum nauha_status nauha__subscription_take(struct nauha_bus *bus,
                                           struct nauha_subscription *subscription, size_t position,
                                           struct nauha_message *message, struct nauha__kept **kept,
                                           struct nauha_error *err) {
    if (subscription->subscriber->ended ||
        !nauha__subscription_has_tag(subscription, message->info.tag) ||
        message->info.global_step % subscription->every != 0)
        return NAUHA_OK;
    if (subscription->synchronized || subscription->subsample > 1) {
        const struct nauha_message_info *info = &message->info;
        struct nauha__key *key = key_of(
            subscription,
            (struct nauha__key_id){info->tag, info->module, info->slot, info->call, info->rank},
            err);
        if (!key)
            return NAUHA_NOMEM;
        if (key->kinds[position].came++ % subscription->subsample != 0)
            return NAUHA_OK;
        if (subscription->synchronized && subscription->joins)
            return join(bus, subscription, position, message, kept, err);
        if (subscription->synchronized)
            return collect(bus, subscription, key, position, message, kept, err);
    }
    struct nauha_bundle plain = {.messages = &message, .count = 1};
    return nauha__bus_deliver(bus, subscription->subscriber, &plain, err);
}

/* ---- ends ---- */

static void close_bundle(struct nauha_bus *bus, struct nauha_subscription *subscription,
                         struct nauha_bundle *bundle) {
    bundle->key->open = NULL;
    DL_DELETE(subscription->open, bundle);
    nauha__bundle_release(&bus->pool, &subscription->free, bundle, false);
}

/* Counts a bundle that is incomplete at the end of its step. missing: the first kind that it lacks;
 * NULL if its messages have other slots or calls. */
static enum nauha_status drop(const struct nauha_bus *bus,
                              const struct nauha_subscription *subscription, struct nauha__key *key,
                              const char *missing, struct nauha_error *err) {
    if (key->dropped++ == 0)
        key->first_dropped = bus->global_step;
    if (bus->strict && could_be_complete(subscription, key))
        return fail_incomplete(subscription, key, bus->names, missing, bus->global_step, err);
    return NAUHA_OK;
}

enum nauha_status nauha__subscription_end_step(struct nauha_bus *bus,
                                               struct nauha_subscription *subscription,
                                               struct nauha_error *err) {
    enum nauha_status status = NAUHA_OK;
    while (subscription->open) {
        struct nauha_bundle *bundle = subscription->open;
        struct nauha__key *key = bundle->key;
        const char *missing = NULL;
        for (size_t i = 0; i < subscription->count; i++) {
            if (bundle->kept[i])
                continue;
            key->kinds[i].missing++;
            missing = missing ? missing : subscription->kinds[i];
        }
        if (status == NAUHA_OK)
            status = drop(bus, subscription, key, missing, err);
        close_bundle(bus, subscription, bundle);
    }
    while (subscription->meetings) {
        struct nauha__meeting *meeting = subscription->meetings;
        struct nauha__key *key = nauha__meeting_key(meeting);
        const char *missing = NULL;
        for (size_t i = 0; i < subscription->count && !nauha__meeting_complete(meeting); i++) {
            if (nauha__meeting_has(meeting, i))
                continue;
            key->kinds[i].missing++;
            missing = missing ? missing : subscription->kinds[i];
        }
        if (status == NAUHA_OK && !nauha__meeting_complete(meeting))
            status = drop(bus, subscription, key, missing, err);
        nauha__meeting_close(bus, subscription, meeting);
    }
    return status;
}

void nauha__subscription_abandon(struct nauha_bus *bus, struct nauha_subscription *subscription) {
    while (subscription->open)
        close_bundle(bus, subscription, subscription->open);
    while (subscription->meetings)
        nauha__meeting_close(bus, subscription, subscription->meetings);
}

void nauha__subscription_detach(struct nauha_bus *bus, struct nauha_subscription *subscription) {
    nauha__subscription_abandon(bus, subscription);
    nauha__bundle_free_list(subscription->free);
    subscription->free = NULL;
    struct nauha__key *key = subscription->keys, *next = NULL;
    HASH_CLEAR(hh, subscription->keys);
    for (; key; key = next) {
        next = key->hh.next;
        free(key);
    }
}

/* ---- what was lost ---- */

/* Bundles dropped, where none was ever complete although messages came. */
static uint64_t never_complete(const struct nauha_subscription *subscription) {
    uint64_t dropped = 0;
    for (const struct nauha__key *key = subscription->keys; key; key = key->hh.next) {
        if (key->completed > 0)
            return 0;
        dropped += key->dropped;
    }
    return dropped;
}

static void never_complete_text(const struct nauha_subscription *subscription, uint64_t dropped,
                                char *text, size_t size) {
    int length = snprintf(text, size, "subscriber \"%.200s\": none of its %" PRIu64 " bundles of ",
                          subscription->subscriber->name, dropped);
    for (size_t i = 0; i < subscription->count && length > 0 && (size_t)length < size; i++)
        length += snprintf(text + length, size - (size_t)length, "%s\"%s\"", i > 0 ? ", " : "",
                           subscription->kinds[i]);
    if (length > 0 && (size_t)length < size)
        snprintf(text + length, size - (size_t)length,
                 " was ever complete: no module, slot and call had them all in one step");
}

enum nauha_status nauha__subscription_finish(const struct nauha_bus *bus,
                                             const struct nauha_subscription *subscription,
                                             struct nauha_error *err) {
    const uint64_t dropped = bus->strict ? never_complete(subscription) : 0;
    if (dropped == 0)
        return NAUHA_OK;
    char text[800];
    never_complete_text(subscription, dropped, text, sizeof text);
    return nauha_error_set(err, NAUHA_SUBSCRIBER, "%s", text);
}

static int by_module(const void *a, const void *b) {
    const uint32_t x = (*(struct nauha__key *const *)a)->id.module;
    const uint32_t y = (*(struct nauha__key *const *)b)->id.module;
    return (x > y) - (x < y);
}

/* One line for the keys [first, end) of a module: its slots, calls and ranks. */
static void report_module(const struct nauha_subscription *subscription,
                          const struct nauha_names *names, struct nauha__key *const *keys,
                          size_t count, void (*line)(void *context, const char *text),
                          void *context) {
    char *text = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);
    if (!memory)
        return;
    uint64_t dropped = 0;
    for (size_t i = 0; i < count; i++)
        dropped += keys[i]->dropped;
    fprintf(memory, "subscriber \"%s\": %" PRIu64 " incomplete bundle%s of ",
            subscription->subscriber->name, dropped, dropped == 1 ? "" : "s");
    if (keys[0]->id.module == NAUHA_NONE)
        fprintf(memory, "the network");
    else
        fprintf(memory, "module \"%s\"", nauha_names_module(names, keys[0]->id.module));
    fprintf(memory, " dropped, without");
    const char *comma = " ";
    for (size_t kind = 0; kind < subscription->count; kind++) {
        uint64_t missing = 0;
        for (size_t i = 0; i < count; i++)
            missing += keys[i]->kinds[kind].missing;
        if (missing == 0)
            continue;
        fprintf(memory, "%s\"%s\" (%" PRIu64 ")", comma, subscription->kinds[kind], missing);
        comma = ", ";
    }
    if (fclose(memory) == 0)
        line(context, text);
    free(text);
}

void nauha__subscription_report(const struct nauha_subscription *subscription,
                                const struct nauha_names *names,
                                void (*line)(void *context, const char *text), void *context) {
    const uint64_t never = never_complete(subscription);
    if (never > 0) {
        char text[800];
        never_complete_text(subscription, never, text, sizeof text);
        line(context, text);
        return;
    }
    struct nauha__key **lossy = calloc(HASH_COUNT(subscription->keys) + 1, sizeof *lossy);
    if (!lossy)
        return;
    size_t count = 0;
    for (struct nauha__key *key = subscription->keys; key; key = key->hh.next) {
        if (key->dropped > 0 && could_be_complete(subscription, key))
            lossy[count++] = key;
    }
    if (count > 0)
        qsort(lossy, count, sizeof *lossy, by_module);
    for (size_t first = 0, end = 0; first < count; first = end) {
        while (end < count && lossy[end]->id.module == lossy[first]->id.module)
            end++;
        report_module(subscription, names, lossy + first, end - first, line, context);
    }
    free(lossy);
}
