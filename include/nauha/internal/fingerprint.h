/* SPDX-License-Identifier: MIT */
/* Making a fingerprint of elements that come in pieces, and the form that it has in a trace.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_INTERNAL_FINGERPRINT_H
#define NAUHA_INTERNAL_FINGERPRINT_H

#include "nauha/fingerprint.h"
#include "nauha/internal/layout.h"
#include "nauha/internal/statistics.h"
#include "nauha/internal/tensor_hash.h"

struct nauha__fingerprinting {
    struct nauha__tensor_hasher hasher;
    struct nauha__pass pass;
    uint64_t count; /* of all elements */
    size_t sampled;
    struct nauha_fingerprint *out;
};

/* Begins the fingerprint of `count` elements, which `end` completes. out is borrowed until
 * then. */
void nauha__fingerprinting_begin(struct nauha__fingerprinting *making, uint64_t count,
                                 struct nauha_fingerprint *out);
/* Adds elements from number `first` on, which follow those before: a multiple of
 * NAUHA_PIECE_ELEMENTS of them, except in the last call. */
void nauha__fingerprinting_add(struct nauha__fingerprinting *making,
                               const struct nauha_tensor *piece, uint64_t first);
void nauha__fingerprinting_end(struct nauha__fingerprinting *making);

/* The fingerprint of `count` contiguous elements; the tensor's shape is not looked at. */
void nauha__fingerprint(const struct nauha_tensor *tensor, uint64_t count,
                        struct nauha_fingerprint *out);

/* To and from the form in a trace. count: of the tensor's elements. */
void nauha__fingerprint_pack(const struct nauha_fingerprint *fingerprint,
                             struct nauha__fingerprint_words *words);
void nauha__fingerprint_unpack(const struct nauha__fingerprint_words *words, uint64_t count,
                               struct nauha_fingerprint *fingerprint);

#endif
