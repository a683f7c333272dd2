/* SPDX-License-Identifier: MIT */
/* Encoding and decoding a chunk: one of the filters sparse, temporal and shuffle, then zstd or lz4.
 *
 * Threads: one codec object per thread.
 */
#include "nauha/internal/codec.h"

#include <lz4.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "nauha/internal/parse.h"
#include "recorder/core/codec/plane_frame.h"
#include "recorder/core/codec/shuffle.h"
#include "recorder/core/codec/sparse.h"
#include "recorder/core/codec/temporal.h"

/* Filter 32004: total size in 8 bytes, block size in 4, then per block its size in 4, all
 * big-endian. */
#define LZ4_HEADER 16u

struct nauha__codec {
    struct nauha__codec_config config;
    size_t max_bytes;
    struct nauha__plane_frame *frame;
    ZSTD_DCtx *zstd;
    unsigned char *scratch; /* byte planes: a shuffled chunk, or an image */
    unsigned char *packed;  /* the items of a sparse chunk, the residuals of a sliced one */
    unsigned char *bitmap;  /* the positions of these items */
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
    config->adaptive = strcmp(method, "auto") == 0;
    if (strcmp(method, "zstd") == 0 || config->adaptive) {
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
        return nauha_error_set(
            err, NAUHA_INVALID,
            "there is no codec \"%s\"; codecs: zstd, zstd:LEVEL, lz4, auto, none", text);
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
        parsed.standard = strcmp(text + length, ",standard") == 0;
        parsed.temporal = strcmp(text + length, ",temporal") == 0;
        if (parsed.standard == parsed.temporal || parsed.method == NAUHA__CODEC_NONE)
            return nauha_error_set(
                err, NAUHA_INVALID,
                "codec \"%s\": only \"standard\" or \"temporal\" may follow zstd, "
                "lz4 and auto, as in zstd,temporal",
                text);
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
    codec->scratch = malloc(max_bytes + NAUHA__TEMPORAL_TAIL);
    codec->packed = malloc(max_bytes + NAUHA__SPARSE_SLACK);
    codec->bitmap = malloc(nauha__sparse_bitmap_bytes(max_bytes / 2) + 8);
    bool good = codec->scratch && codec->packed && codec->bitmap;
    if (good && config->method == NAUHA__CODEC_ZSTD) {
        int level = config->has_level ? config->level : NAUHA__PLANE_FRAME_LEVEL;
        codec->frame = nauha__plane_frame_new(max_bytes + NAUHA__TEMPORAL_TAIL, level);
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
    bytes += NAUHA__TEMPORAL_TAIL;
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

/* Compresses one block. Returns 0 if it does not get smaller. */
static size_t encode_lz4(struct nauha__codec *codec, const struct nauha__image *image,
                         unsigned char *dst) {
    size_t planes = image->item_size * image->count, bytes = nauha__image_bytes(image);
    if (bytes <= LZ4_HEADER || bytes > LZ4_MAX_INPUT_SIZE)
        return 0;
    nauha__shuffle(image->item_size, image->items, planes, codec->scratch);
    if (image->tail_bytes)
        memcpy(codec->scratch + planes, image->tail, image->tail_bytes);
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

/* Compresses the byte planes of some items, and a tail. Returns 0 if they do not get smaller. */
static size_t encode_planes(struct nauha__codec *codec, const struct nauha__image *image,
                            void *dst) {
    size_t size = codec->config.method == NAUHA__CODEC_ZSTD
                      ? nauha__plane_frame_encode(codec->frame, image, dst)
                      : encode_lz4(codec, image, dst);
    return size < nauha__image_bytes(image) ? size : 0;
}

/* Stores an image of nauha's own filters, compressed if that makes it smaller. */
static size_t encode_image(struct nauha__codec *codec, const struct nauha__image *image,
                           unsigned char *dst, uint32_t *filter_mask) {
    *filter_mask = NAUHA__MASK_OURS;
    size_t size = encode_planes(codec, image, dst), planes = image->item_size * image->count;
    if (size)
        return size;
    *filter_mask = NAUHA__MASK_OURS_RAW;
    nauha__shuffle(image->item_size, image->items, planes, dst);
    memcpy(dst + planes, image->tail, image->tail_bytes);
    return nauha__image_bytes(image);
}

/* Encodes a chunk with many zeros. Returns 0 if it does not get smaller. */
static size_t encode_sparse(struct nauha__codec *codec, size_t item_size, const void *src,
                            size_t bytes, unsigned char *dst, uint32_t *filter_mask) {
    size_t count = bytes / item_size, bitmap = nauha__sparse_bitmap_bytes(count);
    size_t kept = nauha__sparse_pack(item_size, src, count, codec->packed, codec->bitmap);
    const struct nauha__image image = {.item_size = item_size,
                                       .count = kept,
                                       .items = codec->packed,
                                       .tail = codec->bitmap,
                                       .tail_bytes = bitmap};
    if (nauha__image_bytes(&image) >= bytes)
        return 0;
    return encode_image(codec, &image, dst, filter_mask);
}

static void store_raw(const void *src, size_t bytes, void *dst, size_t *stored) {
    if (bytes)
        memcpy(dst, src, bytes);
    *stored = bytes;
}

void nauha__codec_encode(struct nauha__codec *codec, size_t item_size, const void *src,
                         size_t bytes, void *dst, size_t *stored, uint32_t *filter_mask) {
    bool compressed = codec->config.method != NAUHA__CODEC_NONE;
    const struct nauha__image image = {
        .item_size = item_size, .count = bytes / item_size, .items = src};
    *stored = 0;
    if (compressed && !codec->config.standard && nauha__sparse_pays(item_size, src, image.count))
        *stored = encode_sparse(codec, item_size, src, bytes, dst, filter_mask);
    if (compressed && *stored == 0) {
        *filter_mask = NAUHA__MASK_SHUFFLED;
        *stored = encode_planes(codec, &image, dst);
    }
    if (*stored)
        return;
    store_raw(src, bytes, dst, stored);
    *filter_mask = compressed ? NAUHA__MASK_RAW : 0;
}

/* The image of a sliced chunk under one prediction. The first row's residuals are the values
 * themselves, unlike the others. */
static size_t encode_order(struct nauha__codec *codec, size_t item_size,
                           const struct nauha__temporal *about, const void *src, unsigned char *dst,
                           uint32_t *filter_mask) {
    unsigned char tail[NAUHA__TEMPORAL_TAIL];
    nauha__temporal_put_tail(about, tail);
    nauha__temporal_predict(about, item_size, src, codec->packed);
    const struct nauha__image image = {
        .item_size = item_size,
        .count = about->rows * about->width,
        .items = codec->packed,
        .head = about->order && about->rows > 1 ? about->width : 0,
        .tail = tail,
        .tail_bytes = sizeof tail,
    };
    return encode_image(codec, &image, dst, filter_mask);
}

void nauha__codec_encode_slices(struct nauha__codec *codec, size_t item_size,
                                const struct nauha__slices *slices, const void *src, size_t bytes,
                                void *dst, size_t *stored, uint32_t *filter_mask) {
    struct nauha__temporal about = {.slices = slices->slices,
                                    .slice = bytes / item_size / slices->slices,
                                    .rows = slices->rows,
                                    .width = slices->width,
                                    .order = NAUHA__ORDER_TWO};
    size_t used = about.rows * about.width * item_size, plain = 0;
    *stored = encode_order(codec, item_size, &about, src, dst, filter_mask);
    /* Values that do not lie on a line over the steps are as small without prediction, or smaller.
     */
    if (*stored > used - used / 8 && about.rows > 1) {
        about.order = NAUHA__ORDER_NONE;
        plain = encode_order(codec, item_size, &about, src, dst, filter_mask);
        if (plain > *stored) {
            about.order = NAUHA__ORDER_TWO;
            plain = encode_order(codec, item_size, &about, src, dst, filter_mask);
        }
        *stored = plain;
    }
    if (*stored < bytes)
        return;
    store_raw(src, bytes, dst, stored);
    *filter_mask = NAUHA__MASK_RAW;
}

/* ---- decoding; src is untrusted ---- */

static enum nauha_status damaged(const char *what, struct nauha_error *err) {
    return nauha_error_set(err, NAUHA_DAMAGED, "the chunk %s", what);
}

static enum nauha_status decode_zstd(struct nauha__codec *codec, const void *src, size_t stored,
                                     void *dst, size_t bytes, struct nauha_error *err) {
    /* A skippable frame also has content size 0; encode never makes a frame of 0 bytes. */
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

/* The number of bytes that a compressed chunk claims to hold; SIZE_MAX if it does not say. */
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

/* The number of bytes of an image; SIZE_MAX if it does not say. */
static size_t image_size(const struct nauha__codec *codec, uint32_t filter_mask, const void *src,
                         size_t stored) {
    return filter_mask & NAUHA__SKIP_COMPRESSION ? stored : content_size(codec, src, stored);
}

/* The image of a sparse chunk: byte planes of the nonzero items, then the bitmap. */
static enum nauha_status decode_sparse(struct nauha__codec *codec, size_t item_size,
                                       uint32_t filter_mask, const void *src, size_t stored,
                                       void *dst, size_t bytes, struct nauha_error *err) {
    size_t count = bytes / item_size, bitmap = nauha__sparse_bitmap_bytes(count);
    size_t plain = image_size(codec, filter_mask, src, stored);
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

/* The image of a sliced chunk: byte planes of the residuals, then a tail that describes them. */
static enum nauha_status decode_slices(struct nauha__codec *codec, size_t item_size, size_t slices,
                                       uint32_t filter_mask, const void *src, size_t stored,
                                       void *dst, size_t bytes, struct nauha_error *err) {
    struct nauha__temporal about = {.slices = slices, .slice = bytes / item_size / slices};
    size_t plain = image_size(codec, filter_mask, src, stored);
    if (plain < NAUHA__TEMPORAL_TAIL || plain > bytes + NAUHA__TEMPORAL_TAIL)
        return damaged("has a temporal image of another size", err);
    enum nauha_status status =
        decompress(codec, filter_mask, src, stored, codec->scratch, plain, err);
    if (status != NAUHA_OK)
        return status;
    size_t planes = plain - NAUHA__TEMPORAL_TAIL;
    if (!nauha__temporal_take_tail(&about, item_size, plain, codec->scratch + planes))
        return damaged("has a temporal image that does not fit it", err);
    nauha__unshuffle(item_size, codec->scratch, planes, codec->packed);
    nauha__temporal_restore(&about, item_size, codec->packed, dst);
    return NAUHA_OK;
}

enum nauha_status nauha__codec_decode(struct nauha__codec *codec, size_t item_size, size_t slices,
                                      uint32_t filter_mask, const void *src, size_t stored,
                                      void *dst, size_t bytes, struct nauha_error *err) {
    if (codec->config.method == NAUHA__CODEC_NONE)
        filter_mask = NAUHA__MASK_RAW; /* streams without filters have nothing to skip */
    bool ours = !(filter_mask & NAUHA__SKIP_OURS);
    bool shuffled = !(filter_mask & NAUHA__SKIP_SHUFFLE);
    if (filter_mask > NAUHA__MASK_RAW || (ours && shuffled))
        return damaged("skips filters that there are not", err);
    if (bytes > codec->max_bytes)
        return damaged("is larger than a chunk can be", err);
    if (slices == 0 || (slices > 1 && bytes % (item_size * slices) != 0))
        return damaged("has slices that do not fill it", err);
    if (ours && slices > 1)
        return decode_slices(codec, item_size, slices, filter_mask, src, stored, dst, bytes, err);
    if (ours)
        return decode_sparse(codec, item_size, filter_mask, src, stored, dst, bytes, err);
    void *plain = shuffled ? codec->scratch : dst;
    enum nauha_status status = decompress(codec, filter_mask, src, stored, plain, bytes, err);
    if (status == NAUHA_OK && shuffled)
        nauha__unshuffle(item_size, codec->scratch, bytes, dst);
    return status;
}

size_t nauha__codec_coded_bytes(enum nauha__codec_method method, uint32_t filter_mask,
                                const void *src, size_t stored) {
    bool zstd = method == NAUHA__CODEC_ZSTD && !(filter_mask & NAUHA__SKIP_COMPRESSION);
    return zstd ? nauha__plane_frame_coded_bytes(src, stored) : 0;
}
