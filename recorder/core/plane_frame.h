/* SPDX-License-Identifier: MIT */
/* One standard zstd frame of byte planes, made without spending time on noise.
 *
 * Trained floats are mantissa noise under a compressible sign and exponent. Each byte plane's
 * entropy is estimated from a sample; planes of noise become raw blocks, which the shuffle writes
 * straight into the frame; the planes between the first and the last compressible one are
 * compressed as one sub-frame, each in blocks of its own, and their blocks put into the same frame;
 * constant planes at either end of those become RLE blocks. Any zstd decoder reads it.
 *
 * Threads: one object per thread.
 */
#ifndef NAUHA_CORE_PLANE_FRAME_H
#define NAUHA_CORE_PLANE_FRAME_H

#include <stdbool.h>
#include <stddef.h>

struct nauha__plane_frame;

/* For chunks of at most max_bytes; level is that of zstd's compressor. NULL when out of memory. */
struct nauha__plane_frame *nauha__plane_frame_new(size_t max_bytes, int level);
void nauha__plane_frame_free(struct nauha__plane_frame *frame);

/* The level that measured best on trained tensors: literals are entropy coded, matches are hardly
 * looked for. */
#define NAUHA__PLANE_FRAME_LEVEL (-1000)

size_t nauha__plane_frame_bound(size_t bytes);

/* Writes the frame of the byte planes of `count` items, followed by tail_bytes bytes of tail (the
 * bitmap of a sparse chunk; 0: none), to dst, which has room for the bound of both. Returns its
 * size; 0 where there is nothing to gain or zstd refused. */
size_t nauha__plane_frame_encode(struct nauha__plane_frame *frame, size_t item_size,
                                 const void *items, size_t count, const void *tail,
                                 size_t tail_bytes, void *dst);

#endif
