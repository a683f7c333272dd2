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

/* The same of bytes that come in parts: begin, then add each, then end. */
struct nauha__hasher;
struct nauha__hasher *nauha__hasher_new(void); /* NULL: no memory. Release with _free. */
void nauha__hasher_free(struct nauha__hasher *hasher);
void nauha__hasher_begin(struct nauha__hasher *hasher);
void nauha__hasher_add(struct nauha__hasher *hasher, const void *bytes, size_t count);
void nauha__hasher_end(const struct nauha__hasher *hasher, uint64_t hash[2]);

#endif
