/* SPDX-License-Identifier: MIT */
/* The hash of a tensor's elements, whose parts can be computed and added in any order, so that a
 * GPU gives the same; docs/format.md defines it.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_INTERNAL_TENSOR_HASH_H
#define NAUHA_INTERNAL_TENSOR_HASH_H

#include <stddef.h>
#include <stdint.h>

/* The bytes are rows of 8 words of 64 bits, one for each lane. Blocks of rows are hashed alone. */
#define NAUHA__HASH_LANES 8u
#define NAUHA__HASH_ROW_BYTES 64u
#define NAUHA__HASH_ROWS 64u /* in a block */

/* A hash of bytes that come in any parts: begin, add for each part, end. */
struct nauha__tensor_hasher {
    uint64_t lanes[2][NAUHA__HASH_LANES]; /* sums over the rows of the open block */
    uint64_t totals[2];                   /* of blocks that are complete */
    uint64_t bytes;
    unsigned char rest[NAUHA__HASH_ROW_BYTES]; /* the row that is not complete */
};
void nauha__tensor_hasher_begin(struct nauha__tensor_hasher *hasher);
void nauha__tensor_hasher_add(struct nauha__tensor_hasher *hasher, const void *bytes, size_t count);
void nauha__tensor_hasher_end(struct nauha__tensor_hasher *hasher, uint64_t hash[2]);

void nauha__tensor_hash(const void *bytes, size_t count, uint64_t hash[2]);

/* Code for a kind of processor. */
struct nauha__hash_version {
    const char *name;
    /* Adds rows of a block to its lanes; keys: of the first row. */
    void (*add_rows)(const unsigned char *bytes, size_t rows, const uint64_t *keys,
                     uint64_t lanes[2][NAUHA__HASH_LANES]);
    /* The two sums of a whole block. */
    void (*sum_block)(const unsigned char *bytes, uint64_t sums[2]);
};
/* Those that run on this processor, the fastest first, for tests. The last one runs everywhere. */
const struct nauha__hash_version *nauha__hash_versions(size_t *count);
/* The keys of a block's rows, and the one behind them. */
const uint64_t *nauha__hash_keys(void);

#endif
