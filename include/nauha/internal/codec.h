/* SPDX-License-Identifier: MIT */
/* Compressing a chunk of a stream so that HDF5 can read it with filters. The filter pipeline of a
 * stream has three filters: one of nauha's own; HDF5's shuffle; and zstd (32015) or lz4 (32004).
 * Its own filter is sparse, for chunks with many zeros (recorder/core/codec/sparse.h), or in sliced
 * streams temporal (recorder/core/codec/temporal.h). A chunk uses either nauha's filter or shuffle,
 * or no filter at all; its filter mask says which filters it skips.
 *
 * Threads: one codec object per thread.
 */
#ifndef NAUHA_INTERNAL_CODEC_H
#define NAUHA_INTERNAL_CODEC_H

#include "nauha/tensor.h"

#define NAUHA__FILTER_ZSTD 32015u
#define NAUHA__FILTER_LZ4 32004u
/* These two numbers are from the range that the HDF Group does not assign. The client data of
 * sparse are the item size and the bytes of a chunk. */
#define NAUHA__FILTER_SPARSE 42042u
/* The client data of temporal are the item size, and the bytes and slices of a chunk. */
#define NAUHA__FILTER_TEMPORAL 42043u

/* Bits of a chunk's filter mask: a set bit means that the chunk skips the filter. */
enum nauha__skip {
    NAUHA__SKIP_OURS = 1u << 0,
    NAUHA__SKIP_SHUFFLE = 1u << 1,
    NAUHA__SKIP_COMPRESSION = 1u << 2
};
/* The masks that encoding produces. */
#define NAUHA__MASK_SHUFFLED NAUHA__SKIP_OURS
#define NAUHA__MASK_OURS NAUHA__SKIP_SHUFFLE
#define NAUHA__MASK_OURS_RAW (NAUHA__SKIP_SHUFFLE | NAUHA__SKIP_COMPRESSION)
#define NAUHA__MASK_RAW (NAUHA__SKIP_OURS | NAUHA__SKIP_SHUFFLE | NAUHA__SKIP_COMPRESSION)

enum nauha__codec_method { NAUHA__CODEC_NONE, NAUHA__CODEC_LZ4, NAUHA__CODEC_ZSTD };

struct nauha__codec_config {
    enum nauha__codec_method method;
    int level;      /* of zstd, if has_level */
    bool has_level; /* false: the default level */
    bool standard;  /* only registered filters: no sparse chunks */
    bool temporal;  /* parameters are stored in sliced streams */
    bool adaptive;  /* the recorder compresses as many chunks as it has time for */
};

/* Parses "zstd", "zstd:LEVEL", "lz4", "auto" or "none"; ",standard" or ",temporal" may follow all
 * but "none". INVALID: err says what is accepted. */
enum nauha_status nauha__codec_parse(const char *text, struct nauha__codec_config *config,
                                     struct nauha_error *err);

struct nauha__codec;

/* A codec for chunks of at most max_bytes; config is copied. NULL when out of memory. Caller owns,
 * release with nauha__codec_free. */
struct nauha__codec *nauha__codec_new(const struct nauha__codec_config *config, size_t max_bytes);
void nauha__codec_free(struct nauha__codec *codec);

/* The room in bytes that encoding a chunk of `bytes` needs in dst. */
size_t nauha__codec_bound(size_t bytes);

/* Encodes a chunk of `bytes`, a multiple of item_size, into dst; *stored is the encoded size. The
 * item size is 1, 2, 4 or 8. A chunk that does not shrink is copied, with the mask NAUHA__MASK_RAW.
 * The method NONE always copies, with the mask 0, because its streams have no filters. Encoding
 * cannot fail. */
void nauha__codec_encode(struct nauha__codec *codec, size_t item_size, const void *src,
                         size_t bytes, void *dst, size_t *stored, uint32_t *filter_mask);

/* The used part of a chunk of a sliced stream: the first `rows` of its `slices`, and in each of
 * these the first `width` items. */
struct nauha__slices {
    size_t slices, rows, width;
};

/* The same for a chunk of a sliced stream, whose unused items must be zero. The method must not be
 * NONE. */
void nauha__codec_encode_slices(struct nauha__codec *codec, size_t item_size,
                                const struct nauha__slices *slices, const void *src, size_t bytes,
                                void *dst, size_t *stored, uint32_t *filter_mask);

/* Decodes a chunk into exactly `bytes` in dst. slices: the slices per chunk of the stream, 1 if it
 * is not sliced. src is untrusted. DAMAGED: it does not decode to that size. */
enum nauha_status nauha__codec_decode(struct nauha__codec *codec, size_t item_size, size_t slices,
                                      uint32_t filter_mask, const void *src, size_t stored,
                                      void *dst, size_t bytes, struct nauha_error *err);

/* The number of bytes of an encoded chunk that come from entropy-coded literals, which take many
 * times longer to decode than bytes that are copied. It is read from the headers of the blocks. src
 * is untrusted; the count ends at the first header that is not valid. */
size_t nauha__codec_coded_bytes(enum nauha__codec_method method, uint32_t filter_mask,
                                const void *src, size_t stored);

/* HDF5's byte shuffle of `bytes` / item_size items, and its inverse. src and dst must not overlap.
 */
void nauha__shuffle(size_t item_size, const void *src, size_t bytes, void *dst);
void nauha__unshuffle(size_t item_size, const void *src, size_t bytes, void *dst);

#endif
