/* SPDX-License-Identifier: MIT */
/* The codec on chunks that are cut short, changed, or say what is not so. */
#include "unit.h"

#include <lz4.h>
#include <string.h>
#include <zstd.h>

#include "codec_data.h"
#include "codec_definition.h"
#include "nauha/internal/codec.h"

static const struct nauha__codec_config configs[] = {{.method = NAUHA__CODEC_ZSTD},
                                                     {.method = NAUHA__CODEC_LZ4}};

enum { SMALL = 1024 };

struct chunk {
    struct nauha__codec *codec;
    unsigned char plain[SMALL];
    unsigned char stored[2 * SMALL];
    size_t size;
    uint32_t mask;
};

/* A chunk of floats that does shrink. */
static void make_chunk(struct chunk *chunk, const struct nauha__codec_config *config,
                       enum data_class class) {
    chunk->codec = nauha__codec_new(config, SMALL);
    assert_non_null(chunk->codec);
    assert_true(nauha__codec_bound(SMALL) <= sizeof chunk->stored);
    data_fill(class, 11, 4, chunk->plain, SMALL / 4);
    nauha__codec_encode(chunk->codec, 4, chunk->plain, SMALL, chunk->stored, &chunk->size,
                        &chunk->mask);
    assert_int_not_equal(chunk->mask, NAUHA__MASK_RAW);
    assert_true(chunk->size < SMALL);
}

/* Decodes exact heap copies, so that sanitizers see a byte too many. */
static enum nauha_status decode(const struct chunk *chunk, uint32_t mask, const void *stored,
                                size_t size, size_t bytes, struct nauha_error *err) {
    unsigned char *from = malloc(size + (size == 0)), *to = malloc(bytes + (bytes == 0));
    assert_non_null(from);
    assert_non_null(to);
    memcpy(from, stored, size);
    enum nauha_status status =
        nauha__codec_decode(chunk->codec, 4, 1, mask, from, size, to, bytes, err);
    free(from);
    free(to);
    return status;
}

static void check_damaged(const struct chunk *chunk, uint32_t mask, const void *stored, size_t size,
                          size_t bytes, const char *message) {
    struct nauha_error err = {0};
    assert_int_equal(decode(chunk, mask, stored, size, bytes, &err), NAUHA_DAMAGED);
    if (message)
        assert_string_equal(err.message, message);
    else
        assert_memory_equal(err.message, "the chunk ", 10);
}

static const enum data_class damaged_classes[] = {DATA_RELU, DATA_NORMAL, DATA_LABELS, DATA_ZEROS};
enum { DAMAGED_CLASSES = sizeof damaged_classes / sizeof *damaged_classes };

/* Noise under LZ4 does not shrink. */
static bool shrinks(size_t config, size_t class) {
    return configs[config].method == NAUHA__CODEC_ZSTD || damaged_classes[class] != DATA_NORMAL;
}

static void test_truncated(void **state) {
    (void)state;
    struct chunk chunk;
    for (size_t c = 0; c < 2; c++)
        for (size_t d = 0; d < DAMAGED_CLASSES; d++) {
            if (!shrinks(c, d))
                continue;
            make_chunk(&chunk, &configs[c], damaged_classes[d]);
            assert_int_equal(decode(&chunk, chunk.mask, chunk.stored, chunk.size, SMALL, NULL),
                             NAUHA_OK);
            for (size_t size = 0; size < chunk.size; size++)
                check_damaged(&chunk, chunk.mask, chunk.stored, size, SMALL, NULL);
            chunk.stored[chunk.size] = 0;
            check_damaged(&chunk, chunk.mask, chunk.stored, chunk.size + 1, SMALL,
                          chunk.mask & NAUHA__SKIP_COMPRESSION
                              ? "the chunk has a sparse image of another size"
                          : c == 0 ? "the chunk holds more or less than one zstd frame"
                                   : "the chunk holds more than its lz4 data");
            nauha__codec_free(chunk.codec);
        }
}

/* Any other bytes decode to the right size or are refused. */
static void check_any(const struct chunk *chunk) {
    struct nauha_error err = {0};
    enum nauha_status status = decode(chunk, chunk->mask, chunk->stored, chunk->size, SMALL, &err);
    assert_true(status == NAUHA_OK || status == NAUHA_DAMAGED);
    if (status == NAUHA_DAMAGED)
        assert_memory_equal(err.message, "the chunk ", 10);
}

static void test_bytes_flipped(void **state) {
    (void)state;
    struct chunk chunk;
    uint64_t seed = 7;
    for (size_t c = 0; c < 2; c++)
        for (size_t d = 0; d < DAMAGED_CLASSES; d++) {
            if (!shrinks(c, d))
                continue;
            make_chunk(&chunk, &configs[c], damaged_classes[d]);
            for (size_t i = 0; i < chunk.size; i++) {
                unsigned char kept = chunk.stored[i];
                for (unsigned bit = 0; bit < 8; bit++) {
                    chunk.stored[i] = (unsigned char)(kept ^ 1u << bit);
                    check_any(&chunk);
                }
                chunk.stored[i] = kept;
            }
            for (int round = 0; round < 5000; round++) {
                unsigned char kept[sizeof chunk.stored];
                memcpy(kept, chunk.stored, sizeof kept);
                for (uint64_t n = 1 + data_next(&seed) % 8; n > 0; n--)
                    chunk.stored[data_next(&seed) % chunk.size] = (unsigned char)data_next(&seed);
                check_any(&chunk);
                memcpy(chunk.stored, kept, sizeof kept);
            }
            nauha__codec_free(chunk.codec);
        }
}

static void test_zstd_damage(void **state) {
    (void)state;
    struct chunk chunk;
    make_chunk(&chunk, &configs[0], DATA_RELU);
    const char *wrong = "the chunk does not hold a zstd frame of its size";
    check_damaged(&chunk, NAUHA__MASK_SHUFFLED, chunk.stored, chunk.size, SMALL - 4, wrong);
    check_damaged(&chunk, NAUHA__MASK_SHUFFLED, chunk.stored, 0, SMALL, wrong);
    check_damaged(&chunk, NAUHA__MASK_SHUFFLED, chunk.stored, 0, 0, wrong);
    /* A skippable frame holds nothing, not even nothing (RFC 8878, section 3.1.2). */
    static const unsigned char skippable[] = {0x50, 0x2A, 0x4D, 0x18, 0, 0, 0, 0};
    check_damaged(&chunk, NAUHA__MASK_SHUFFLED, skippable, sizeof skippable, 0, wrong);
    unsigned char two[SMALL];
    size_t first = ZSTD_compress(two, sizeof two, "0123456789abcdef", 16, 1);
    size_t second = ZSTD_compress(two + first, sizeof two - first, "0123456789abcdef", 16, 1);
    assert_int_equal(decode(&chunk, NAUHA__MASK_SHUFFLED, two, first, 16, NULL), NAUHA_OK);
    check_damaged(&chunk, NAUHA__MASK_SHUFFLED, two, first + second, 16,
                  "the chunk holds more or less than one zstd frame");
    check_damaged(&chunk, NAUHA__MASK_SHUFFLED, two, first + second, 32, wrong);
    /* A reserved block type (RFC 8878, section 3.1.1.2.2) of size 0 is seen by neither size. */
    unsigned char reserved[] = {0x28, 0xB5, 0x2F, 0xFD, 0x20, 4, 7, 0, 0};
    check_damaged(&chunk, NAUHA__MASK_SHUFFLED, reserved, sizeof reserved, 4, NULL);
    /* A frame may say 4 bytes and hold none. */
    unsigned char empty[] = {0x28, 0xB5, 0x2F, 0xFD, 0x20, 4, 1, 0, 0};
    check_damaged(&chunk, NAUHA__MASK_SHUFFLED, empty, sizeof empty, 4, NULL);
    nauha__codec_free(chunk.codec);
}

static void put_be32(unsigned char *at, uint32_t value) {
    for (unsigned i = 0; i < 4; i++)
        at[i] = (unsigned char)(value >> (24 - 8 * i));
}

static void test_lz4_blocks(void **state) {
    (void)state;
    struct chunk chunk;
    make_chunk(&chunk, &configs[1], DATA_RELU);
    /* As the stock filter writes them: blocks of 16 bytes, one compressed, one stored, the last
     * short: "aaaaaaaaaaaaaaaa" "0123456789abcdef" "wxyz", shuffled as 9 items of 4. */
    unsigned char stream[64] = {0};
    char small[32];
    int size = LZ4_compress_default("aaaaaaaaaaaaaaaa", small, 16, sizeof small);
    assert_true(size > 0 && size < 16);
    put_be32(stream + 4, 36);
    put_be32(stream + 8, 16);
    put_be32(stream + 12, (uint32_t)size);
    memcpy(stream + 16, small, (size_t)size);
    unsigned char *next = stream + 16 + size;
    put_be32(next, 16);
    memcpy(next + 4, "0123456789abcdef", 16);
    put_be32(next + 20, 4);
    memcpy(next + 24, "wxyz", 4);
    size_t whole = (size_t)(next + 28 - stream);
    char plain[36], want[36];
    for (size_t i = 0; i < 36; i++)
        want[i % 9 * 4 + i / 9] = "aaaaaaaaaaaaaaaa0123456789abcdefwxyz"[i];
    assert_int_equal(nauha__codec_decode(chunk.codec, 4, 1, NAUHA__MASK_SHUFFLED, stream, whole,
                                         plain, 36, NULL),
                     NAUHA_OK);
    assert_memory_equal(plain, want, 36);
    const char *early = "the chunk ends in the middle of its lz4 data";
    check_damaged(&chunk, NAUHA__MASK_SHUFFLED, stream, whole - 1, 36, early);
    check_damaged(&chunk, NAUHA__MASK_SHUFFLED, stream, 14, 36, early);
    check_damaged(&chunk, NAUHA__MASK_SHUFFLED, stream, whole, 32,
                  "the chunk does not hold lz4 data of its size");
    check_damaged(&chunk, NAUHA__MASK_SHUFFLED, stream, 11, 36,
                  "the chunk does not hold lz4 data of its size");
    put_be32(next + 20, 3);
    check_damaged(&chunk, NAUHA__MASK_SHUFFLED, stream, whole - 1, 36,
                  "the chunk does not decompress");
    put_be32(next + 20, 0xFFFFFFFF);
    check_damaged(&chunk, NAUHA__MASK_SHUFFLED, stream, whole, 36, early);
    put_be32(stream + 8, 0);
    check_damaged(&chunk, NAUHA__MASK_SHUFFLED, stream, whole, 36,
                  "the chunk has lz4 blocks of no size");
    put_be32(stream, 1);
    check_damaged(&chunk, NAUHA__MASK_SHUFFLED, stream, whole, 36,
                  "the chunk does not hold lz4 data of its size");
    nauha__codec_free(chunk.codec);
}

/* HDF5 sets a bit of the mask where a filter was skipped. */
static void test_masks(void **state) {
    (void)state;
    struct chunk chunk;
    unsigned char back[SMALL], other[2 * SMALL];
    make_chunk(&chunk, &configs[0], DATA_RELU);
    size_t size = ZSTD_compress(other, sizeof other, chunk.plain, SMALL, 1);
    const uint32_t compressed = NAUHA__SKIP_OURS | NAUHA__SKIP_SHUFFLE;
    assert_int_equal(
        nauha__codec_decode(chunk.codec, 4, 1, compressed, other, size, back, SMALL, NULL),
        NAUHA_OK);
    assert_memory_equal(back, chunk.plain, SMALL);
    shuffle(4, chunk.plain, SMALL, other);
    const uint32_t shuffled = NAUHA__SKIP_OURS | NAUHA__SKIP_COMPRESSION;
    assert_int_equal(
        nauha__codec_decode(chunk.codec, 4, 1, shuffled, other, SMALL, back, SMALL, NULL),
        NAUHA_OK);
    assert_memory_equal(back, chunk.plain, SMALL);
    size = sparse_image(4, chunk.plain, SMALL, other);
    assert_int_equal(nauha__codec_decode(chunk.codec, 4, 1, NAUHA__MASK_OURS_RAW, other, size, back,
                                         SMALL, NULL),
                     NAUHA_OK);
    assert_memory_equal(back, chunk.plain, SMALL);
    for (size_t i = 0; i < 2; i++) {
        uint32_t mask = i ? NAUHA__MASK_RAW : shuffled;
        check_damaged(&chunk, mask, other, SMALL - 1, SMALL,
                      "the chunk is stored raw with another size");
        check_damaged(&chunk, mask, other, SMALL + 1, SMALL,
                      "the chunk is stored raw with another size");
    }
    const char *none = "the chunk skips filters that there are not";
    check_damaged(&chunk, 0, other, SMALL, SMALL, none);
    check_damaged(&chunk, NAUHA__SKIP_COMPRESSION, other, SMALL, SMALL, none);
    check_damaged(&chunk, 8, other, SMALL, SMALL, none);
    check_damaged(&chunk, UINT32_MAX, other, SMALL, SMALL, none);
    check_damaged(&chunk, NAUHA__MASK_RAW, other, SMALL + 4, SMALL + 4,
                  "the chunk is larger than a chunk can be");
    nauha__codec_free(chunk.codec);
    nauha__codec_free(NULL);
}

/* Sparse images that say more, less or other than they hold. */
static void test_sparse_damage(void **state) {
    (void)state;
    struct chunk chunk;
    unsigned char image[2 * SMALL];
    make_chunk(&chunk, &configs[0], DATA_RELU);
    const uint32_t raw = NAUHA__MASK_OURS_RAW;
    const char *size_wrong = "the chunk has a sparse image of another size";
    const char *bits_wrong = "the chunk has a bitmap of another number of items";
    size_t size = sparse_image(4, chunk.plain, SMALL, image), bitmap = SMALL / 4 / 8;
    assert_int_equal(decode(&chunk, raw, image, size, SMALL, NULL), NAUHA_OK);
    for (size_t i = size - bitmap; i < size; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            image[i] = (unsigned char)(image[i] ^ 1u << bit);
            check_damaged(&chunk, raw, image, size, SMALL, bits_wrong);
            image[i] = (unsigned char)(image[i] ^ 1u << bit);
        }
    check_damaged(&chunk, raw, image, size - 1, SMALL, size_wrong);
    check_damaged(&chunk, raw, image, size - 4, SMALL, NULL);
    check_damaged(&chunk, raw, image, bitmap - 1, SMALL, size_wrong);
    check_damaged(&chunk, raw, image, 0, SMALL, size_wrong);
    check_damaged(&chunk, raw, image, SMALL + bitmap, SMALL, size_wrong);
    /* 252 items: the last four bits of the bitmap belong to none. */
    size = sparse_image(4, chunk.plain, SMALL - 16, image);
    assert_int_equal(decode(&chunk, raw, image, size, SMALL - 16, NULL), NAUHA_OK);
    image[size - 1] |= 0x80;
    check_damaged(&chunk, raw, image, size, SMALL - 16, bits_wrong);
    nauha__codec_free(chunk.codec);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_truncated),   cmocka_unit_test(test_bytes_flipped),
    cmocka_unit_test(test_zstd_damage), cmocka_unit_test(test_lz4_blocks),
    cmocka_unit_test(test_masks),       cmocka_unit_test(test_sparse_damage),
};

UNIT_MAIN(tests)
