/* SPDX-License-Identifier: MIT */
/* Which tensors are stored already: a module's output is often that of the module within it, or a
 * view of its input, and a gradient goes back along both arms of a sum. The front end says that two
 * tensors are probably one, by their identity; where all of their bytes have the same hash, the
 * second message refers to the elements of the first.
 *
 * The identity alone would not do: elements can be written where no framework counts it, through
 * memory that is shared with NumPy, say. Nor would a sample of them. With 128 bits, two tensors
 * that differ have the same hash by accident once in 10^38 pairs.
 *
 * Most tensors never come again, and hashing those would be for nothing. So it is remembered of
 * each source of messages whether what it published came again lately; what it publishes is hashed
 * as it is stored until so much has not. Should it come again after that, it is stored again, and
 * hashed from then on.
 *
 * Threads: the recorder's publish lock.
 */
#ifndef NAUHA_RECORDER_REPEATS_H
#define NAUHA_RECORDER_REPEATS_H

#include "recorder/buffer.h"

/* So many are remembered; a repeat comes soon or not at all. */
#define NAUHA__REPEATS 1024u
/* Sources are told apart by a hash of so many values: two that share one may cost hashing. */
#define NAUHA__REPEAT_SOURCES (1u << NAUHA__REPEAT_SOURCE_BITS)
#define NAUHA__REPEAT_SOURCE_BITS 14u

/* A tensor on its way to the trace. */
struct nauha__candidate {
    const struct nauha_tensor *tensor;
    size_t bytes;
    unsigned bits;   /* it is rounded to */
    uint32_t source; /* see nauha__repeats_source */
};

struct nauha__repeat {
    uint64_t identity; /* 0: none */
    uint64_t hash[2];  /* of the elements that were stored, before they were rounded */
    bool hashed;
    size_t bytes;
    enum nauha_dtype dtype;
    unsigned bits;
    uint32_t source;
    struct nauha__place place;
};

struct nauha__repeats {
    struct nauha__repeat ring[NAUHA__REPEATS];
    uint8_t alone[NAUHA__REPEAT_SOURCES]; /* so many in a row did not come again */
};

/* Where a message comes from, below NAUHA__REPEAT_SOURCES. */
uint32_t nauha__repeats_source(uint32_t kind, uint32_t module, uint32_t slot, uint32_t call);
/* True, with where its elements lie, for a tensor that was noted before. */
bool nauha__repeats_find(struct nauha__repeats *repeats, const struct nauha__candidate *candidate,
                         struct nauha__place *place);
/* Whether nauha__repeats_note will want the tensor's hash. */
bool nauha__repeats_wants_hash(const struct nauha__repeats *repeats,
                               const struct nauha__candidate *candidate);
/* The tensor's elements have been stored at `place`; hash: of what was stored; NULL: not known. */
void nauha__repeats_note(struct nauha__repeats *repeats, const struct nauha__candidate *candidate,
                         const uint64_t *hash, struct nauha__place place);

#endif
