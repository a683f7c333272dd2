/* SPDX-License-Identifier: MIT */
/* The hashes in a trace: XXH3 (https://xxhash.com) with seed 0.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_INTERNAL_HASH_H
#define NAUHA_INTERNAL_HASH_H

#include <stddef.h>
#include <stdint.h>

/* XXH3_64bits, the checksum of chunks. */
uint64_t nauha__hash64(const void *bytes, size_t count);
/* XXH3_128bits, the hash of tensors: its lower half, then its upper half. */
void nauha__hash128(const void *bytes, size_t count, uint64_t hash[2]);

/* nauha__hash128 of bytes in several parts: call begin, then add for each part, then end. Caller
 * owns a hasher, release with nauha__hasher_free; new returns NULL when out of memory. */
struct nauha__hasher;
struct nauha__hasher *nauha__hasher_new(void);
void nauha__hasher_free(struct nauha__hasher *hasher);
void nauha__hasher_begin(struct nauha__hasher *hasher);
void nauha__hasher_add(struct nauha__hasher *hasher, const void *bytes, size_t count);
void nauha__hasher_end(const struct nauha__hasher *hasher, uint64_t hash[2]);

#endif
