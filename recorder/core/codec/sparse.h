/* SPDX-License-Identifier: MIT */
/* Zero suppression: a chunk as its items that are not zero, and a bitmap of where they stood.
 *
 * What a ReLU puts out, and the gradients that come back through it, are exact zeros to a third and
 * more. As byte planes those zeros would make every plane compressible and none of them small;
 * apart from the others they cost a bit each, and the others are what they were.
 *
 * A sparse chunk is byte plane 0 of the items that are not zero, plane 1, ..., then the bitmap: one
 * bit an item of the chunk, lowest bit first, set where the item is not zero (-0.0 is not). The
 * bitmap's length follows from the chunk's, the planes' from the rest.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_RECORDER_CORE_CODEC_SPARSE_H
#define NAUHA_RECORDER_CORE_CODEC_SPARSE_H

#include <stdbool.h>
#include <stddef.h>

/* Room that nauha__sparse_pack and nauha__sparse_expand may use past the last item they write or
 * read: whole vectors. */
#define NAUHA__SPARSE_SLACK 64u

static inline size_t nauha__sparse_bitmap_bytes(size_t count) {
    return (count + 7) / 8;
}

/* Whether so many items are zero, by a sample, that taking them out pays. Items of one byte: never,
 * there an entropy coder does as well. */
bool nauha__sparse_pays(size_t item_size, const void *items, size_t count);

/* Packs the items that are not zero into `packed` (room for all, and the slack), and fills in the
 * bitmap. Returns their number. item_size 2, 4 or 8. */
size_t nauha__sparse_pack(size_t item_size, const void *items, size_t count, void *packed,
                          unsigned char *bitmap);

/* The reverse. packed is followed by the slack. The bitmap has just packed_count bits set, which
 * the caller has made sure of. */
void nauha__sparse_expand(size_t item_size, const void *packed, const unsigned char *bitmap,
                          size_t count, void *items);

/* Bits set in a bitmap of `count` items, or SIZE_MAX where bits past its end are set. */
size_t nauha__sparse_bits(const unsigned char *bitmap, size_t count);

#endif
