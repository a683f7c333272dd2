/* SPDX-License-Identifier: MIT */
/* The registered HDF5 filter 32004 (lz4) as a plugin, for systems that have none. A chunk is its
 * decoded size in 8 bytes and the size of a block in 4; then, for each block, the size of its data
 * in 4 bytes, and the data. All numbers are big-endian. A block whose data are as large as the
 * block is stored uncompressed. Client data: the size of a block; 1 GiB if it is missing.
 *
 * Threads: any thread; each call has memory of its own.
 */
#include <lz4.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "nauha/internal/codec.h"
#include "recorder/hdf5-filters/plugin.h"

#define HEADER 12u
#define BLOCK (1u << 30)
/* A byte of lz4 data cannot stand for more bytes than this: a chunk that claims to hold more is
 * damaged. */
#define CONTENT_PER_BYTE 255u

static uint32_t get(const unsigned char *from) {
    return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 | from[3];
}

static void put(unsigned char *to, uint32_t value) {
    for (unsigned i = 0; i < 4; i++)
        to[i] = (unsigned char)(value >> (24 - 8 * i));
}

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Decodes one block after another. Returns false if they are damaged. */
static bool decode_blocks(const unsigned char *in, size_t left, size_t block, unsigned char *out,
                          size_t bytes) {
    while (bytes > 0) {
        const size_t part = smaller(bytes, block);
        if (left < 4)
            return false;
        const size_t size = get(in);
        in += 4;
        left -= 4;
        if (size > left || size > part + part / 255 + 16)
            return false;
        if (size == part)
            memcpy(out, in, part);
        else if (LZ4_decompress_safe((const char *)in, (char *)out, (int)size, (int)part) !=
                 (int)part)
            return false;
        in += size;
        left -= size;
        out += part;
        bytes -= part;
    }
    return true;
}

/* Decodes a chunk; *bytes is the size of its elements. NULL: it is damaged, or out of memory. */
static unsigned char *decode(const unsigned char *in, size_t size, size_t *bytes) {
    if (size < HEADER || get(in) != 0)
        return NULL;
    *bytes = get(in + 4);
    const size_t block = get(in + 8);
    if (*bytes == 0 || block == 0 || block > BLOCK || *bytes / CONTENT_PER_BYTE > size)
        return NULL;
    unsigned char *out = H5allocate_memory(*bytes, 0);
    if (out && !decode_blocks(in + HEADER, size - HEADER, block, out, *bytes)) {
        H5free_memory(out);
        return NULL;
    }
    return out;
}

/* Encodes elements; *size is the size of the result. NULL: out of memory, or there are too many
 * elements. */
static unsigned char *encode(const unsigned char *in, size_t bytes, size_t block, size_t *size) {
    if (bytes == 0 || bytes > UINT32_MAX || block == 0 || block > BLOCK)
        return NULL;
    const size_t blocks = (bytes + block - 1) / block;
    unsigned char *out = H5allocate_memory(HEADER + bytes + bytes / 255 + blocks * 20, 0);
    if (!out)
        return NULL;
    put(out, 0);
    put(out + 4, (uint32_t)bytes);
    put(out + 8, (uint32_t)smaller(block, bytes));
    *size = HEADER;
    for (size_t at = 0; at < bytes;) {
        const size_t part = smaller(bytes - at, block);
        unsigned char *data = out + *size + 4;
        int made = LZ4_compress_default((const char *)in + at, (char *)data, (int)part,
                                        LZ4_compressBound((int)part));
        if (made <= 0 || (size_t)made >= part) {
            memcpy(data, in + at, part);
            made = (int)part;
        }
        put(data - 4, (uint32_t)made);
        *size += 4 + (size_t)made;
        at += part;
    }
    return out;
}

static size_t filter(unsigned flags, size_t value_count, const unsigned values[], size_t bytes,
                     size_t *buffer_size, void **buffer) {
    size_t size = 0;
    void *result =
        flags & H5Z_FLAG_REVERSE
            ? decode(*buffer, bytes, &size)
            : encode(*buffer, bytes, value_count && values[0] ? values[0] : BLOCK, &size);
    return plugin_replace(result, size, size, buffer_size, buffer);
}

PLUGIN(NAUHA__FILTER_LZ4, "lz4")
