/* SPDX-License-Identifier: MIT */
/* The plane frame; see plane_frame.h. The frame and block layout is RFC 8878, section 3.1.1.
 *
 * Threads: one object per thread.
 */
#include "recorder/core/codec/plane_frame.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <zstd.h>

#include "recorder/core/codec/huffman.h"
#include "recorder/core/codec/plane_sample.h"
#include "recorder/core/codec/shuffle.h"

#define MAGIC 0xFD2FB528u
#define BLOCK_MAX (128u * 1024u)
#define BLOCK_HEADER 3u
/* Magic number, descriptor, content size: what this file writes, in 4 + 1 + 4 bytes. */
#define FRAME_HEADER 9u
/* A sub-frame's own header, without content size: magic, descriptor, window. */
#define SUB_HEADER 6u
/* Planes of this many bits per byte or more are stored as they are. */
#define NOISE_BITS 7.0
/* Planes of fewer bits may consist mostly of one byte value: zstd may find matches in them, and no
 * Huffman code is shorter than a bit. */
#define MATCHES_BITS 1.0
/* zstd's level and shortest match, if the planes without matches are coded by our Huffman
 * encoder. */
#define MATCHES_LEVEL 1
#define MATCHES_LENGTH 7
/* Planes shorter than this share blocks, because a Huffman table for each would cost more than it
 * saves. */
#define SHARED_BLOCK 1024u
/* Parts shorter than this are not worth a compressed block. */
#define WORTH_A_BLOCK 64u

enum block_type { BLOCK_RAW = 0, BLOCK_RLE = 1, BLOCK_COMPRESSED = 2 };
enum literals_type { LITERALS_COMPRESSED = 2, LITERALS_TREELESS = 3 };

struct nauha__plane_frame {
    ZSTD_CCtx *zstd;
    struct nauha__huffman *huffman; /* NULL: a level of zstd was asked for */
    unsigned char *planes;          /* those that are not written straight into the frame */
    struct nauha__plane_sample *sample;
    size_t max_bytes;
};

struct nauha__plane_frame *nauha__plane_frame_new(size_t max_bytes, int level) {
    struct nauha__plane_frame *frame = calloc(1, sizeof *frame);
    if (!frame)
        return NULL;
    frame->max_bytes = max_bytes;
    frame->zstd = ZSTD_createCCtx();
    frame->planes = malloc(max_bytes + 64);
    frame->sample = nauha__plane_sample_new();
    const bool literals = level == NAUHA__PLANE_FRAME_LEVEL;
    if (literals)
        frame->huffman = nauha__huffman_new();
    if (!frame->zstd || !frame->planes || !frame->sample || (literals && !frame->huffman)) {
        nauha__plane_frame_free(frame);
        return NULL;
    }
    ZSTD_CCtx_setParameter(frame->zstd, ZSTD_c_compressionLevel, literals ? MATCHES_LEVEL : level);
    if (literals)
        ZSTD_CCtx_setParameter(frame->zstd, ZSTD_c_minMatch, MATCHES_LENGTH);
    ZSTD_CCtx_setParameter(frame->zstd, ZSTD_c_contentSizeFlag, 0);
    ZSTD_CCtx_setParameter(frame->zstd, ZSTD_c_checksumFlag, 0);
    return frame;
}

void nauha__plane_frame_free(struct nauha__plane_frame *frame) {
    if (!frame)
        return;
    ZSTD_freeCCtx(frame->zstd);
    nauha__huffman_free(frame->huffman);
    free(frame->planes);
    nauha__plane_sample_free(frame->sample);
    free(frame);
}

size_t nauha__plane_frame_bound(size_t bytes) {
    /* Every plane, and the head of every plane, may end in a block of its own. */
    size_t blocks = bytes / BLOCK_MAX + 3 * (NAUHA__ITEM_SIZE_MAX + 1);
    return FRAME_HEADER + ZSTD_compressBound(bytes) + blocks * BLOCK_HEADER + 64;
}

static size_t sub_frame_bound(size_t parts, size_t bytes) {
    return SUB_HEADER + ZSTD_compressBound(bytes) + 2 * parts * BLOCK_HEADER;
}

/* ---- writing blocks ---- */

static uint32_t get_le24(const unsigned char *at) {
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16;
}

struct output {
    unsigned char *at;
    unsigned char *last; /* header of the last block written */
};

static void put_block_header(struct output *out, size_t size, enum block_type type) {
    uint32_t value = (uint32_t)size << 3 | (uint32_t)type << 1;
    out->last = out->at;
    out->at[0] = (unsigned char)value;
    out->at[1] = (unsigned char)(value >> 8);
    out->at[2] = (unsigned char)(value >> 16);
    out->at += BLOCK_HEADER;
}

static void put_raw(struct output *out, const unsigned char *bytes, size_t size) {
    for (size_t done = 0; done < size; done += BLOCK_MAX) {
        size_t part = size - done < BLOCK_MAX ? size - done : BLOCK_MAX;
        put_block_header(out, part, BLOCK_RAW);
        memcpy(out->at, bytes + done, part);
        out->at += part;
    }
}

static bool is_constant(const unsigned char *plane, size_t count) {
    return count == 0 || memcmp(plane, plane + 1, count - 1) == 0;
}

/* Writes blocks of one byte value; returns false if the plane is not constant. */
static bool put_constant(struct output *out, const unsigned char *plane, size_t count) {
    if (!is_constant(plane, count))
        return false;
    for (size_t done = 0; done < count; done += BLOCK_MAX) {
        put_block_header(out, count - done < BLOCK_MAX ? count - done : BLOCK_MAX, BLOCK_RLE);
        *out->at++ = plane[0];
    }
    return true;
}

/* Part k of an image is plane k; the part after the last plane is the tail. */
static size_t part_size(const struct nauha__image *image, size_t k) {
    return k < image->item_size ? image->count : image->tail_bytes;
}

/* The number of bytes at the beginning of part k that have blocks of their own. */
static size_t head_size(const struct nauha__image *image, size_t k) {
    return k < image->item_size && image->head >= SHARED_BLOCK ? image->head : 0;
}

static size_t parts_size(const struct nauha__image *image, size_t first, size_t end) {
    size_t size = 0;
    for (size_t k = first; k < end; k++)
        size += part_size(image, k);
    return size;
}

/* ---- compressing ---- */

/* Parts [first, end), which are worth compressing, and the bits per byte of each. */
struct choice {
    size_t first, end;
    double bits[NAUHA__ITEM_SIZE_MAX + 1];
};

static void choose_parts(const struct nauha__plane_frame *frame, const struct nauha__image *image,
                         struct choice *choice) {
    size_t parts = image->item_size + 1;
    choice->first = choice->end = parts;
    nauha__plane_sample_prefetch(image->items, image->count, image->item_size);
    for (size_t k = 0; k < parts; k++) {
        bool plane = k < image->item_size;
        choice->bits[k] = NOISE_BITS;
        if (part_size(image, k) > 0)
            choice->bits[k] = nauha__plane_sample_bits(
                frame->sample, plane ? image->items : image->tail, part_size(image, k),
                plane ? image->item_size : 1, plane ? k : 0);
        if (choice->bits[k] >= NOISE_BITS)
            continue;
        if (choice->first == parts)
            choice->first = k;
        choice->end = k + 1;
    }
}

/* Whether a part is compressed by zstd rather than by our Huffman encoder. */
static bool wants_matches(size_t size, double bits) {
    return bits < NOISE_BITS && size >= WORTH_A_BLOCK &&
           (bits < MATCHES_BITS || size < NAUHA__HUFFMAN_MIN);
}

/* Writes blocks, which are Huffman-coded if that makes them shorter. */
static void put_huffman(struct nauha__plane_frame *frame, struct output *out,
                        const unsigned char *bytes, size_t size) {
    for (size_t done = 0; done < size; done += BLOCK_MAX) {
        size_t part = size - done < BLOCK_MAX ? size - done : BLOCK_MAX, coded = 0;
        if (part >= NAUHA__HUFFMAN_MIN)
            coded =
                nauha__huffman_encode(frame->huffman, bytes + done, part, out->at + BLOCK_HEADER);
        if (coded) {
            put_block_header(out, coded, BLOCK_COMPRESSED);
            out->at += coded;
        } else if (!put_constant(out, bytes + done, part)) {
            put_raw(out, bytes + done, part);
        }
    }
}

/* Writes the consecutive parts [first, end), none of which is for zstd, in blocks of their own.
 * Returns the end of these parts. */
static const unsigned char *put_parts(struct nauha__plane_frame *frame, struct output *out,
                                      const struct nauha__image *image, size_t first, size_t end,
                                      const double *bits, const unsigned char *from) {
    for (size_t k = first; k < end; from += part_size(image, k), k++) {
        const size_t size = part_size(image, k);
        const size_t head = head_size(image, k);
        if (bits[k] >= NOISE_BITS || size < NAUHA__HUFFMAN_MIN) {
            put_raw(out, from, size);
        } else {
            put_huffman(frame, out, from, head);
            put_huffman(frame, out, from + head, size - head);
        }
    }
    return from;
}

/* Compresses the consecutive parts [first, end). Each part begins a block, and so does what follows
 * the head of a plane, so that its literals get a Huffman table of their own. Returns the end of
 * the output, NULL if zstd fails. */
static unsigned char *compress_parts(struct nauha__plane_frame *frame,
                                     const struct nauha__image *image, size_t first, size_t end,
                                     const unsigned char *from, unsigned char *dst) {
    size_t size = parts_size(image, first, end);
    ZSTD_inBuffer in = {.src = from};
    ZSTD_outBuffer out = {.dst = dst, .size = sub_frame_bound(end - first, size)};
    ZSTD_CCtx_reset(frame->zstd, ZSTD_reset_session_only);
    ZSTD_CCtx_setPledgedSrcSize(frame->zstd, size);
    for (size_t k = first; k < end; k++) {
        const size_t head = head_size(image, k);
        in.size += head;
        if (head && ZSTD_compressStream2(frame->zstd, &out, &in, ZSTD_e_flush) != 0)
            return NULL;
        in.size += part_size(image, k) - head;
        if (k + 1 < end && part_size(image, k) < SHARED_BLOCK)
            continue;
        ZSTD_EndDirective directive = k + 1 == end ? ZSTD_e_end : ZSTD_e_flush;
        if (ZSTD_compressStream2(frame->zstd, &out, &in, directive) != 0)
            return NULL;
    }
    return dst + out.pos;
}

/* Compresses parts [first, end) and appends only their blocks: the sub-frame is written so that its
 * header overwrites bytes of the output, which are then restored. Its matches refer only to the
 * sub-frame itself, and its first block has all tables that it needs. Of the state of a decoder it
 * uses only the last distances of matches, which no other block changes, because other blocks have
 * no matches. */
static bool put_compressed(struct nauha__plane_frame *frame, struct output *out,
                           const struct nauha__image *image, size_t first, size_t end,
                           const unsigned char *from) {
    unsigned char *start = out->at - SUB_HEADER;
    unsigned char kept[SUB_HEADER];
    memcpy(kept, start, SUB_HEADER);
    unsigned char *stop = compress_parts(frame, image, first, end, from, start);
    /* Descriptor 0: a window byte follows, no content size, no dictionary, no checksum. */
    bool good = stop && stop > out->at && start[4] == 0;
    memcpy(start, kept, SUB_HEADER);
    bool last = false;
    while (good && !last && stop - out->at >= (ptrdiff_t)BLOCK_HEADER) {
        uint32_t header = get_le24(out->at);
        last = (header & 1) != 0;
        size_t body = (header >> 1 & 3) == BLOCK_RLE ? 1 : header >> 3;
        good = (size_t)(stop - out->at) >= BLOCK_HEADER + body;
        out->last = out->at;
        out->at[0] &= (unsigned char)~1u;
        out->at += BLOCK_HEADER + body;
    }
    return good && last && out->at == stop;
}

/* Appends the consecutive parts [first, end): all of them as one sub-frame of zstd if there is no
 * Huffman encoder or if bytes repeat, otherwise only those between the first and the last part that
 * want matches. */
static bool put_coded(struct nauha__plane_frame *frame, struct output *out,
                      const struct nauha__image *image, size_t first, size_t end,
                      const double *bits, const unsigned char *from) {
    const bool all = !frame->huffman || nauha__plane_sample_repeats(frame->sample, from,
                                                                    parts_size(image, first, end));
    size_t zstd = end, zstd_end = end;
    for (size_t k = end; k-- > first;) {
        if (!all && !wants_matches(part_size(image, k), bits[k]))
            continue;
        if (zstd == end)
            zstd_end = k + 1;
        zstd = k;
    }
    from = put_parts(frame, out, image, first, zstd, bits, from);
    if (zstd < zstd_end && !put_compressed(frame, out, image, zstd, zstd_end, from))
        return false;
    put_parts(frame, out, image, zstd_end, end, bits, from + parts_size(image, zstd, zstd_end));
    return true;
}

/* ---- the frame ---- */

static void put_frame_header(struct output *out, size_t bytes) {
    const uint32_t words[2] = {MAGIC, (uint32_t)bytes};
    unsigned char *at = out->at;
    for (unsigned i = 0; i < 4; i++) {
        at[i] = (unsigned char)(words[0] >> 8 * i);
        at[5 + i] = (unsigned char)(words[1] >> 8 * i);
    }
    at[4] = 2u << 6 | 1u << 5; /* content size in 4 bytes, single segment */
    out->at += FRAME_HEADER;
}

/* The leading planes of noise are written straight into their raw blocks, tile by tile; the others
 * go to frame->planes, one after the other. A tile fills one block of each plane. */
static void split_into_place(struct nauha__plane_frame *frame, struct output *out, size_t item_size,
                             const unsigned char *src, size_t count, size_t leading) {
    size_t blocks = (count + BLOCK_MAX - 1) / BLOCK_MAX;
    size_t plane_room = count + blocks * BLOCK_HEADER;
    unsigned char *begin = out->at;
    for (size_t tile = 0; tile < blocks; tile++) {
        size_t first = tile * BLOCK_MAX;
        size_t items = count - first < BLOCK_MAX ? count - first : BLOCK_MAX;
        unsigned char *planes[NAUHA__ITEM_SIZE_MAX];
        for (size_t k = 0; k < item_size; k++) {
            if (k < leading) {
                out->at = begin + k * plane_room + tile * (BLOCK_MAX + BLOCK_HEADER);
                put_block_header(out, items, BLOCK_RAW);
                planes[k] = out->at;
            } else {
                planes[k] = frame->planes + (k - leading) * count + first;
            }
        }
        nauha__split_planes(item_size, src + first * item_size, items, planes);
    }
    out->at = begin + leading * plane_room;
    if (leading && blocks)
        out->last = out->at - ((count - 1) % BLOCK_MAX + 1) - BLOCK_HEADER;
}

size_t nauha__plane_frame_encode(struct nauha__plane_frame *frame, const struct nauha__image *image,
                                 void *dst) {
    const size_t item_size = image->item_size, parts = item_size + 1;
    size_t bytes = nauha__image_bytes(image);
    struct choice choice;
    if (bytes == 0 || bytes > UINT32_MAX || bytes > frame->max_bytes)
        return 0;
    choose_parts(frame, image, &choice);
    size_t first = choice.first, end = choice.end;
    if (first == parts)
        return 0; /* headers around noise */
    struct output out = {.at = dst};
    put_frame_header(&out, bytes);
    size_t leading = first < item_size ? first : item_size;
    split_into_place(frame, &out, item_size, image->items, image->count, leading);
    if (image->tail_bytes)
        memcpy(frame->planes + (item_size - leading) * image->count, image->tail,
               image->tail_bytes);
    const unsigned char *at = frame->planes; /* part number `first` */
    while (first < end && put_constant(&out, at, part_size(image, first)))
        at += part_size(image, first++);
    size_t compressed = end;
    while (compressed > first && is_constant(at + parts_size(image, first, compressed - 1),
                                             part_size(image, compressed - 1)))
        compressed--;
    if (!put_coded(frame, &out, image, first, compressed, choice.bits, at))
        return 0;
    at += parts_size(image, first, compressed);
    for (size_t k = compressed; k < parts; at += part_size(image, k), k++)
        if (k >= end || !put_constant(&out, at, part_size(image, k)))
            put_raw(&out, at, part_size(image, k));
    out.last[0] |= 1;
    return (size_t)(out.at - (unsigned char *)dst);
}

/* ---- reading headers ---- */

/* Bytes of a frame's header: RFC 8878, section 3.1.1.1. 0: it is not a frame of zstd. */
static size_t frame_header_size(const unsigned char *frame, size_t size) {
    static const size_t dictionary_bytes[4] = {0, 1, 2, 4}, content_bytes[4] = {0, 2, 4, 8};
    if (size < SUB_HEADER || (get_le24(frame) | (uint32_t)frame[3] << 24) != MAGIC)
        return 0;
    const unsigned descriptor = frame[4], content = descriptor >> 6;
    const bool single_segment = (descriptor >> 5 & 1) != 0;
    return 5u + (single_segment ? 0u : 1u) + dictionary_bytes[descriptor & 3] +
           (content == 0 && single_segment ? 1 : content_bytes[content]);
}

/* The number of literals of a compressed block; 0 if they are not Huffman-coded. RFC 8878, section
 * 3.1.1.3.1.1. */
static size_t coded_literals(const unsigned char *block, size_t size) {
    static const uint32_t size_masks[4] = {0x3FF, 0x3FF, 0x3FFF, 0x3FFFF};
    if (size < 3 || (block[0] & 3) < LITERALS_COMPRESSED)
        return 0;
    return get_le24(block) >> 4 & size_masks[block[0] >> 2 & 3];
}

size_t nauha__plane_frame_coded_bytes(const void *frame, size_t size) {
    const unsigned char *at = frame;
    size_t header = frame_header_size(frame, size), coded = 0;
    if (header == 0 || header > size)
        return 0;
    at += header;
    size -= header;
    for (bool last = false; !last && size >= BLOCK_HEADER;) {
        uint32_t value = get_le24(at);
        enum block_type type = (enum block_type)(value >> 1 & 3);
        size_t body = type == BLOCK_RLE ? 1 : value >> 3;
        last = (value & 1) != 0;
        at += BLOCK_HEADER;
        size -= BLOCK_HEADER;
        if (body > size)
            break;
        if (type == BLOCK_COMPRESSED)
            coded += coded_literals(at, body);
        at += body;
        size -= body;
    }
    return coded;
}
