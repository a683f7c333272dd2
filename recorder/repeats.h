/* SPDX-License-Identifier: MIT */
/* Finding tensors that are stored already. A module's output is often also that of the module
 * inside it, or a view of its input, and addition passes one gradient on to both of its inputs. The
 * front end gives tensors that are probably the same one identity. If their bytes also have the
 * same hash, the second message refers to the elements of the first.
 *
 * The identity alone is not enough: elements can be written where no framework counts it, for
 * example through memory that is shared with NumPy. Comparing a sample of the elements is not
 * enough either. Two different tensors have the same 128-bit hash by accident once in 10^38 pairs.
 *
 * Most tensors never come again, and hashing them would be a waste. So each source of messages has
 * a count of the tensors in a row that did not come again. Once the count is high, tensors of this
 * source are stored without being hashed; if one of them does come again, it is stored a second
 * time, and the source is hashed from then on.
 *
 * Threads: the recorder's publish lock.
 */
#ifndef NAUHA_RECORDER_REPEATS_H
#define NAUHA_RECORDER_REPEATS_H

#include "recorder/buffer.h"

/* How many tensors are remembered: a repeat comes soon or not at all. */
#define NAUHA__REPEATS 1024u
/* The number of different sources. Sources that share a number by accident may cost needless
 * hashing. */
#define NAUHA__REPEAT_SOURCES (1u << NAUHA__REPEAT_SOURCE_BITS)
#define NAUHA__REPEAT_SOURCE_BITS 14u

/* A tensor on its way to the trace. */
struct nauha__candidate {
    const struct nauha_tensor *tensor;
    size_t bytes;
    unsigned bits;   /* that it is rounded to; 0: all */
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
    uint8_t alone[NAUHA__REPEAT_SOURCES]; /* tensors in a row that did not come again */
};

/* The source of a message, a number below NAUHA__REPEAT_SOURCES. */
uint32_t nauha__repeats_source(uint32_t kind, uint32_t module, uint32_t slot, uint32_t call);
/* Whether the tensor was noted before; *place is then where its elements lie. */
bool nauha__repeats_find(struct nauha__repeats *repeats, const struct nauha__candidate *candidate,
                         struct nauha__place *place);
/* Whether nauha__repeats_note will want the tensor's hash. */
bool nauha__repeats_wants_hash(const struct nauha__repeats *repeats,
                               const struct nauha__candidate *candidate);
/* Notes that the tensor's elements have been stored at `place`. hash: of these elements before
 * rounding; NULL: not known. */
void nauha__repeats_note(struct nauha__repeats *repeats, const struct nauha__candidate *candidate,
                         const uint64_t *hash, struct nauha__place place);

#endif
