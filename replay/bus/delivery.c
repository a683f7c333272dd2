/* SPDX-License-Identifier: MIT */
/* The delivery of a bundle to a subscriber.
 *
 * Threads: one at a time per bus.
 */
#include "replay/bus/parts.h"

/* Whether a subscriber failed for its messages: whatever it makes of an error that it was given, it
 * was given one only where a message is damaged. */
static bool excused(struct nauha_bus *bus, struct nauha_bundle *bundle, enum nauha_status status,
                    const char *failure) {
    bool any = false;
    if (bus->strict ||
        (status != NAUHA_DAMAGED && status != NAUHA_FORMAT && status != NAUHA_SUBSCRIBER))
        return false;
    for (size_t i = 0; i < bundle->count; i++) {
        if (!bundle->messages[i]->damaged)
            continue;
        nauha__damage_note_message(&bus->damage, bundle->messages[i], failure);
        any = true;
    }
    return any;
}

/* Whether the trace cannot be read: then whoever asks next fails as well. */
static bool is_unreadable(const struct nauha_bundle *bundle) {
    for (size_t i = 0; i < bundle->count; i++) {
        if (bundle->messages[i]->unreadable)
            return true;
    }
    return false;
}

/* A message is expected to be used as the one before of its kind was. */
static void expect(const struct nauha_bus *bus, struct nauha_bundle *bundle) {
    for (size_t i = 0; i < bundle->count; i++) {
        struct nauha_message *message = bundle->messages[i];
        if (message->asked.readings == 0)
            message->expected = bus->topics[message->info.kind].use;
    }
}

/* A subscriber may have registered topics meanwhile, so that they have moved. */
static void remember(struct nauha_bus *bus, const struct nauha_bundle *bundle) {
    for (size_t i = 0; i < bundle->count; i++) {
        const struct nauha_message *message = bundle->messages[i];
        struct nauha__use *use = &bus->topics[message->info.kind].use;
        use->statistics |= message->asked.statistics;
        use->readings = message->asked.readings;
    }
}

enum nauha_status nauha__bus_deliver(struct nauha_bus *bus, struct nauha_subscriber *subscriber,
                                     struct nauha_bundle *bundle, struct nauha_error *err) {
    struct nauha_error reason; /* err stays untouched where the failure is excused */
    expect(bus, bundle);
    enum nauha_status status = nauha__subscriber_compute(subscriber, bundle, &reason);
    remember(bus, bundle);
    if (status == NAUHA_OK || excused(bus, bundle, status, reason.message))
        return NAUHA_OK;
    bus->failed = bus->failed || is_unreadable(bundle);
    return nauha__subscriber_fail_at(bus, subscriber, &bundle->messages[0]->info, status, &reason,
                                     err);
}
