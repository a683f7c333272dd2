/* SPDX-License-Identifier: MIT */
/* Which parts of their keys the messages of two kinds have in common.
 *
 * Threads: any thread.
 */
#include <string.h>

#include "replay/bus/parts.h"

/* What the slots of a kind name, and what its calls count. Kinds with the same words can be told
 * apart by them; OWN is for kinds that the recorder does not know. */
enum slots { OWN_SLOTS, OUTPUTS, INPUTS, LABELS, LOSSES, WEIGHTS, BIASES, BUFFERS };
enum calls { OWN_CALLS, ONCE, FORWARD, BACKWARD, RUNS };

struct traits {
    enum slots slots;
    enum calls calls;
    bool alone; /* meets no other kind: events, and what is no module's or network's tensor */
};

static struct traits traits_of(uint32_t kind) {
    switch (kind) {
    case NAUHA_KIND_ACTIVATIONS:
    case NAUHA_KIND_LAYER_GRADIENTS:
        return (struct traits){OUTPUTS, FORWARD, false};
    case NAUHA_KIND_INPUTS:
        return (struct traits){INPUTS, FORWARD, false};
    case NAUHA_KIND_WEIGHTS:
    case NAUHA_KIND_WEIGHT_UPDATES:
        return (struct traits){WEIGHTS, ONCE, false};
    case NAUHA_KIND_WEIGHT_GRADIENTS:
        return (struct traits){WEIGHTS, BACKWARD, false};
    case NAUHA_KIND_BIASES:
    case NAUHA_KIND_BIAS_UPDATES:
        return (struct traits){BIASES, ONCE, false};
    case NAUHA_KIND_BIAS_GRADIENTS:
        return (struct traits){BIASES, BACKWARD, false};
    case NAUHA_KIND_BUFFERS:
        return (struct traits){BUFFERS, ONCE, false};
    case NAUHA_KIND_INPUT_DATA:
        return (struct traits){INPUTS, RUNS, false};
    case NAUHA_KIND_NETWORK_OUTPUT:
    case NAUHA_KIND_OUTPUT_GRADIENTS:
        return (struct traits){OUTPUTS, RUNS, false};
    case NAUHA_KIND_INPUT_LABELS:
        return (struct traits){LABELS, RUNS, false};
    case NAUHA_KIND_LOSS:
    case NAUHA_KIND_SAMPLES_IN_LOSS:
        return (struct traits){LOSSES, RUNS, false};
    default:
        return (struct traits){OWN_SLOTS, OWN_CALLS, kind < NAUHA_KIND_BUILTIN_COUNT};
    }
}

static bool of_parameters(enum slots slots) {
    return slots == WEIGHTS || slots == BIASES;
}

unsigned nauha__agreement(uint32_t kind, uint32_t other) {
    const struct traits a = traits_of(kind), b = traits_of(other);
    if (a.slots == OWN_SLOTS || b.slots == OWN_SLOTS)
        return NAUHA__SAME_SLOT | NAUHA__SAME_CALL;
    unsigned agreement = 0;
    if (a.slots == b.slots)
        agreement |= NAUHA__SAME_SLOT;
    else if (of_parameters(a.slots) && of_parameters(b.slots))
        agreement |= NAUHA__SAME_STEM;
    /* Calls that are always 0 agree, too. */
    if (a.calls == b.calls)
        agreement |= NAUHA__SAME_CALL;
    return agreement;
}

const char *nauha__cannot_meet(const struct nauha_names *names, uint32_t kind, uint32_t other) {
    if (traits_of(kind).alone || traits_of(other).alone)
        return "or the second has no tensors that belong to those of another kind";
    if (nauha_names_kind_scope(names, kind) != nauha_names_kind_scope(names, other))
        return nauha_names_kind_scope(names, kind) == NAUHA_SCOPE_NETWORK
                   ? "is of the network, and the second is of its modules"
                   : "is of modules, and the second is of the network";
    return NULL;
}

/* The next character of a slot's name without the words "weight" and "bias". */
static const char *skip_words(const char *name) {
    static const char *const words[] = {"weight", "bias"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strncmp(name, words[i], strlen(words[i])) == 0)
            name += strlen(words[i]);
    return name;
}

bool nauha__same_stem(const char *slot, const char *other) {
    for (;; slot++, other++) {
        slot = skip_words(slot);
        other = skip_words(other);
        if (*slot != *other)
            return false;
        if (!*slot)
            return true;
    }
}
