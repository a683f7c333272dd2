/* SPDX-License-Identifier: MIT */
/* Bundles, and the messages that they hold.
 *
 * Threads: one at a time per bus.
 */
#include <stdlib.h>

#include <utlist.h>

#include "replay/bus/parts.h"

size_t nauha_bundle_count(const struct nauha_bundle *bundle) {
    return bundle->count;
}

struct nauha_message *nauha_bundle_message(struct nauha_bundle *bundle, size_t position) {
    return position < bundle->count ? bundle->messages[position] : NULL;
}

/* ---- kept messages ---- */

struct nauha__kept *nauha__kept_new(struct nauha__bundle_pool *pool, struct nauha_message *origin) {
    struct nauha__kept *kept = pool->kept;
    if (kept)
        pool->kept = kept->next;
    else
        kept = malloc(sizeof *kept);
    if (kept)
        *kept = (struct nauha__kept){.origin = origin, .holders = 1};
    return kept;
}

void nauha__kept_let_go(struct nauha__bundle_pool *pool, struct nauha__kept *kept) {
    if (--kept->holders > 0)
        return;
    nauha__message_fini(&kept->message);
    kept->next = pool->kept;
    pool->kept = kept;
}

enum nauha_status nauha__kept_settle(struct nauha__bundle_pool *pool, struct nauha__kept *kept,
                                     struct nauha_error *err) {
    enum nauha_status status = NAUHA_OK;
    if (kept->holders > 1)
        status = nauha__message_retain(kept->origin, &kept->message, err);
    kept->origin = NULL;
    nauha__kept_let_go(pool, kept);
    return status;
}

void nauha__bundle_pool_fini(struct nauha__bundle_pool *pool) {
    while (pool->kept) {
        struct nauha__kept *kept = pool->kept;
        pool->kept = kept->next;
        free(kept);
    }
}

/* ---- bundles ---- */

struct nauha_bundle *nauha__bundle_new(struct nauha_bundle **free_list, size_t count) {
    struct nauha_bundle *bundle = *free_list;
    if (bundle) {
        LL_DELETE(*free_list, bundle);
    } else {
        bundle = calloc(1, sizeof *bundle);
        if (!bundle)
            return NULL;
        bundle->messages = calloc(count, sizeof *bundle->messages);
        bundle->kept = calloc(count, sizeof *bundle->kept);
        bundle->count = count;
        if (!bundle->messages || !bundle->kept) {
            nauha__bundle_free_list(bundle);
            return NULL;
        }
    }
    bundle->present = 0;
    bundle->prev = bundle->next = NULL;
    return bundle;
}

void nauha__bundle_hold(struct nauha_bundle *bundle, size_t position, struct nauha__kept *kept) {
    bundle->kept[position] = kept;
    bundle->present++;
    kept->holders++;
}

void nauha__bundle_lend(struct nauha_bundle *bundle) {
    for (size_t i = 0; i < bundle->count; i++) {
        struct nauha__kept *kept = bundle->kept[i];
        bundle->messages[i] = kept->origin ? kept->origin : &kept->message;
        kept->readers++;
    }
}

/* The data of a recorded tensor that was read for a bundle are released for bundles that are still
 * open, because these may wait long. They keep a reference to the message. */
static void give_back(struct nauha__kept *kept) {
    struct nauha_message *message = &kept->message;
    if (--kept->readers > 0 || kept->origin || !message->source)
        return;
    free(message->owned);
    message->owned = NULL;
    message->data = NULL;
}

void nauha__bundle_release(struct nauha__bundle_pool *pool, struct nauha_bundle **free_list,
                           struct nauha_bundle *bundle, bool lent) {
    for (size_t i = 0; i < bundle->count; i++) {
        struct nauha__kept *kept = bundle->kept[i];
        bundle->kept[i] = NULL;
        bundle->messages[i] = NULL;
        if (!kept)
            continue;
        if (lent)
            give_back(kept);
        nauha__kept_let_go(pool, kept);
    }
    LL_PREPEND(*free_list, bundle);
}

void nauha__bundle_free_list(struct nauha_bundle *free_list) {
    while (free_list) {
        struct nauha_bundle *bundle = free_list;
        free_list = bundle->next;
        free(bundle->messages);
        free(bundle->kept);
        free(bundle);
    }
}
