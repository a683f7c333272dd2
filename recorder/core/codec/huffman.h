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

/* Writes the content of a compressed block, without the block's header. size is between
 * NAUHA__HUFFMAN_MIN and NAUHA__HUFFMAN_MAX; dst has room for as many bytes. Returns how many bytes
 * were written; 0 if they would not be fewer than `size` or all bytes are the same, and then dst is
 * unchanged. */
size_t nauha__huffman_encode(struct nauha__huffman *huffman, const unsigned char *src, size_t size,
                             unsigned char *dst);

#endif
