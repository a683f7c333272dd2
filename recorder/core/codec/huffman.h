/* SPDX-License-Identifier: MIT */
/* Blocks of Huffman-coded bytes as zstd's decoder reads them: RFC 8878, sections 3.1.1.3 and 4.2,
 * with literals only. Bytes are coded two at a time, which zstd's own encoder does not do.
 *
 * Threads: one object per thread.
 */
#ifndef NAUHA_RECORDER_CORE_CODEC_HUFFMAN_H
#define NAUHA_RECORDER_CORE_CODEC_HUFFMAN_H

#include <stddef.h>

struct nauha__huffman;

/* NULL when out of memory. */
struct nauha__huffman *nauha__huffman_new(void);
void nauha__huffman_free(struct nauha__huffman *huffman);

#define NAUHA__HUFFMAN_MIN 1024u
#define NAUHA__HUFFMAN_MAX (128u * 1024u)

/* Writes what stands in a compressed block, without the block's header, for between
 * NAUHA__HUFFMAN_MIN and NAUHA__HUFFMAN_MAX bytes. dst has room for `size` bytes. Returns the bytes
 * written; 0 where they would not be fewer, or all bytes are the same: dst is as it was then. */
size_t nauha__huffman_encode(struct nauha__huffman *huffman, const unsigned char *src, size_t size,
                             unsigned char *dst);

#endif
