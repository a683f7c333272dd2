/* SPDX-License-Identifier: MIT */
/* Compressing one chunk of a stream so that stock HDF5 filters read it back: shuffle followed by
 * zstd (filter 32015) or lz4 (filter 32004).
 *
 * Threads: one codec object per thread.
 */
#ifndef NAUHA_INTERNAL_CODEC_H
#define NAUHA_INTERNAL_CODEC_H

#include "nauha/tensor.h"

#define NAUHA__FILTER_ZSTD 32015u
#define NAUHA__FILTER_LZ4 32004u
/* Filter mask of a chunk stored raw: both filters of the pipeline skipped. */
#define NAUHA__MASK_RAW 3u

enum nauha__codec_method { NAUHA__CODEC_NONE, NAUHA__CODEC_LZ4, NAUHA__CODEC_ZSTD };

struct nauha__codec_config {
    enum nauha__codec_method method;
    int level;      /* of zstd's entropy stage; see has_level */
    bool has_level; /* false: the measured default */
};

/* "zstd", "zstd:LEVEL", "lz4", "none". INVALID names what is accepted. */
enum nauha_status nauha__codec_parse(const char *text, struct nauha__codec_config *config,
                                     struct nauha_error *err);

struct nauha__codec;

/* For chunks of at most max_bytes. NULL when out of memory. */
struct nauha__codec *nauha__codec_new(const struct nauha__codec_config *config, size_t max_bytes);
void nauha__codec_free(struct nauha__codec *codec);

/* Room that encode needs in dst for a chunk of `bytes`. */
size_t nauha__codec_bound(size_t bytes);

/* Encodes one chunk of `bytes` (a multiple of item_size; item_size 1, 2, 4 or 8) into dst. A
 * chunk that does not shrink is stored as it is, with *filter_mask NAUHA__MASK_RAW. Method NONE
 * always copies, with mask 0 (its streams have no filters). Cannot fail on any input. */
void nauha__codec_encode(struct nauha__codec *codec, size_t item_size, const void *src,
                         size_t bytes, void *dst, size_t *stored, uint32_t *filter_mask);

/* The reverse, for a chunk of exactly `bytes`. src is untrusted. DAMAGED: it does not decode to
 * exactly that. filter_mask bit 0 is shuffle, bit 1 compression; a set bit means skipped. */
enum nauha_status nauha__codec_decode(struct nauha__codec *codec, size_t item_size,
                                      uint32_t filter_mask, const void *src, size_t stored,
                                      void *dst, size_t bytes, struct nauha_error *err);

/* HDF5's byte shuffle of `bytes` / item_size items, and back; src and dst do not overlap. */
void nauha__shuffle(size_t item_size, const void *src, size_t bytes, void *dst);
void nauha__unshuffle(size_t item_size, const void *src, size_t bytes, void *dst);

#endif
