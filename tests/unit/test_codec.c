/* SPDX-License-Identifier: MIT */
/* The codec: round trips, and what other decoders make of its chunks. */
#include "unit.h"

#include <lz4.h>
#include <string.h>
#include <zstd.h>

#include "codec_data.h"
#include "codec_definition.h"
#include "nauha/internal/codec.h"
#include "recorder/core/codec/plane_frame.h"

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
    if (mask == NAUHA__MASK_OURS_RAW) {
        assert_int_equal(size, plain);
        assert_memory_equal(stored, image, size);
    } else {
        assert_true(mask == NAUHA__MASK_SHUFFLED || mask == NAUHA__MASK_OURS);
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
    assert_int_equal(
        nauha__codec_decode(codec, item_size, 1, mask, stored, size, back, bytes, &err), NAUHA_OK);
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

/* A byte divided by 255 has the same eight bits again and again: planes of a double's mantissa
 * equal each other, and coding each by itself would miss it. */
static void test_planes_that_repeat(void **state) {
    (void)state;
    enum { BYTES = 256 * 1024, COUNT = BYTES / 8 };
    unsigned char *src = malloc(BYTES);
    struct nauha__codec *codec = nauha__codec_new(&configs[0], BYTES);
    assert_true(src && codec);
    uint64_t seed = 3;
    for (size_t i = 0; i < COUNT; i++) {
        const double value = (double)(1 + data_next(&seed) % 100) / 255;
        memcpy(src + i * 8, &value, 8);
    }
    /* By itself, each of six planes takes six and a half bits an item: more than half of all. */
    assert_true(round_trip(codec, &configs[0], 8, src, BYTES) < BYTES / 3);
    nauha__codec_free(codec);
    free(src);
}

/* A block of one value beside one of many takes nothing. */
static void test_half_a_plane_of_one_value(void **state) {
    (void)state;
    enum { BYTES = 256 * 1024, HALF = BYTES / 2 };
    unsigned char *src = malloc(BYTES);
    struct nauha__codec *codec = nauha__codec_new(&configs[0], BYTES);
    assert_true(src && codec);
    uint64_t seed = 3;
    memset(src, 77, BYTES);
    for (size_t i = 0; i < HALF; i++)
        src[i] = (unsigned char)(data_next(&seed) % 16);
    assert_in_range(round_trip(codec, &configs[0], 1, src, BYTES), HALF / 2, HALF / 2 + 200);
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
    assert_int_equal(config.temporal, strstr(text, "temporal") != NULL);
    assert_int_equal(config.adaptive, strncmp(text, "auto", 4) == 0);
}

static void check_refused(const char *text, const char *message) {
    struct nauha__codec_config config = {.method = NAUHA__CODEC_LZ4, .level = 7};
    struct nauha_error err = {0};
    assert_int_equal(nauha__codec_parse(text, &config, &err), NAUHA_INVALID);
    assert_string_equal(err.message, message);
    assert_int_equal(config.level, 7); /* left as it was */
}

/* Of normal floats one plane in four is worth coding; its literals' sizes take 10, 14 and 18 bits.
 */
static void test_coded_bytes(void **state) {
    (void)state;
    static const size_t counts[] = {1000, 9000, 65536};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        const size_t count = counts[i], bytes = 4 * count;
        unsigned char *plain = malloc(bytes), *stored = malloc(nauha__codec_bound(bytes));
        assert_non_null(plain);
        assert_non_null(stored);
        data_fill(DATA_NORMAL, 5, 4, plain, count);
        struct nauha__codec *codec = nauha__codec_new(&configs[0], bytes);
        size_t size = 0;
        uint32_t mask = 0;
        nauha__codec_encode(codec, 4, plain, bytes, stored, &size, &mask);
        const size_t coded = nauha__codec_coded_bytes(NAUHA__CODEC_ZSTD, mask, stored, size);
        assert_in_range(coded, count - count / 10, count);
        assert_int_equal(nauha__codec_coded_bytes(NAUHA__CODEC_ZSTD, NAUHA__MASK_RAW, stored, size),
                         0);
        assert_int_equal(nauha__codec_coded_bytes(NAUHA__CODEC_LZ4, mask, stored, size), 0);
        for (size_t cut = 0; cut < size; cut += 1 + cut / 7) {
            unsigned char *part = malloc(cut + 1); /* so that nothing is read behind it */
            assert_non_null(part);
            memcpy(part + 1, stored, cut);
            assert_in_range(nauha__codec_coded_bytes(NAUHA__CODEC_ZSTD, mask, part + 1, cut), 0,
                            coded);
            free(part);
        }
        data_fill(DATA_RANDOM_HIGH, 5, 4, plain, count); /* noise, and planes of zeros */
        nauha__codec_encode(codec, 4, plain, bytes, stored, &size, &mask);
        assert_int_equal(nauha__codec_coded_bytes(NAUHA__CODEC_ZSTD, mask, stored, size), 0);
        nauha__codec_free(codec);
        free(plain);
        free(stored);
    }
}

static void test_parse(void **state) {
    (void)state;
    check_parse("zstd", NAUHA__CODEC_ZSTD, false, 0);
    check_parse("zstd:1", NAUHA__CODEC_ZSTD, true, 1);
    check_parse("zstd:22", NAUHA__CODEC_ZSTD, true, 22);
    check_parse("zstd:-1000", NAUHA__CODEC_ZSTD, true, -1000);
    check_parse("lz4", NAUHA__CODEC_LZ4, false, 0);
    check_parse("none", NAUHA__CODEC_NONE, false, 0);
    check_parse("auto", NAUHA__CODEC_ZSTD, false, 0);
    check_parse("auto,temporal", NAUHA__CODEC_ZSTD, false, 0);
    check_parse("auto,standard", NAUHA__CODEC_ZSTD, false, 0);
    check_parse("zstd,standard", NAUHA__CODEC_ZSTD, false, 0);
    check_parse("zstd:3,standard", NAUHA__CODEC_ZSTD, true, 3);
    check_parse("lz4,standard", NAUHA__CODEC_LZ4, false, 0);
    check_parse("zstd,temporal", NAUHA__CODEC_ZSTD, false, 0);
    check_parse("zstd:1,temporal", NAUHA__CODEC_ZSTD, true, 1);
    check_parse("lz4,temporal", NAUHA__CODEC_LZ4, false, 0);
#define WORDS                                                                                      \
    ": only \"standard\" or \"temporal\" may follow zstd, lz4 and auto, as in zstd,temporal"
    check_refused("none,temporal", "codec \"none,temporal\"" WORDS);
    check_refused("zstd,standard,temporal", "codec \"zstd,standard,temporal\"" WORDS);
    check_refused("none,standard", "codec \"none,standard\"" WORDS);
    check_refused("zstd,", "codec \"zstd,\"" WORDS);
    check_refused("zstd,fast", "codec \"zstd,fast\"" WORDS);
#define LEVELS ": the level is a whole number from -131072 to 22, not 0"
#define CODECS "; codecs: zstd, zstd:LEVEL, lz4, auto, none"
    check_refused("", "there is no codec \"\"" CODECS);
    check_refused("gzip", "there is no codec \"gzip\"" CODECS);
    check_refused("zstd ", "there is no codec \"zstd \"" CODECS);
    check_refused("ZSTD", "there is no codec \"ZSTD\"" CODECS);
    check_refused("lz4:3", "there is no codec \"lz4:3\"" CODECS);
    check_refused("zstd:", "codec \"zstd:\"" LEVELS);
    check_refused("zstd:0", "codec \"zstd:0\"" LEVELS);
    check_refused("zstd:23", "codec \"zstd:23\"" LEVELS);
    check_refused("zstd:-131073", "codec \"zstd:-131073\"" LEVELS);
    check_refused("zstd:3x", "codec \"zstd:3x\"" LEVELS);
    check_refused("zstd:99999999999999999999", "codec \"zstd:99999999999999999999\"" LEVELS);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_round_trip),
    cmocka_unit_test(test_round_trip_mixed),
    cmocka_unit_test(test_sizes),
    cmocka_unit_test(test_planes_that_repeat),
    cmocka_unit_test(test_half_a_plane_of_one_value),
    cmocka_unit_test(test_each_plane_by_itself),
    cmocka_unit_test(test_zeros_cost_a_bit),
    cmocka_unit_test(test_constant_planes),
    cmocka_unit_test(test_coded_bytes),
    cmocka_unit_test(test_parse),
};

UNIT_MAIN(tests)
