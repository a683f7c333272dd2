/* SPDX-License-Identifier: MIT */
/* Compressing one chunk of a stream so that HDF5's filters read it back. A stream's pipeline is
 * three filters, of which a chunk skips one or all: one of ours, shuffle (where ours is skipped),
 * zstd (32015) or lz4 (32004). Ours is sparse, for chunks with many zeros
 * (recorder/core/codec/sparse.h), or, in sliced streams, temporal (recorder/core/codec/temporal.h).
 *
 * Threads: one codec object per thread.
 */
#ifndef NAUHA_INTERNAL_CODEC_H
#define NAUHA_INTERNAL_CODEC_H

#include "nauha/tensor.h"

#define NAUHA__FILTER_ZSTD 32015u
#define NAUHA__FILTER_LZ4 32004u
/* Of the range that is nobody's. Its client data: item size, bytes of a chunk. */
#define NAUHA__FILTER_SPARSE 42042u
/* Also of that range. Its client data: item size, bytes of a chunk, slices of a chunk. */
#define NAUHA__FILTER_TEMPORAL 42043u

/* Bits of a chunk's filter mask: a set bit means that the filter was skipped. */
enum nauha__skip {
    NAUHA__SKIP_OURS = 1u << 0,
    NAUHA__SKIP_SHUFFLE = 1u << 1,
    NAUHA__SKIP_COMPRESSION = 1u << 2
};
/* The masks that encode gives. */
#define NAUHA__MASK_SHUFFLED NAUHA__SKIP_OURS
#define NAUHA__MASK_OURS NAUHA__SKIP_SHUFFLE
#define NAUHA__MASK_OURS_RAW (NAUHA__SKIP_SHUFFLE | NAUHA__SKIP_COMPRESSION)
#define NAUHA__MASK_RAW (NAUHA__SKIP_OURS | NAUHA__SKIP_SHUFFLE | NAUHA__SKIP_COMPRESSION)

enum nauha__codec_method { NAUHA__CODEC_NONE, NAUHA__CODEC_LZ4, NAUHA__CODEC_ZSTD };

struct nauha__codec_config {
    enum nauha__codec_method method;
    int level;      /* of zstd's entropy stage; see has_level */
    bool has_level; /* false: the measured default */
    bool standard;  /* registered filters alone: no sparse chunks */
    bool temporal;  /* parameters go to sliced streams */
};

/* "zstd", "zstd:LEVEL", "lz4", "none"; ",standard" or ",temporal" may follow all but "none".
 * INVALID names what is accepted. */
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

/* How a chunk of a sliced stream is filled: of its `slices` the first `rows`, of each of those the
 * first `width` items. */
struct nauha__slices {
    size_t slices, rows, width;
};

/* The same for a chunk of a sliced stream, whose items that are not used are zero; method NONE has
 * no such streams. */
void nauha__codec_encode_slices(struct nauha__codec *codec, size_t item_size,
                                const struct nauha__slices *slices, const void *src, size_t bytes,
                                void *dst, size_t *stored, uint32_t *filter_mask);

/* The reverse, for a chunk of exactly `bytes`, of a stream with so many slices to a chunk (1: not
 * sliced). src is untrusted. DAMAGED: it does not decode to exactly that. */
enum nauha_status nauha__codec_decode(struct nauha__codec *codec, size_t item_size, size_t slices,
                                      uint32_t filter_mask, const void *src, size_t stored,
                                      void *dst, size_t bytes, struct nauha_error *err);

/* Bytes that decoding such a chunk takes out of entropy-coded literals, which costs many times as
 * much as copying them: read off the headers of its blocks. src is untrusted; where it makes no
 * sense, what was counted up to there. */
size_t nauha__codec_coded_bytes(enum nauha__codec_method method, uint32_t filter_mask,
                                const void *src, size_t stored);

/* HDF5's byte shuffle of `bytes` / item_size items, and back; src and dst do not overlap. */
void nauha__shuffle(size_t item_size, const void *src, size_t bytes, void *dst);
void nauha__unshuffle(size_t item_size, const void *src, size_t bytes, void *dst);

#endif
