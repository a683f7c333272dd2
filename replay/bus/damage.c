/* SPDX-License-Identifier: MIT */
/* Damaged messages, which a run leaves out of its metrics and reports at its end.
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

void nauha__damage_note_message(struct nauha__damage *damage, struct nauha_message *message,
                                const char *failure) {
    const struct nauha_message_info *info = &message->info;
    struct nauha_error reason = NAUHA_ERROR_INIT;
    char text[sizeof reason.message + 512];
    if (message->left_out)
        return;
    message->left_out = true;
    /* `failure` may be any error. Reading the message again gives the reason, unless reading
     * succeeds now. */
    if (damage->messages < NAUHA__DAMAGE_SHOWN)
        nauha_message_for_each_piece(message, pass_over, NULL, &reason);
    snprintf(text, sizeof text, "message %" PRIu64 ": %s", info->seq,
             reason.message[0] ? reason.message : failure);
    note(damage, text);
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
    snprintf(text, sizeof text, "and %" PRIu64 " more; \"nauha verify\" lists what is damaged",
             damage->messages - NAUHA__DAMAGE_SHOWN);
    line(context, text);
}

void nauha__damage_fini(struct nauha__damage *damage) {
    for (size_t i = 0; i < NAUHA__DAMAGE_SHOWN; i++)
        free(damage->shown[i]);
}
