/* SPDX-License-Identifier: MIT */
/* Which tensors are stored already: a module's output is often that of the module within it, or a
 * view of its input, and a gradient goes back along both arms of a sum. The front end says that two
 * tensors are one, by their identity; then the second message refers to the elements of the first.
 *
 * Threads: the recorder's publish lock.
 */
#ifndef NAUHA_RECORDER_REPEATS_H
#define NAUHA_RECORDER_REPEATS_H

#include "recorder/buffer.h"

/* So many are remembered; a repeat comes soon or not at all. */
#define NAUHA__REPEATS 1024u

struct nauha__repeat {
    uint64_t identity; /* 0: none */
    uint64_t fingerprint;
    size_t bytes;
    enum nauha_dtype dtype;
    unsigned bits; /* it was rounded to */
    struct nauha__place place;
};

struct nauha__repeats {
    struct nauha__repeat ring[NAUHA__REPEATS];
};

/* True, with where its elements lie, for a tensor of `bytes` bytes, rounded to `bits`, that was
 * noted before. */
bool nauha__repeats_find(const struct nauha__repeats *repeats, const struct nauha_tensor *tensor,
                         size_t bytes, unsigned bits, struct nauha__place *place);
/* The tensor's elements have been stored at `place`. */
void nauha__repeats_note(struct nauha__repeats *repeats, const struct nauha_tensor *tensor,
                         size_t bytes, unsigned bits, struct nauha__place place);

#endif
