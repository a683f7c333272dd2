/* SPDX-License-Identifier: MIT */
/* Tensors that are stored already; see repeats.h. */
#include "recorder/repeats.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

/* Below this a copy costs no more than finding out. */
#define WORTH_BYTES 1024u
#define SAMPLES 16u
#define SAMPLE_BYTES 64u

static bool is_worth_it(const struct nauha_tensor *tensor, size_t bytes) {
    return tensor->identity != 0 && tensor->strides == NULL && bytes >= WORTH_BYTES;
}

/* Hash of a sample of the elements. A front end cannot see every way of writing to a tensor behind
 * PyTorch's back; what changes a tensor as a whole shows here. */
static uint64_t fingerprint(const struct nauha_tensor *tensor, size_t bytes) {
    const unsigned char *data = tensor->data;
    size_t stride = (bytes - SAMPLE_BYTES) / (SAMPLES - 1);
    uint64_t hash = 0;
    for (size_t i = 0; i < SAMPLES; i++)
        hash = XXH3_64bits_withSeed(data + i * stride, SAMPLE_BYTES, hash);
    return hash;
}

bool nauha__repeats_find(const struct nauha__repeats *repeats, const struct nauha_tensor *tensor,
                         size_t bytes, unsigned bits, struct nauha__place *place) {
    if (!is_worth_it(tensor, bytes))
        return false;
    const struct nauha__repeat *repeat = &repeats->ring[tensor->identity % NAUHA__REPEATS];
    if (repeat->identity != tensor->identity || repeat->bytes != bytes ||
        repeat->dtype != tensor->dtype || repeat->bits != bits ||
        repeat->fingerprint != fingerprint(tensor, bytes))
        return false;
    *place = repeat->place;
    return true;
}

void nauha__repeats_note(struct nauha__repeats *repeats, const struct nauha_tensor *tensor,
                         size_t bytes, unsigned bits, struct nauha__place place) {
    if (!is_worth_it(tensor, bytes))
        return;
    repeats->ring[tensor->identity % NAUHA__REPEATS] = (struct nauha__repeat){
        .identity = tensor->identity,
        .fingerprint = fingerprint(tensor, bytes),
        .bytes = bytes,
        .dtype = tensor->dtype,
        .bits = bits,
        .place = place,
    };
}
