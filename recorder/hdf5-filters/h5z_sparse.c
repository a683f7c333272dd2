/* SPDX-License-Identifier: MIT */
/* The filter of sparse chunks (recorder/core/codec/sparse.h) as an HDF5 plugin, with which h5dump,
 * h5py and other programs that use HDF5 read them. It only decodes: HDF5 skips it when a program
 * writes. Client data: item size, bytes of a chunk.
 *
 * Threads: any thread; each call has memory of its own.
 */
#include <stdint.h>
#include <string.h>

#include "nauha/internal/codec.h"
#include "recorder/core/codec/sparse.h"
#include "recorder/hdf5-filters/plugin.h"

struct chunk {
    size_t item_size, bytes, count, bitmap;
};

/* Decodes the image of a chunk. NULL: it is damaged, or out of memory. */
static void *expand(const struct chunk *chunk, const unsigned char *image, size_t size) {
    if (size < chunk->bitmap || (size - chunk->bitmap) % chunk->item_size != 0)
        return NULL;
    size_t packed_bytes = size - chunk->bitmap, kept = packed_bytes / chunk->item_size;
    const unsigned char *bitmap = image + packed_bytes;
    if (nauha__sparse_bits(bitmap, chunk->count) != kept)
        return NULL;
    unsigned char *packed = H5allocate_memory(packed_bytes + NAUHA__SPARSE_SLACK, 1);
    unsigned char *items = packed ? H5allocate_memory(chunk->bytes, 0) : NULL;
    if (items) {
        nauha__unshuffle(chunk->item_size, image, packed_bytes, packed);
        nauha__sparse_expand(chunk->item_size, packed, bitmap, chunk->count, items);
    }
    H5free_memory(packed);
    return items;
}

static size_t filter(unsigned flags, size_t value_count, const unsigned values[], size_t bytes,
                     size_t *buffer_size, void **buffer) {
    if (!(flags & H5Z_FLAG_REVERSE) || value_count != 2)
        return 0;
    struct chunk chunk = {.item_size = values[0], .bytes = values[1]};
    if ((chunk.item_size != 2 && chunk.item_size != 4 && chunk.item_size != 8) ||
        chunk.bytes == 0 || chunk.bytes % chunk.item_size != 0)
        return 0;
    chunk.count = chunk.bytes / chunk.item_size;
    chunk.bitmap = nauha__sparse_bitmap_bytes(chunk.count);
    void *result = expand(&chunk, *buffer, bytes);
    return plugin_replace(result, chunk.bytes, chunk.bytes, buffer_size, buffer);
}

PLUGIN(NAUHA__FILTER_SPARSE, "nauha sparse")
