/* SPDX-License-Identifier: MIT */
/* The registered HDF5 filter 32015 (zstd) as a plugin, with which h5dump, h5py and other programs
 * that use HDF5 read traces when HDF5_PLUGIN_PATH names its folder.
 *
 * Threads: any thread; each call has its own context.
 */
#include <stdlib.h>
#include <zstd.h>

#include "nauha/internal/codec.h"
#include "recorder/hdf5-filters/plugin.h"

/* A block takes at least 4 bytes and holds at most 128 KiB (RFC 8878, 3.1.1.2): a frame that claims
 * more than this for each of its bytes is damaged. */
#define CONTENT_PER_BYTE 32768ull

/* Replaces the buffer of HDF5's filter pipeline. If the result is bad, frees it and fails. */
static size_t replace(void *result, size_t size, size_t room, size_t *buffer_size, void **buffer) {
    if (!ZSTD_isError(size))
        return plugin_replace(result, size, room, buffer_size, buffer);
    H5free_memory(result);
    return 0;
}

static size_t decode(size_t bytes, size_t *buffer_size, void **buffer) {
    unsigned long long content = ZSTD_getFrameContentSize(*buffer, bytes);
    if (content == ZSTD_CONTENTSIZE_ERROR || content == ZSTD_CONTENTSIZE_UNKNOWN || content == 0 ||
        content / CONTENT_PER_BYTE > bytes)
        return 0;
    void *result = H5allocate_memory((size_t)content, 0);
    if (!result)
        return 0;
    size_t size = ZSTD_decompress(result, (size_t)content, *buffer, bytes);
    return replace(result, size, (size_t)content, buffer_size, buffer);
}

static size_t encode(int level, size_t bytes, size_t *buffer_size, void **buffer) {
    size_t room = ZSTD_compressBound(bytes);
    void *result = H5allocate_memory(room, 0);
    if (!result)
        return 0;
    size_t size = ZSTD_compress(result, room, *buffer, bytes, level);
    return replace(result, size, room, buffer_size, buffer);
}

static size_t filter(unsigned flags, size_t value_count, const unsigned values[], size_t bytes,
                     size_t *buffer_size, void **buffer) {
    if (flags & H5Z_FLAG_REVERSE)
        return decode(bytes, buffer_size, buffer);
    int level = value_count > 0 ? (int)values[0] : ZSTD_CLEVEL_DEFAULT;
    return encode(level, bytes, buffer_size, buffer);
}

PLUGIN(NAUHA__FILTER_ZSTD, "zstd")
