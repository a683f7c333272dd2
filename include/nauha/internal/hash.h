/* SPDX-License-Identifier: MIT */
/* Hashes of bytes as a trace holds them: XXH3 of https://xxhash.com, seed 0.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_INTERNAL_HASH_H
#define NAUHA_INTERNAL_HASH_H

#include <stddef.h>
#include <stdint.h>

/* XXH3_64bits: the checksum of a chunk. */
uint64_t nauha__hash64(const void *bytes, size_t count);
/* XXH3_128bits, the low half first: what tells one tensor from another. */
void nauha__hash128(const void *bytes, size_t count, uint64_t hash[2]);

/* The same of bytes that come in pieces. NULL when out of memory; end releases it. */
struct nauha__hashing;
struct nauha__hashing *nauha__hashing_new(void);
void nauha__hashing_add(struct nauha__hashing *hashing, const void *bytes, size_t count);
void nauha__hashing_end(struct nauha__hashing *hashing, uint64_t hash[2]);

#endif
