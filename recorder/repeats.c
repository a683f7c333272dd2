/* SPDX-License-Identifier: MIT */
/* Finding tensors that are stored already; see repeats.h.
 *
 * Threads: the recorder's publish lock.
 */
#include "recorder/repeats.h"

#include <string.h>

#include "nauha/internal/hash.h"

/* Smaller tensors are copied as fast as they are hashed. */
#define WORTH_BYTES 1024u
/* After so many tensors of a source that did not repeat, its tensors are no longer hashed. */
#define ALONE_MAX 8u

static bool is_worth_it(const struct nauha__candidate *candidate) {
    return candidate->tensor->identity != 0 && candidate->tensor->strides == NULL &&
           candidate->bytes >= WORTH_BYTES;
}

/* Multiplicative hashing, the upper bits (Knuth, The Art of Computer Programming, 6.4). */
uint32_t nauha__repeats_source(uint32_t kind, uint32_t module, uint32_t slot, uint32_t call) {
    const uint32_t parts[] = {kind, module, slot, call};
    uint32_t hash = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        hash = (hash ^ parts[i]) * 2654435769u;
    return hash >> (32 - NAUHA__REPEAT_SOURCE_BITS);
}

bool nauha__repeats_find(struct nauha__repeats *repeats, const struct nauha__candidate *candidate,
                         struct nauha__place *place) {
    if (!is_worth_it(candidate))
        return false;
    const struct nauha_tensor *tensor = candidate->tensor;
    const struct nauha__repeat *repeat = &repeats->ring[tensor->identity % NAUHA__REPEATS];
    if (repeat->identity != tensor->identity || repeat->bytes != candidate->bytes ||
        repeat->dtype != tensor->dtype || repeat->bits != candidate->bits)
        return false;
    repeats->alone[repeat->source] = 0;
    if (!repeat->hashed)
        return false;
    uint64_t hash[2];
    nauha__hash128(tensor->data, candidate->bytes, hash);
    if (memcmp(hash, repeat->hash, sizeof hash) != 0)
        return false;
    *place = repeat->place;
    return true;
}

bool nauha__repeats_wants_hash(const struct nauha__repeats *repeats,
                               const struct nauha__candidate *candidate) {
    return is_worth_it(candidate) && repeats->alone[candidate->source] < ALONE_MAX;
}

void nauha__repeats_note(struct nauha__repeats *repeats, const struct nauha__candidate *candidate,
                         const uint64_t *hash, struct nauha__place place) {
    if (!is_worth_it(candidate))
        return;
    if (hash)
        repeats->alone[candidate->source]++;
    struct nauha__repeat *repeat = &repeats->ring[candidate->tensor->identity % NAUHA__REPEATS];
    *repeat = (struct nauha__repeat){
        .identity = candidate->tensor->identity,
        .hashed = hash != NULL,
        .bytes = candidate->bytes,
        .dtype = candidate->tensor->dtype,
        .bits = candidate->bits,
        .source = candidate->source,
        .place = place,
    };
    if (hash)
        memcpy(repeat->hash, hash, sizeof repeat->hash);
}
