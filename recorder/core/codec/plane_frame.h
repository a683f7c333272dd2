/* SPDX-License-Identifier: MIT */
/* One standard zstd frame of byte planes, made without spending time on noise.
 *
 * Trained floats are mantissa noise under a compressible sign and exponent. Each byte plane's
 * entropy is estimated from a sample; planes of noise become raw blocks, which the shuffle writes
 * straight into the frame; the planes between the first and the last compressible one are coded in
 * blocks of their own: Huffman-coded by us, or, where bytes repeat, as one sub-frame by zstd, whose
 * blocks are put into the same frame; constant planes at either end of those become RLE blocks. Any
 * zstd decoder reads it.
 *
 * Threads: one object per thread.
 */
#ifndef NAUHA_RECORDER_CORE_CODEC_PLANE_FRAME_H
#define NAUHA_RECORDER_CORE_CODEC_PLANE_FRAME_H

#include <stdbool.h>
#include <stddef.h>

struct nauha__plane_frame;

/* For chunks of at most max_bytes; level is that of zstd's compressor. NULL when out of memory. */
struct nauha__plane_frame *nauha__plane_frame_new(size_t max_bytes, int level);
void nauha__plane_frame_free(struct nauha__plane_frame *frame);

/* The default: planes are coded by our own Huffman encoder, and zstd takes only those in which
 * bytes repeat. Any other level is zstd's alone. */
#define NAUHA__PLANE_FRAME_LEVEL (-1000)

size_t nauha__plane_frame_bound(size_t bytes);

/* What is put into one frame: byte planes of items, and bytes behind them. */
struct nauha__image {
    size_t item_size, count;
    const void *items;
    size_t head; /* so many items at the front are unlike the others; 0: none */
    const void *tail;
    size_t tail_bytes;
};

static inline size_t nauha__image_bytes(const struct nauha__image *image) {
    return image->item_size * image->count + image->tail_bytes;
}

/* Writes the frame to dst, which has room for the bound of the image's bytes. Returns its size; 0
 * where there is nothing to gain or zstd refused. */
size_t nauha__plane_frame_encode(struct nauha__plane_frame *frame, const struct nauha__image *image,
                                 void *dst);

/* Bytes of entropy-coded literals in a zstd frame, which is untrusted: what its blocks' headers say
 * up to the first that makes no sense. */
size_t nauha__plane_frame_coded_bytes(const void *frame, size_t size);

#endif
