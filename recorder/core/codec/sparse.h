/* SPDX-License-Identifier: MIT */
/* Zero suppression: a chunk is stored as its items that are not zero, and a bitmap of their
 * positions.
 *
 * A third or more of the outputs of a ReLU, and of the gradients that pass back through it, are
 * exact zeros. As byte planes, these zeros would make every plane compressible and none of them
 * small. Taken out, each costs one bit, and the entropy of the other items is unchanged.
 *
 * A sparse chunk is byte plane 0 of the items that are not zero, plane 1 and so on, then the
 * bitmap: one bit for each item of the chunk, lowest bit first, set where the item is not zero
 * (-0.0 is not zero). The length of the bitmap follows from the size of the decoded chunk, that of
 * the planes from the rest.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_RECORDER_CORE_CODEC_SPARSE_H
#define NAUHA_RECORDER_CORE_CODEC_SPARSE_H

#include <stdbool.h>
#include <stddef.h>

/* How many bytes beyond the last item nauha__sparse_pack may write and nauha__sparse_expand may
 * read, because they work on whole vectors. */
#define NAUHA__SPARSE_SLACK 64u

static inline size_t nauha__sparse_bitmap_bytes(size_t count) {
    return (count + 7) / 8;
}

/* Whether a sample has so many zeros that taking them out pays. False for items of one byte, which
 * an entropy coder compresses as well. */
bool nauha__sparse_pays(size_t item_size, const void *items, size_t count);

/* Copies the items that are not zero to `packed`, which has room for all of them and the slack, and
 * fills in the bitmap. Returns their number. item_size is 2, 4 or 8. */
size_t nauha__sparse_pack(size_t item_size, const void *items, size_t count, void *packed,
                          unsigned char *bitmap);

/* The reverse. `packed` has the slack behind its items. The caller has checked that the number of
 * set bits is the number of packed items. */
void nauha__sparse_expand(size_t item_size, const void *packed, const unsigned char *bitmap,
                          size_t count, void *items);

/* The number of set bits in a bitmap of `count` items; SIZE_MAX if bits beyond its end are set. */
size_t nauha__sparse_bits(const unsigned char *bitmap, size_t count);

#endif
