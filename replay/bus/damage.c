/* SPDX-License-Identifier: MIT */
/* Damaged messages: what a run leaves out of its metrics, and tells at its end.
 *
 * Threads: one at a time per bus.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "replay/bus/parts.h"

static void note(struct nauha__damage *damage, const char *text) {
    if (damage->messages < NAUHA__DAMAGE_SHOWN)
        damage->shown[damage->messages] = strdup(text); /* NULL: only counted */
    damage->messages++;
}

bool nauha__bus_leave_out(struct nauha_bus *bus, const char *reason) {
    if (!bus->strict)
        note(&bus->damage, reason);
    return !bus->strict;
}

static enum nauha_status pass_over(void *context, const struct nauha_tensor *piece, uint64_t first,
                                   struct nauha_error *err) {
    (void)context;
    (void)piece;
    (void)first;
    (void)err;
    return NAUHA_OK;
}

/* Once for each message, however many subscribers it fails. told: what the first of them says. */
static void note_message(struct nauha_bus *bus, struct nauha_message *message, const char *told) {
    const struct nauha_message_info *info = &message->info;
    struct nauha_error reason = NAUHA_ERROR_INIT;
    char text[sizeof reason.message + 512];
    if (message->left_out)
        return;
    message->left_out = true;
    /* That may be anything; reading once more gives the reason, unless it goes well by now. */
    if (bus->damage.messages < NAUHA__DAMAGE_SHOWN)
        nauha_message_for_each_piece(message, pass_over, NULL, &reason);
    snprintf(text, sizeof text, "message %" PRIu64 ": %s", info->seq,
             reason.message[0] ? reason.message : told);
    note(&bus->damage, text);
}

/* Whether a subscriber failed for its messages: whatever it makes of an error that it was given, it
 * was given one only where a message is damaged. */
static bool excused(struct nauha_bus *bus, struct nauha_bundle *bundle, enum nauha_status status,
                    const char *told) {
    bool any = false;
    if (bus->strict ||
        (status != NAUHA_DAMAGED && status != NAUHA_FORMAT && status != NAUHA_SUBSCRIBER))
        return false;
    for (size_t i = 0; i < bundle->count; i++) {
        if (!bundle->messages[i]->damaged)
            continue;
        note_message(bus, bundle->messages[i], told);
        any = true;
    }
    return any;
}

/* A message is expected to be used as the one before of its kind was. */
static void expect(const struct nauha_bus *bus, struct nauha_bundle *bundle) {
    for (size_t i = 0; i < bundle->count; i++) {
        struct nauha_message *message = bundle->messages[i];
        if (message->asked.readings == 0)
            message->expected = bus->topics[message->info.kind].use;
    }
}

/* A subscriber may have registered topics meanwhile, so that they lie elsewhere. */
static void remember(struct nauha_bus *bus, const struct nauha_bundle *bundle) {
    for (size_t i = 0; i < bundle->count; i++) {
        const struct nauha_message *message = bundle->messages[i];
        struct nauha__use *use = &bus->topics[message->info.kind].use;
        use->statistics |= message->asked.statistics;
        use->readings = message->asked.readings;
    }
}

enum nauha_status nauha__bus_compute(struct nauha_bus *bus, struct nauha_subscriber *subscriber,
                                     struct nauha_bundle *bundle, struct nauha_error *err) {
    struct nauha_error reason; /* err stays untouched where the failure is excused */
    expect(bus, bundle);
    enum nauha_status status = nauha__subscriber_compute(subscriber, bundle, &reason);
    remember(bus, bundle);
    if (status == NAUHA_OK || excused(bus, bundle, status, reason.message))
        return NAUHA_OK;
    if (err)
        *err = reason;
    return status;
}

void nauha__damage_report(const struct nauha__damage *damage,
                          void (*line)(void *context, const char *text), void *context) {
    char text[128];
    if (damage->messages == 0)
        return;
    snprintf(text, sizeof text, "%" PRIu64 " damaged message%s left out:", damage->messages,
             damage->messages == 1 ? " was" : "s were");
    line(context, text);
    for (size_t i = 0; i < NAUHA__DAMAGE_SHOWN; i++)
        if (damage->shown[i])
            line(context, damage->shown[i]);
    if (damage->messages <= NAUHA__DAMAGE_SHOWN)
        return;
    snprintf(text, sizeof text, "and %" PRIu64 " more; nauha verify names what is damaged",
             damage->messages - NAUHA__DAMAGE_SHOWN);
    line(context, text);
}

void nauha__damage_fini(struct nauha__damage *damage) {
    for (size_t i = 0; i < NAUHA__DAMAGE_SHOWN; i++)
        free(damage->shown[i]);
}
