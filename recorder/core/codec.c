/* SPDX-License-Identifier: MIT */
/* One chunk, encoded for the filters sparse or shuffle, then zstd or lz4, and decoded.
 *
 * Threads: one codec object per thread.
 */
#include "nauha/internal/codec.h"

#include <lz4.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "nauha/internal/arithmetic.h"
#include "recorder/core/plane_frame.h"
#include "recorder/core/shuffle.h"
#include "recorder/core/sparse.h"

/* Filter 32004: total size in 8 bytes, block size in 4, then per block its size in 4, all
 * big-endian. */
#define LZ4_HEADER 16u

struct nauha__codec {
    struct nauha__codec_config config;
    size_t max_bytes;
    struct nauha__plane_frame *frame;
    ZSTD_DCtx *zstd;
    unsigned char *scratch; /* byte planes: a shuffled chunk, or a sparse one */
    unsigned char *packed;  /* the items of a sparse chunk */
    unsigned char *bitmap;  /* and where they stand */
};

/* ---- configuration ---- */

/* The method and its level, in text of `length` bytes. */
static enum nauha_status parse_method(const char *text, size_t length,
                                      struct nauha__codec_config *config, struct nauha_error *err) {
    static const char zstd_level[] = "zstd:";
    char method[32] = "";
    int64_t level = 0;
    if (length < sizeof method)
        memcpy(method, text, length);
    if (strcmp(method, "zstd") == 0) {
        config->method = NAUHA__CODEC_ZSTD;
    } else if (strcmp(method, "lz4") == 0) {
        config->method = NAUHA__CODEC_LZ4;
    } else if (strncmp(text, zstd_level, sizeof zstd_level - 1) == 0) {
        if (nauha__parse_i64(method + sizeof zstd_level - 1, &level, NULL) != NAUHA_OK ||
            level < ZSTD_minCLevel() || level > ZSTD_maxCLevel() || level == 0)
            return nauha_error_set(err, NAUHA_INVALID,
                                   "codec \"%s\": the level is a whole number from %d to %d, not 0",
                                   text, ZSTD_minCLevel(), ZSTD_maxCLevel());
        config->method = NAUHA__CODEC_ZSTD;
        config->level = (int)level;
        config->has_level = true;
    } else if (strcmp(method, "none") != 0) {
        return nauha_error_set(err, NAUHA_INVALID,
                               "no codec \"%s\"; codecs: zstd, zstd:LEVEL, lz4, none", text);
    }
    return NAUHA_OK;
}

enum nauha_status nauha__codec_parse(const char *text, struct nauha__codec_config *config,
                                     struct nauha_error *err) {
    struct nauha__codec_config parsed = {.method = NAUHA__CODEC_NONE};
    size_t length = strcspn(text, ",");
    enum nauha_status status = parse_method(text, length, &parsed, err);
    if (status != NAUHA_OK)
        return status;
    if (text[length] == ',') {
        if (strcmp(text + length, ",standard") != 0 || parsed.method == NAUHA__CODEC_NONE)
            return nauha_error_set(err, NAUHA_INVALID,
                                   "codec \"%s\": only \"standard\" may follow zstd and lz4, as in "
                                   "zstd,standard",
                                   text);
        parsed.standard = true;
    }
    *config = parsed;
    return NAUHA_OK;
}

struct nauha__codec *nauha__codec_new(const struct nauha__codec_config *config, size_t max_bytes) {
    struct nauha__codec *codec = calloc(1, sizeof *codec);
    if (!codec)
        return NULL;
    codec->config = *config;
    codec->max_bytes = max_bytes;
    codec->scratch = malloc(max_bytes + 1);
    codec->packed = malloc(max_bytes + NAUHA__SPARSE_SLACK);
    codec->bitmap = malloc(nauha__sparse_bitmap_bytes(max_bytes / 2) + 8);
    bool good = codec->scratch && codec->packed && codec->bitmap;
    if (good && config->method == NAUHA__CODEC_ZSTD) {
        int level = config->has_level ? config->level : NAUHA__PLANE_FRAME_LEVEL;
        codec->frame = nauha__plane_frame_new(max_bytes, level);
        codec->zstd = ZSTD_createDCtx();
        good = codec->frame && codec->zstd;
    }
    if (good)
        return codec;
    nauha__codec_free(codec);
    return NULL;
}

void nauha__codec_free(struct nauha__codec *codec) {
    if (!codec)
        return;
    nauha__plane_frame_free(codec->frame);
    ZSTD_freeDCtx(codec->zstd);
    free(codec->scratch);
    free(codec->packed);
    free(codec->bitmap);
    free(codec);
}

size_t nauha__codec_bound(size_t bytes) {
    size_t zstd = nauha__plane_frame_bound(bytes);
    size_t lz4 = LZ4_HEADER + bytes + bytes / 255 + 16;
    return zstd > lz4 ? zstd : lz4;
}

/* ---- encoding ---- */

static void put_be32(unsigned char *at, uint32_t value) {
    for (unsigned i = 0; i < 4; i++)
        at[i] = (unsigned char)(value >> (24 - 8 * i));
}

static uint32_t get_be32(const unsigned char *at) {
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* One block. Returns 0 where it does not shrink. */
static size_t encode_lz4(struct nauha__codec *codec, size_t item_size, const void *items,
                         size_t count, const void *tail, size_t tail_bytes, unsigned char *dst) {
    size_t bytes = item_size * count + tail_bytes;
    if (bytes <= LZ4_HEADER || bytes > LZ4_MAX_INPUT_SIZE)
        return 0;
    nauha__shuffle(item_size, items, item_size * count, codec->scratch);
    if (tail_bytes)
        memcpy(codec->scratch + item_size * count, tail, tail_bytes);
    int size = LZ4_compress_default((const char *)codec->scratch, (char *)dst + LZ4_HEADER,
                                    (int)bytes, (int)(bytes - LZ4_HEADER));
    if (size <= 0)
        return 0;
    put_be32(dst, 0); /* chunks are far below 4 GiB */
    put_be32(dst + 4, (uint32_t)bytes);
    put_be32(dst + 8, (uint32_t)bytes);
    put_be32(dst + 12, (uint32_t)size);
    return LZ4_HEADER + (size_t)size;
}

/* The byte planes of some items and a tail, compressed; 0: it would not shrink. */
static size_t encode_planes(struct nauha__codec *codec, size_t item_size, const void *items,
                            size_t count, const void *tail, size_t tail_bytes, void *dst) {
    size_t size = codec->config.method == NAUHA__CODEC_ZSTD
                      ? nauha__plane_frame_encode(codec->frame, item_size, items, count, tail,
                                                  tail_bytes, dst)
                      : encode_lz4(codec, item_size, items, count, tail, tail_bytes, dst);
    return size < item_size * count + tail_bytes ? size : 0;
}

/* A chunk with many zeros. 0: it would not shrink. */
static size_t encode_sparse(struct nauha__codec *codec, size_t item_size, const void *src,
                            size_t bytes, unsigned char *dst, uint32_t *filter_mask) {
    size_t count = bytes / item_size, bitmap = nauha__sparse_bitmap_bytes(count);
    size_t kept = nauha__sparse_pack(item_size, src, count, codec->packed, codec->bitmap);
    size_t plain = kept * item_size + bitmap;
    if (plain >= bytes)
        return 0;
    *filter_mask = NAUHA__MASK_SPARSE;
    size_t size = encode_planes(codec, item_size, codec->packed, kept, codec->bitmap, bitmap, dst);
    if (size)
        return size;
    *filter_mask = NAUHA__MASK_SPARSE_RAW;
    nauha__shuffle(item_size, codec->packed, kept * item_size, dst);
    memcpy(dst + kept * item_size, codec->bitmap, bitmap);
    return plain;
}

void nauha__codec_encode(struct nauha__codec *codec, size_t item_size, const void *src,
                         size_t bytes, void *dst, size_t *stored, uint32_t *filter_mask) {
    bool compressed = codec->config.method != NAUHA__CODEC_NONE;
    *stored = 0;
    if (compressed && !codec->config.standard &&
        nauha__sparse_pays(item_size, src, bytes / item_size))
        *stored = encode_sparse(codec, item_size, src, bytes, dst, filter_mask);
    if (compressed && *stored == 0) {
        *filter_mask = NAUHA__MASK_SHUFFLED;
        *stored = encode_planes(codec, item_size, src, bytes / item_size, NULL, 0, dst);
    }
    if (*stored)
        return;
    if (bytes)
        memcpy(dst, src, bytes);
    *stored = bytes;
    *filter_mask = compressed ? NAUHA__MASK_RAW : 0;
}

/* ---- decoding; src is untrusted ---- */

static enum nauha_status damaged(const char *what, struct nauha_error *err) {
    return nauha_error_set(err, NAUHA_DAMAGED, "the chunk %s", what);
}

static enum nauha_status decode_zstd(struct nauha__codec *codec, const void *src, size_t stored,
                                     void *dst, size_t bytes, struct nauha_error *err) {
    /* A skippable frame has content size 0 too; encode makes no frame of nothing. */
    if (bytes == 0 || ZSTD_getFrameContentSize(src, stored) != bytes)
        return damaged("does not hold a zstd frame of its size", err);
    if (ZSTD_findFrameCompressedSize(src, stored) != stored)
        return damaged("holds more or less than one zstd frame", err);
    size_t size = ZSTD_decompressDCtx(codec->zstd, dst, bytes, src, stored);
    if (ZSTD_isError(size))
        return nauha_error_set(err, NAUHA_DAMAGED, "the chunk does not decompress: %s",
                               ZSTD_getErrorName(size));
    return size == bytes ? NAUHA_OK : damaged("decompresses to another size", err);
}

static enum nauha_status decode_lz4(const unsigned char *src, size_t stored, unsigned char *dst,
                                    size_t bytes, struct nauha_error *err) {
    if (stored < LZ4_HEADER - 4 || get_be32(src) != 0 || get_be32(src + 4) != bytes)
        return damaged("does not hold lz4 data of its size", err);
    size_t block = get_be32(src + 8), in = 12, out = 0;
    if (bytes && block == 0)
        return damaged("has lz4 blocks of no size", err);
    while (out < bytes) {
        size_t part = bytes - out < block ? bytes - out : block;
        if (stored - in < 4)
            return damaged("ends in the middle of its lz4 data", err);
        size_t size = get_be32(src + in);
        in += 4;
        if (size > stored - in || part > LZ4_MAX_INPUT_SIZE || size > INT32_MAX)
            return damaged("ends in the middle of its lz4 data", err);
        if (size == part)
            memcpy(dst + out, src + in, part);
        else if (LZ4_decompress_safe((const char *)src + in, (char *)dst + out, (int)size,
                                     (int)part) != (int)part)
            return damaged("does not decompress", err);
        in += size;
        out += part;
    }
    return in == stored ? NAUHA_OK : damaged("holds more than its lz4 data", err);
}

/* Bytes that a compressed chunk says it holds; SIZE_MAX: it does not say. */
static size_t content_size(const struct nauha__codec *codec, const unsigned char *src,
                           size_t stored) {
    if (codec->config.method == NAUHA__CODEC_ZSTD) {
        unsigned long long size = ZSTD_getFrameContentSize(src, stored);
        return size > SIZE_MAX ? SIZE_MAX : (size_t)size;
    }
    return stored < 8 || get_be32(src) ? SIZE_MAX : get_be32(src + 4);
}

static enum nauha_status decompress(struct nauha__codec *codec, uint32_t filter_mask,
                                    const void *src, size_t stored, void *dst, size_t bytes,
                                    struct nauha_error *err) {
    if (!(filter_mask & NAUHA__SKIP_COMPRESSION))
        return codec->config.method == NAUHA__CODEC_ZSTD
                   ? decode_zstd(codec, src, stored, dst, bytes, err)
                   : decode_lz4(src, stored, dst, bytes, err);
    if (stored != bytes)
        return damaged("is stored raw with another size", err);
    if (bytes)
        memcpy(dst, src, bytes);
    return NAUHA_OK;
}

/* A sparse chunk's image: byte planes of the items kept, then the bitmap. */
static enum nauha_status decode_sparse(struct nauha__codec *codec, size_t item_size,
                                       uint32_t filter_mask, const void *src, size_t stored,
                                       void *dst, size_t bytes, struct nauha_error *err) {
    size_t count = bytes / item_size, bitmap = nauha__sparse_bitmap_bytes(count);
    size_t plain =
        filter_mask & NAUHA__SKIP_COMPRESSION ? stored : content_size(codec, src, stored);
    if (item_size < 2 || plain < bitmap || plain >= bytes || (plain - bitmap) % item_size != 0)
        return damaged("has a sparse image of another size", err);
    enum nauha_status status =
        decompress(codec, filter_mask, src, stored, codec->scratch, plain, err);
    if (status != NAUHA_OK)
        return status;
    size_t kept = (plain - bitmap) / item_size;
    if (nauha__sparse_bits(codec->scratch + plain - bitmap, count) != kept)
        return damaged("has a bitmap of another number of items", err);
    nauha__unshuffle(item_size, codec->scratch, kept * item_size, codec->packed);
    memset(codec->packed + kept * item_size, 0, NAUHA__SPARSE_SLACK);
    nauha__sparse_expand(item_size, codec->packed, codec->scratch + plain - bitmap, count, dst);
    return NAUHA_OK;
}

enum nauha_status nauha__codec_decode(struct nauha__codec *codec, size_t item_size,
                                      uint32_t filter_mask, const void *src, size_t stored,
                                      void *dst, size_t bytes, struct nauha_error *err) {
    if (codec->config.method == NAUHA__CODEC_NONE)
        filter_mask = NAUHA__MASK_RAW; /* its streams have no filters to skip */
    bool sparse = !(filter_mask & NAUHA__SKIP_SPARSE);
    bool shuffled = !(filter_mask & NAUHA__SKIP_SHUFFLE);
    if (filter_mask > NAUHA__MASK_RAW || (sparse && shuffled))
        return damaged("skips filters that there are not", err);
    if (bytes > codec->max_bytes)
        return damaged("is larger than a chunk can be", err);
    if (sparse)
        return decode_sparse(codec, item_size, filter_mask, src, stored, dst, bytes, err);
    void *plain = shuffled ? codec->scratch : dst;
    enum nauha_status status = decompress(codec, filter_mask, src, stored, plain, bytes, err);
    if (status == NAUHA_OK && shuffled)
        nauha__unshuffle(item_size, codec->scratch, bytes, dst);
    return status;
}
