/* SPDX-License-Identifier: MIT */
/* Bundles of kinds whose messages have only a part of their keys in common, such as activations,
 * which have calls, and weights, which are there once a step: each message of one meets each of the
 * other with which it agrees, as in the join of two tables.
 *
 * Threads: one at a time per bus.
 */
#include <stdlib.h>

#include <utlist.h>

#include "nauha/array.h"
#include "replay/bus/parts.h"

/* The messages of a module in the open step, by the position of their kind. */
struct nauha__meeting {
    struct nauha__key *key;
    bool complete; /* a bundle was */
    struct nauha__meeting *prev, *next;
    struct list {
        struct entry {
            struct nauha__kept *kept;
            bool met;  /* was in a bundle */
            bool past; /* a later message with its slot and call has come */
        } * entries;
        size_t count, capacity;
    } lists[];
};

bool nauha__subscription_joins(const struct nauha_subscription *subscription) {
    const unsigned all = NAUHA__SAME_SLOT | NAUHA__SAME_CALL;
    for (size_t i = 0; i < subscription->count; i++)
        for (size_t j = 0; j < i; j++)
            if (nauha__agreement(subscription->ids[i], subscription->ids[j]) != all)
                return true;
    return false;
}

static const struct nauha_message_info *info_of(const struct nauha__kept *kept) {
    return kept->origin ? &kept->origin->info : &kept->message.info;
}

static bool agree(const struct nauha__kept *one, const struct nauha__kept *other) {
    const struct nauha_message_info *a = info_of(one), *b = info_of(other);
    const unsigned agreement = nauha__agreement(a->kind, b->kind);
    return (!(agreement & NAUHA__SAME_CALL) || a->call == b->call) &&
           (!(agreement & NAUHA__SAME_SLOT) || a->slot == b->slot) &&
           (!(agreement & NAUHA__SAME_STEM) || nauha__same_stem(a->slot_name, b->slot_name));
}

/* ---- bundles ---- */

struct combination {
    struct nauha_bus *bus;
    struct nauha_subscription *subscription;
    struct nauha__meeting *meeting;
    size_t fixed;   /* position of the message that has come */
    size_t *counts; /* messages by position: those that come while a bundle is delivered have their
                       own turn */
    size_t *chosen; /* of each list */
};

static struct entry *entry_at(const struct combination *combination, size_t position, size_t i) {
    return &combination->meeting->lists[position].entries[i];
}

static struct entry *chosen_at(const struct combination *combination, size_t position) {
    return entry_at(combination, position, combination->chosen[position]);
}

static enum nauha_status deliver(struct combination *combination, struct nauha_error *err) {
    struct nauha_subscription *subscription = combination->subscription;
    struct nauha_bus *bus = combination->bus;
    struct nauha_bundle *bundle = nauha__bundle_new(&subscription->free, subscription->count);
    if (!bundle)
        return nauha_error_set(err, NAUHA_NOMEM, "subscriber \"%s\": no memory for a bundle",
                               subscription->subscriber->name);
    for (size_t i = 0; i < subscription->count; i++) {
        struct entry *entry = chosen_at(combination, i);
        entry->met = true;
        nauha__bundle_hold(bundle, i, entry->kept);
    }
    combination->meeting->complete = true;
    combination->meeting->key->completed++;
    nauha__bundle_lend(bundle);
    enum nauha_status status = nauha__bus_deliver(bus, subscription->subscriber, bundle, err);
    nauha__bundle_release(&bus->pool, &subscription->free, bundle, true);
    return status;
}

/* Chooses a message for each position from this one on, in every way in which they agree. */
static enum nauha_status choose(struct combination *combination, size_t position,
                                struct nauha_error *err) {
    const size_t count = combination->subscription->count;
    if (position == count)
        return deliver(combination, err);
    if (position == combination->fixed)
        return choose(combination, position + 1, err);
    enum nauha_status status = NAUHA_OK;
    for (size_t i = 0; i < combination->counts[position] && status == NAUHA_OK &&
                       !combination->subscription->subscriber->ended;
         i++) {
        const struct entry *candidate = entry_at(combination, position, i);
        bool fits = !candidate->past &&
                    agree(candidate->kept, chosen_at(combination, combination->fixed)->kept);
        for (size_t j = 0; fits && j < position; j++)
            fits = agree(candidate->kept, chosen_at(combination, j)->kept);
        if (!fits)
            continue;
        combination->chosen[position] = i;
        status = choose(combination, position + 1, err);
    }
    return status;
}

/* ---- messages ---- */

static struct nauha__meeting *meeting_of(struct nauha_subscription *subscription,
                                         struct nauha__key *key) {
    if (!key->meeting) {
        const size_t bytes = subscription->count * sizeof(struct list);
        key->meeting = calloc(1, sizeof *key->meeting + bytes);
        if (key->meeting) {
            key->meeting->key = key;
            DL_APPEND(subscription->meetings, key->meeting);
        }
    }
    return key->meeting;
}

static bool add(struct list *list, struct nauha__kept *kept) {
    if (!NAUHA_GROW(list->entries, list->capacity, list->count + 1))
        return false;
    list->entries[list->count++] = (struct entry){.kept = kept};
    kept->holders++;
    return true;
}

/* Takes the place of a message with the same slot and call. False: that one waits for its bundle.
 */
static bool supersede(struct list *list, const struct nauha_message_info *info) {
    for (size_t i = 0; i < list->count; i++) {
        struct entry *entry = &list->entries[i];
        const struct nauha_message_info *old = info_of(entry->kept);
        if (entry->past || old->slot != info->slot || old->call != info->call)
            continue;
        if (!entry->met)
            return false;
        entry->past = true;
    }
    return true;
}

enum nauha_status nauha__meeting_take(struct nauha_bus *bus,
                                      struct nauha_subscription *subscription,
                                      struct nauha__key *key, size_t position,
                                      struct nauha__kept *kept, struct nauha_error *err) {
    struct combination combination = {.bus = bus, .subscription = subscription, .fixed = position};
    const size_t count = subscription->count;
    combination.meeting = meeting_of(subscription, key);
    combination.counts = calloc(count, sizeof *combination.counts);
    combination.chosen = calloc(count, sizeof *combination.chosen);
    struct list *list = combination.meeting ? &combination.meeting->lists[position] : NULL;
    enum nauha_status status = NAUHA_OK;
    if (list && !supersede(list, info_of(kept))) {
        status = nauha__subscription_fail_twice(bus, subscription, info_of(kept), err);
    } else if (!list || !combination.counts || !combination.chosen || !add(list, kept)) {
        status = nauha_error_set(err, NAUHA_NOMEM, "subscriber \"%s\": no memory for a bundle",
                                 subscription->subscriber->name);
    } else {
        for (size_t i = 0; i < count; i++)
            combination.counts[i] = combination.meeting->lists[i].count;
        combination.chosen[position] = list->count - 1;
        status = choose(&combination, 0, err);
    }
    free(combination.counts);
    free(combination.chosen);
    return status;
}

/* ---- ends ---- */

bool nauha__meeting_complete(const struct nauha__meeting *meeting) {
    return meeting->complete;
}

bool nauha__meeting_has(const struct nauha__meeting *meeting, size_t position) {
    return meeting->lists[position].count > 0;
}

struct nauha__key *nauha__meeting_key(const struct nauha__meeting *meeting) {
    return meeting->key;
}

void nauha__meeting_close(struct nauha_bus *bus, struct nauha_subscription *subscription,
                          struct nauha__meeting *meeting) {
    DL_DELETE(subscription->meetings, meeting);
    meeting->key->meeting = NULL;
    for (size_t i = 0; i < subscription->count; i++) {
        for (size_t j = 0; j < meeting->lists[i].count; j++)
            nauha__kept_let_go(&bus->pool, meeting->lists[i].entries[j].kept);
        free(meeting->lists[i].entries);
    }
    free(meeting);
}
