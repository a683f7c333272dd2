/* SPDX-License-Identifier: MIT */
/* A standard zstd frame of byte planes, which spends no time on noise. Every zstd decoder reads it.
 *
 * Trained floats consist of a compressible sign and exponent and of mantissa bits that are noise.
 * The entropy of each byte plane is estimated from a sample. Planes of noise become raw blocks,
 * which the shuffle writes directly into the frame. The planes from the first to the last
 * compressible one are compressed: by our own Huffman encoder or, where bytes repeat, by zstd,
 * whose blocks are put into the same frame. Constant planes at either end of those become RLE
 * blocks.
 *
 * Threads: one object per thread.
 */
#ifndef NAUHA_RECORDER_CORE_CODEC_PLANE_FRAME_H
#define NAUHA_RECORDER_CORE_CODEC_PLANE_FRAME_H

#include <stdbool.h>
#include <stddef.h>

struct nauha__plane_frame;

/* For chunks of at most max_bytes bytes; level is that of zstd's compressor. NULL when out of
 * memory. Caller owns, release with nauha__plane_frame_free. */
struct nauha__plane_frame *nauha__plane_frame_new(size_t max_bytes, int level);
void nauha__plane_frame_free(struct nauha__plane_frame *frame);

/* The default level: our own Huffman encoder compresses the planes, and zstd only those in which
 * bytes repeat. At every other level zstd compresses all of them. */
#define NAUHA__PLANE_FRAME_LEVEL (-1000)

size_t nauha__plane_frame_bound(size_t bytes);

/* The content of one frame: byte planes of items, and the bytes after them. */
struct nauha__image {
    size_t item_size, count;
    const void *items;
    size_t head; /* number of items at the front that are unlike the others */
    const void *tail;
    size_t tail_bytes;
};

static inline size_t nauha__image_bytes(const struct nauha__image *image) {
    return image->item_size * image->count + image->tail_bytes;
}

/* Writes the frame to dst, which has room for nauha__plane_frame_bound of the image's bytes.
 * Returns its size; 0 if nothing is to be gained or zstd failed. */
size_t nauha__plane_frame_encode(struct nauha__plane_frame *frame, const struct nauha__image *image,
                                 void *dst);

/* Bytes of entropy-coded literals in a zstd frame, according to the headers of its blocks; counting
 * ends at the first invalid one. The frame is untrusted. */
size_t nauha__plane_frame_coded_bytes(const void *frame, size_t size);

#endif
