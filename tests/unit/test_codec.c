/* SPDX-License-Identifier: MIT */
/* The codec: round trips, what other decoders make of its chunks, and damage. */
#include "unit.h"

#include <lz4.h>
#include <string.h>
#include <zstd.h>

#include "codec_data.h"
#include "nauha/internal/codec.h"
#include "recorder/core/plane_frame.h"

enum { MAX_BYTES = (1 << 20) + 64 };

static const struct nauha__codec_config configs[] = {
    {.method = NAUHA__CODEC_ZSTD},
    {.method = NAUHA__CODEC_LZ4},
    {.method = NAUHA__CODEC_NONE},
    {.method = NAUHA__CODEC_ZSTD, .level = 1, .has_level = true},
    {.method = NAUHA__CODEC_ZSTD, .level = 5, .has_level = true},
    {.method = NAUHA__CODEC_ZSTD, .standard = true},
    {.method = NAUHA__CODEC_LZ4, .standard = true},
};
enum { CONFIGS = sizeof configs / sizeof *configs };

/* HDF5's shuffle, by its definition. */
static void shuffle(size_t item_size, const unsigned char *src, size_t bytes, unsigned char *dst) {
    size_t count = bytes / item_size;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < item_size; k++)
            dst[k * count + i] = src[i * item_size + k];
}

/* A sparse chunk, by its definition in sparse.h. Returns the image's size. */
static size_t sparse_image(size_t item_size, const unsigned char *src, size_t bytes,
                           unsigned char *image) {
    static const unsigned char zero[8];
    size_t count = bytes / item_size, kept = 0;
    unsigned char *packed = malloc(bytes), *bitmap = calloc(1, count / 8 + 1);
    assert_true(packed && bitmap);
    for (size_t i = 0; i < count; i++) {
        if (memcmp(src + i * item_size, zero, item_size) == 0)
            continue;
        bitmap[i / 8] = (unsigned char)(bitmap[i / 8] | 1u << i % 8);
        memcpy(packed + kept++ * item_size, src + i * item_size, item_size);
    }
    shuffle(item_size, packed, kept * item_size, image);
    memcpy(image + kept * item_size, bitmap, (count + 7) / 8);
    free(packed);
    free(bitmap);
    return kept * item_size + (count + 7) / 8;
}

/* Zstd's own decoder, in one call without a context of ours. */
static void check_zstd(const unsigned char *stored, size_t size, const unsigned char *image,
                       size_t bytes) {
    unsigned char *plain = malloc(bytes);
    assert_non_null(plain);
    assert_int_equal(ZSTD_getFrameContentSize(stored, size), bytes);
    assert_int_equal(ZSTD_findFrameCompressedSize(stored, size), size);
    assert_int_equal(ZSTD_decompress(plain, bytes, stored, size), bytes);
    assert_memory_equal(plain, image, bytes);
    free(plain);
}

static uint32_t be32(const unsigned char *at) {
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* The framing of filter 32004, one block, as its registration describes it. */
static void check_lz4(const unsigned char *stored, size_t size, const unsigned char *image,
                      size_t bytes) {
    char *plain = malloc(bytes);
    assert_non_null(plain);
    assert_true(size > 16);
    assert_int_equal(be32(stored), 0);
    assert_int_equal(be32(stored + 4), bytes);
    assert_int_equal(be32(stored + 8), bytes);
    assert_int_equal(be32(stored + 12), size - 16);
    int got = LZ4_decompress_safe((const char *)stored + 16, plain, (int)(size - 16), (int)bytes);
    assert_int_equal(got, bytes);
    assert_memory_equal(plain, image, bytes);
    free(plain);
}

/* What is stored against other decoders and the definitions of the filters. */
static void check_stored(const struct nauha__codec_config *config, size_t item_size,
                         const unsigned char *src, size_t bytes, const unsigned char *stored,
                         size_t size, uint32_t mask) {
    if (config->method == NAUHA__CODEC_NONE || mask == NAUHA__MASK_RAW) {
        assert_int_equal(mask, config->method == NAUHA__CODEC_NONE ? 0 : NAUHA__MASK_RAW);
        assert_int_equal(size, bytes);
        assert_memory_equal(stored, src, bytes);
        return;
    }
    unsigned char *image = malloc(2 * bytes);
    assert_non_null(image);
    assert_true(size < bytes);
    size_t plain = bytes;
    if (mask == NAUHA__MASK_SHUFFLED)
        shuffle(item_size, src, bytes, image);
    else
        plain = sparse_image(item_size, src, bytes, image);
    assert_true(mask == NAUHA__MASK_SHUFFLED || !config->standard);
    if (mask == NAUHA__MASK_SPARSE_RAW) {
        assert_int_equal(size, plain);
        assert_memory_equal(stored, image, size);
    } else {
        assert_true(mask == NAUHA__MASK_SHUFFLED || mask == NAUHA__MASK_SPARSE);
        (config->method == NAUHA__CODEC_ZSTD ? check_zstd : check_lz4)(stored, size, image, plain);
    }
    free(image);
}

/* Encodes, checks what is stored, decodes. Returns the stored size. */
static size_t round_trip(struct nauha__codec *codec, const struct nauha__codec_config *config,
                         size_t item_size, const unsigned char *src, size_t bytes) {
    size_t bound = nauha__codec_bound(bytes), size = 0;
    uint32_t mask = 77;
    unsigned char *room = malloc(bound), *back = malloc(bytes + 1);
    assert_non_null(room);
    assert_non_null(back);
    nauha__codec_encode(codec, item_size, src, bytes, room, &size, &mask);
    assert_true(size <= bytes);
    assert_true(size <= bound);
    unsigned char *stored = malloc(size + (size == 0)); /* reading past its end would show */
    assert_non_null(stored);
    memcpy(stored, room, size);
    free(room);
    check_stored(config, item_size, src, bytes, stored, size, mask);
    struct nauha_error err = {0};
    back[bytes] = 0xA5;
    assert_int_equal(nauha__codec_decode(codec, item_size, mask, stored, size, back, bytes, &err),
                     NAUHA_OK);
    assert_memory_equal(back, src, bytes);
    assert_int_equal(back[bytes], 0xA5);
    free(stored);
    free(back);
    return size;
}

static void test_round_trip(void **state) {
    (void)state;
    static const size_t counts[] = {0,
                                    1,
                                    2,
                                    3,
                                    63,
                                    64,
                                    65,
                                    4095,
                                    4096,
                                    4097,
                                    (1 << 15),
                                    (1 << 16),
                                    (1 << 17) - 1,
                                    (1 << 17),
                                    (1 << 17) + 1,
                                    (1 << 18),
                                    (1 << 20)};
    unsigned char *src = malloc(MAX_BYTES);
    assert_non_null(src);
    for (size_t c = 0; c < CONFIGS; c++) {
        struct nauha__codec *codec = nauha__codec_new(&configs[c], MAX_BYTES);
        assert_non_null(codec);
        for (size_t item_size = 1; item_size <= 8; item_size *= 2)
            for (int class = 0; class < DATA_CLASSES; class ++)
                for (size_t n = 0; n < sizeof counts / sizeof *counts; n++) {
                    if (counts[n] * item_size > MAX_BYTES || (c > 2 && counts[n] > 1 << 16))
                        continue;
                    data_fill((enum data_class) class, 5 + n, item_size, src, counts[n]);
                    round_trip(codec, &configs[c], item_size, src, counts[n] * item_size);
                }
        nauha__codec_free(codec);
    }
    free(src);
}

/* Pieces of all classes, one behind the other, at lengths of every size. */
static void test_round_trip_mixed(void **state) {
    (void)state;
    uint64_t seed = 20240229;
    unsigned char *src = malloc(MAX_BYTES);
    assert_non_null(src);
    for (size_t c = 0; c < CONFIGS; c++) {
        struct nauha__codec *codec = nauha__codec_new(&configs[c], MAX_BYTES);
        assert_non_null(codec);
        for (int round = 0; round < 300; round++) {
            size_t item_size = (size_t)1 << data_next(&seed) % 4;
            size_t count = data_next(&seed) % ((size_t)1 << (1 + data_next(&seed) % 16)) + 1;
            for (size_t done = 0; done < count;) {
                size_t part = data_next(&seed) % (count - done) + 1;
                data_fill((enum data_class)(data_next(&seed) % DATA_CLASSES), data_next(&seed) | 1,
                          item_size, src + done * item_size, part);
                done += part;
            }
            round_trip(codec, &configs[c], item_size, src, count * item_size);
        }
        nauha__codec_free(codec);
    }
    free(src);
}

/* Sizes that follow from the data: a float32 with a known number of random bits. */
static void test_sizes(void **state) {
    (void)state;
    enum { BYTES = 256 * 1024 };
    unsigned char *src = malloc(BYTES);
    assert_non_null(src);
    for (size_t c = 0; c < 2; c++) {
        struct nauha__codec *codec = nauha__codec_new(&configs[c], BYTES);
        assert_non_null(codec);
        data_fill(DATA_RANDOM, 3, 4, src, BYTES / 4);
        assert_int_equal(round_trip(codec, &configs[c], 4, src, BYTES), BYTES);
        data_fill(DATA_ZEROS, 3, 4, src, BYTES / 4);
        assert_true(round_trip(codec, &configs[c], 4, src, BYTES) < BYTES / 200);
        data_fill(DATA_CONSTANT, 3, 8, src, BYTES / 8);
        assert_true(round_trip(codec, &configs[c], 8, src, BYTES) < BYTES / 100);
        data_fill(DATA_RANDOM_HIGH, 3, 4, src, BYTES / 4);
        size_t half = round_trip(codec, &configs[c], 4, src, BYTES);
        assert_true(half >= BYTES / 2 && half < BYTES / 2 + BYTES / 200);
        nauha__codec_free(codec);
    }
    /* Sign and exponent of a normal variable hold 1 + 2.6 bits of 9; the 23 others are noise. */
    struct nauha__codec *codec = nauha__codec_new(&configs[0], BYTES);
    assert_non_null(codec);
    data_fill(DATA_NORMAL, 3, 4, src, BYTES / 4);
    size_t normal = round_trip(codec, &configs[0], 4, src, BYTES);
    assert_in_range(normal, BYTES / 320 * 266, BYTES / 320 * 276);
    /* 10 equally likely labels: log2 10 = 3.32 bits of 64. */
    data_fill(DATA_LABELS, 3, 8, src, BYTES / 8);
    size_t labels = round_trip(codec, &configs[0], 8, src, BYTES);
    assert_in_range(labels, BYTES / 6400 * 332, BYTES / 6400 * 350);
    nauha__codec_free(codec);
    free(src);
}

/* Bytes that an ideal coder of each byte plane by itself needs (Shannon 1948). */
static double entropy_bytes(const unsigned char *items, size_t item_size, size_t count) {
    double bits = 0;
    for (size_t k = 0; k < item_size; k++) {
        size_t histogram[256] = {0};
        for (size_t i = 0; i < count; i++)
            histogram[items[i * item_size + k]]++;
        for (size_t v = 0; v < 256; v++)
            if (histogram[v])
                bits -= (double)histogram[v] * log2((double)histogram[v] / (double)count);
    }
    return bits / 8;
}

/* Without sparse chunks, values without repeats come within 2 % of the entropy of their planes.
 * Blocks that mix planes miss it by 5 %. */
static void test_each_plane_by_itself(void **state) {
    (void)state;
    enum { BYTES = 256 * 1024 };
    static const struct {
        enum data_class class;
        size_t item_size;
    } rows[] = {{DATA_RELU, 2}, {DATA_RELU, 4}, {DATA_NORMAL, 4}, {DATA_NORMAL, 8}};
    static const struct nauha__codec_config standard = {.method = NAUHA__CODEC_ZSTD,
                                                        .standard = true};
    unsigned char *src = malloc(BYTES);
    struct nauha__codec *codec = nauha__codec_new(&standard, BYTES);
    assert_true(src && codec);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t item_size = rows[i].item_size;
        data_fill(rows[i].class, 3, item_size, src, BYTES / item_size);
        double ideal = entropy_bytes(src, item_size, BYTES / item_size);
        size_t size = round_trip(codec, &standard, item_size, src, BYTES);
        assert_true((double)size < 1.02 * ideal);
    }
    nauha__codec_free(codec);
    free(src);
}

/* Half the items zero: a bit for each item, and for each other what a dense tensor of its kind
 * takes. */
static void test_zeros_cost_a_bit(void **state) {
    (void)state;
    enum { BYTES = 256 * 1024 };
    unsigned char *src = malloc(BYTES), *dense = malloc(BYTES);
    assert_true(src && dense);
    for (size_t c = 0; c < 2; c++)
        for (size_t item_size = 2; item_size <= 8; item_size *= 2) {
            struct nauha__codec *codec = nauha__codec_new(&configs[c], BYTES);
            assert_non_null(codec);
            size_t count = BYTES / item_size, kept = 0;
            data_fill(DATA_RELU, 3, item_size, src, count);
            for (size_t i = 0; i < count; i++) {
                uint64_t item = 0;
                memcpy(&item, src + i * item_size, item_size);
                if (item)
                    memcpy(dense + kept++ * item_size, src + i * item_size, item_size);
            }
            assert_in_range(kept, count * 2 / 5, count * 3 / 5);
            size_t dense_size = round_trip(codec, &configs[c], item_size, dense, kept * item_size);
            size_t size = round_trip(codec, &configs[c], item_size, src, BYTES);
            assert_in_range(size, dense_size, dense_size + count / 8 + 512);
            nauha__codec_free(codec);
        }
    free(src);
    free(dense);
}

/* A constant plane costs nothing, at either end and between others; a plane that is constant where
 * it is sampled, but not everywhere, comes back. */
static void test_constant_planes(void **state) {
    (void)state;
    enum { COUNT = 1 << 16 };
    unsigned char *src = malloc(COUNT * 4);
    struct nauha__codec *codec = nauha__codec_new(&configs[0], COUNT * 4);
    assert_true(src && codec);
    for (unsigned constant = 0; constant < 16; constant++)
        for (unsigned noise = 0; noise < 16; noise++) {
            uint64_t seed = 9;
            size_t expected = 0;
            for (size_t k = 0; k < 4; k++) {
                bool is_noise = (noise >> k & 1) != 0, is_constant = (constant >> k & 1) != 0;
                for (size_t i = 0; i < COUNT; i++) /* the others: 4 bits of 8 */
                    src[4 * i + k] = (unsigned char)(is_constant ? 7 + k
                                                     : is_noise  ? data_next(&seed) >> 32
                                                                 : data_next(&seed) >> 60);
                expected += is_constant ? 0 : is_noise ? COUNT : COUNT / 2;
            }
            size_t size = round_trip(codec, &configs[0], 4, src, (size_t)COUNT * 4);
            assert_true(size <= expected + COUNT / 20);
            src[4 * (COUNT - 300) + constant % 4] ^= 1;
            round_trip(codec, &configs[0], 4, src, (size_t)COUNT * 4);
        }
    nauha__codec_free(codec);
    free(src);
}

/* ---- configuration ---- */

static void check_parse(const char *text, enum nauha__codec_method method, bool has_level,
                        int level) {
    struct nauha__codec_config config = {.method = NAUHA__CODEC_LZ4, .level = 7};
    assert_int_equal(nauha__codec_parse(text, &config, NULL), NAUHA_OK);
    assert_int_equal(config.method, method);
    assert_int_equal(config.has_level, has_level);
    if (has_level)
        assert_int_equal(config.level, level);
    assert_int_equal(config.standard, strstr(text, "standard") != NULL);
}

static void check_refused(const char *text, const char *message) {
    struct nauha__codec_config config = {.method = NAUHA__CODEC_LZ4, .level = 7};
    struct nauha_error err = {0};
    assert_int_equal(nauha__codec_parse(text, &config, &err), NAUHA_INVALID);
    assert_string_equal(err.message, message);
    assert_int_equal(config.level, 7); /* left as it was */
}

static void test_parse(void **state) {
    (void)state;
    check_parse("zstd", NAUHA__CODEC_ZSTD, false, 0);
    check_parse("zstd:1", NAUHA__CODEC_ZSTD, true, 1);
    check_parse("zstd:22", NAUHA__CODEC_ZSTD, true, 22);
    check_parse("zstd:-1000", NAUHA__CODEC_ZSTD, true, -1000);
    check_parse("lz4", NAUHA__CODEC_LZ4, false, 0);
    check_parse("none", NAUHA__CODEC_NONE, false, 0);
    check_parse("zstd,standard", NAUHA__CODEC_ZSTD, false, 0);
    check_parse("zstd:3,standard", NAUHA__CODEC_ZSTD, true, 3);
    check_parse("lz4,standard", NAUHA__CODEC_LZ4, false, 0);
#define WORDS ": only \"standard\" may follow zstd and lz4, as in zstd,standard"
    check_refused("none,standard", "codec \"none,standard\"" WORDS);
    check_refused("zstd,", "codec \"zstd,\"" WORDS);
    check_refused("zstd,fast", "codec \"zstd,fast\"" WORDS);
#define LEVELS ": the level is a whole number from -131072 to 22, not 0"
#define CODECS "; codecs: zstd, zstd:LEVEL, lz4, none"
    check_refused("", "no codec \"\"" CODECS);
    check_refused("gzip", "no codec \"gzip\"" CODECS);
    check_refused("zstd ", "no codec \"zstd \"" CODECS);
    check_refused("ZSTD", "no codec \"ZSTD\"" CODECS);
    check_refused("lz4:3", "no codec \"lz4:3\"" CODECS);
    check_refused("zstd:", "codec \"zstd:\"" LEVELS);
    check_refused("zstd:0", "codec \"zstd:0\"" LEVELS);
    check_refused("zstd:23", "codec \"zstd:23\"" LEVELS);
    check_refused("zstd:-131073", "codec \"zstd:-131073\"" LEVELS);
    check_refused("zstd:3x", "codec \"zstd:3x\"" LEVELS);
    check_refused("zstd:99999999999999999999", "codec \"zstd:99999999999999999999\"" LEVELS);
}

/* ---- damage ---- */

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
        nauha__codec_decode(chunk->codec, 4, mask, from, size, to, bytes, err);
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
    assert_int_equal(
        nauha__codec_decode(chunk.codec, 4, NAUHA__MASK_SHUFFLED, stream, whole, plain, 36, NULL),
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
    const uint32_t compressed = NAUHA__SKIP_SPARSE | NAUHA__SKIP_SHUFFLE;
    assert_int_equal(
        nauha__codec_decode(chunk.codec, 4, compressed, other, size, back, SMALL, NULL), NAUHA_OK);
    assert_memory_equal(back, chunk.plain, SMALL);
    shuffle(4, chunk.plain, SMALL, other);
    const uint32_t shuffled = NAUHA__SKIP_SPARSE | NAUHA__SKIP_COMPRESSION;
    assert_int_equal(nauha__codec_decode(chunk.codec, 4, shuffled, other, SMALL, back, SMALL, NULL),
                     NAUHA_OK);
    assert_memory_equal(back, chunk.plain, SMALL);
    size = sparse_image(4, chunk.plain, SMALL, other);
    assert_int_equal(
        nauha__codec_decode(chunk.codec, 4, NAUHA__MASK_SPARSE_RAW, other, size, back, SMALL, NULL),
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
    const uint32_t raw = NAUHA__MASK_SPARSE_RAW;
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
    cmocka_unit_test(test_round_trip),
    cmocka_unit_test(test_round_trip_mixed),
    cmocka_unit_test(test_sizes),
    cmocka_unit_test(test_each_plane_by_itself),
    cmocka_unit_test(test_zeros_cost_a_bit),
    cmocka_unit_test(test_constant_planes),
    cmocka_unit_test(test_parse),
    cmocka_unit_test(test_truncated),
    cmocka_unit_test(test_bytes_flipped),
    cmocka_unit_test(test_zstd_damage),
    cmocka_unit_test(test_lz4_blocks),
    cmocka_unit_test(test_masks),
    cmocka_unit_test(test_sparse_damage),
};

UNIT_MAIN(tests)
