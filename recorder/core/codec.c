/* SPDX-License-Identifier: MIT */
/* One chunk, encoded for HDF5's shuffle followed by zstd (32015) or lz4 (32004), and decoded.
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

#define SKIP_SHUFFLE 1u
#define SKIP_COMPRESSION 2u
/* Filter 32004: total size in 8 bytes, block size in 4, then per block its size in 4, all
 * big-endian. */
#define LZ4_HEADER 16u

struct nauha__codec {
    struct nauha__codec_config config;
    size_t max_bytes;
    struct nauha__plane_frame *frame;
    ZSTD_DCtx *zstd;
    unsigned char *scratch; /* a shuffled chunk */
};

/* ---- configuration ---- */

enum nauha_status nauha__codec_parse(const char *text, struct nauha__codec_config *config,
                                     struct nauha_error *err) {
    static const char zstd_level[] = "zstd:";
    int64_t level = 0;
    struct nauha__codec_config parsed = {.method = NAUHA__CODEC_NONE};
    if (strcmp(text, "zstd") == 0) {
        parsed.method = NAUHA__CODEC_ZSTD;
    } else if (strcmp(text, "lz4") == 0) {
        parsed.method = NAUHA__CODEC_LZ4;
    } else if (strncmp(text, zstd_level, sizeof zstd_level - 1) == 0) {
        if (nauha__parse_i64(text + sizeof zstd_level - 1, &level, NULL) != NAUHA_OK ||
            level < ZSTD_minCLevel() || level > ZSTD_maxCLevel() || level == 0)
            return nauha_error_set(err, NAUHA_INVALID,
                                   "codec \"%s\": the level is a whole number from %d to %d, not 0",
                                   text, ZSTD_minCLevel(), ZSTD_maxCLevel());
        parsed = (struct nauha__codec_config){NAUHA__CODEC_ZSTD, (int)level, true};
    } else if (strcmp(text, "none") != 0) {
        return nauha_error_set(err, NAUHA_INVALID,
                               "no codec \"%s\"; codecs: zstd, zstd:LEVEL, lz4, none", text);
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
    codec->scratch = malloc(max_bytes ? max_bytes : 1);
    bool good = codec->scratch != NULL;
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
static size_t encode_lz4(struct nauha__codec *codec, size_t item_size, const void *src,
                         size_t bytes, unsigned char *dst) {
    if (bytes <= LZ4_HEADER || bytes > LZ4_MAX_INPUT_SIZE)
        return 0;
    nauha__shuffle(item_size, src, bytes, codec->scratch);
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

void nauha__codec_encode(struct nauha__codec *codec, size_t item_size, const void *src,
                         size_t bytes, void *dst, size_t *stored, uint32_t *filter_mask) {
    *filter_mask = 0;
    if (codec->config.method == NAUHA__CODEC_ZSTD)
        *stored = nauha__plane_frame_encode(codec->frame, item_size, src, bytes, dst);
    else if (codec->config.method == NAUHA__CODEC_LZ4)
        *stored = encode_lz4(codec, item_size, src, bytes, dst);
    else
        *stored = 0;
    if (*stored > 0 && *stored < bytes)
        return;
    if (bytes)
        memcpy(dst, src, bytes);
    *stored = bytes;
    if (codec->config.method != NAUHA__CODEC_NONE)
        *filter_mask = NAUHA__MASK_RAW;
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

enum nauha_status nauha__codec_decode(struct nauha__codec *codec, size_t item_size,
                                      uint32_t filter_mask, const void *src, size_t stored,
                                      void *dst, size_t bytes, struct nauha_error *err) {
    if (codec->config.method == NAUHA__CODEC_NONE)
        filter_mask |= NAUHA__MASK_RAW; /* its streams have no filters to skip */
    if (filter_mask > NAUHA__MASK_RAW)
        return damaged("skips filters that there are not", err);
    if (bytes > codec->max_bytes)
        return damaged("is larger than a chunk can be", err);
    bool shuffled = !(filter_mask & SKIP_SHUFFLE);
    void *plain = shuffled ? codec->scratch : dst;
    enum nauha_status status = NAUHA_OK;
    if (filter_mask & SKIP_COMPRESSION) {
        if (stored != bytes)
            return damaged("is stored raw with another size", err);
        if (bytes)
            memcpy(plain, src, bytes);
    } else if (codec->config.method == NAUHA__CODEC_ZSTD) {
        status = decode_zstd(codec, src, stored, plain, bytes, err);
    } else {
        status = decode_lz4(src, stored, plain, bytes, err);
    }
    if (status == NAUHA_OK && shuffled)
        nauha__unshuffle(item_size, codec->scratch, bytes, dst);
    return status;
}
