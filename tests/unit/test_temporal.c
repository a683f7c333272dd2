/* SPDX-License-Identifier: MIT */
/* Sliced chunks: what the codec makes of them against the definition in temporal.h, item by item,
 * and images that are not what they should be. */
#include "unit.h"

#include <lz4.h>
#include <string.h>
#include <zstd.h>

#include "codec_data.h"
#include "codec_definition.h"
#include "nauha/internal/codec.h"
#include "recorder/core/codec/temporal.h"

enum { CHUNK = 64 * 1024 };

/* ---- the definition ---- */

static uint64_t all_bits(size_t item_size) {
    return item_size == 8 ? UINT64_MAX : ((uint64_t)1 << item_size * 8) - 1;
}

static int64_t as_signed(uint64_t bits, size_t item_size) {
    bits &= all_bits(item_size);
    bool negative = bits > all_bits(item_size) / 2;
    return (int64_t)(negative ? bits | ~all_bits(item_size) : bits);
}

static uint64_t item_at(const unsigned char *chunk, size_t item_size, size_t i) {
    uint64_t bits = 0;
    for (size_t k = 0; k < item_size; k++)
        bits |= (uint64_t)chunk[i * item_size + k] << 8 * k;
    return bits;
}

static int64_t ordered(const unsigned char *chunk, size_t item_size, size_t i) {
    uint64_t bits = item_at(chunk, item_size, i), half = all_bits(item_size) / 2;
    return as_signed(bits > half ? bits ^ half : bits, item_size);
}

static uint64_t residual(const struct nauha__temporal *about, size_t item_size,
                         const unsigned char *chunk, size_t row, size_t column) {
    size_t i = row * about->slice + column;
    uint64_t guess = 0;
    if (about->order == 2 && row > 0) {
        int64_t b = ordered(chunk, item_size, i - about->slice), d = 0;
        if (row > 1)
            d = as_signed((uint64_t)b - (uint64_t)ordered(chunk, item_size, i - 2 * about->slice),
                          item_size);
        int64_t eighth = d / 8 - (d % 8 < 0);
        guess = (uint64_t)b + (uint64_t)d - (uint64_t)eighth;
    }
    int64_t v = as_signed((uint64_t)ordered(chunk, item_size, i) - guess, item_size);
    return v >= 0 ? 2 * (uint64_t)v : 2 * ~(uint64_t)v + 1;
}

/* The image of the items used. Returns its size. */
static size_t temporal_image(const struct nauha__temporal *about, size_t item_size,
                             const unsigned char *chunk, unsigned char *image) {
    size_t count = about->rows * about->width, bytes = count * item_size;
    unsigned char *residuals = malloc(bytes);
    assert_non_null(residuals);
    for (size_t row = 0; row < about->rows; row++)
        for (size_t column = 0; column < about->width; column++)
            data_put_integer(residuals + (row * about->width + column) * item_size, item_size,
                             residual(about, item_size, chunk, row, column));
    shuffle(item_size, residuals, bytes, image);
    data_put_integer(image + bytes, 4, about->width);
    data_put_integer(image + bytes + 4, 4, about->order);
    free(residuals);
    return bytes + 8;
}

/* ---- chunks ---- */

enum course { COURSE_SMOOTH, COURSE_STILL, COURSE_UNRELATED, COURSES };

static void put_value(unsigned char *at, size_t item_size, double value) {
    data_put(at, item_size, value);
}

/* Values of each step in the first `width` items of the first `rows` slices; zeros elsewhere. */
static void fill(const struct nauha__temporal *about, size_t item_size, enum course course,
                 enum data_class class, unsigned char *chunk) {
    memset(chunk, 0, about->slices * about->slice * item_size);
    for (size_t row = 0; row < about->rows; row++) {
        unsigned char *at = chunk + row * about->slice * item_size;
        uint64_t seed = 99;
        if (course != COURSE_SMOOTH)
            data_fill(class, course == COURSE_STILL ? 7 : 7 + row, item_size, at, about->width);
        for (size_t i = 0; course == COURSE_SMOOTH && i < about->width; i++) {
            double start = 0.05 * data_normal(&seed), speed = 1e-4 * data_normal(&seed);
            put_value(at + i * item_size, item_size, start + speed * (double)row);
        }
    }
}

struct encoded {
    unsigned char *bytes;
    size_t size;
    uint32_t mask;
};

static struct encoded encode(struct nauha__codec *codec, size_t item_size,
                             const struct nauha__temporal *about, const unsigned char *chunk) {
    size_t bytes = about->slices * about->slice * item_size;
    struct encoded out = {.mask = 77};
    const struct nauha__slices slices = {about->slices, about->rows, about->width};
    unsigned char *room = malloc(nauha__codec_bound(bytes));
    assert_non_null(room);
    nauha__codec_encode_slices(codec, item_size, &slices, chunk, bytes, room, &out.size, &out.mask);
    assert_true(out.size <= bytes);
    out.bytes = malloc(out.size);
    assert_non_null(out.bytes);
    memcpy(out.bytes, room, out.size); /* reading past its end would show */
    free(room);
    return out;
}

/* Other decoders' view of what is stored. Returns the image's size. */
static size_t decompressed(enum nauha__codec_method method, const struct encoded *encoded,
                           unsigned char *image, size_t room) {
    if (encoded->mask == NAUHA__MASK_OURS_RAW) {
        memcpy(image, encoded->bytes, encoded->size);
        return encoded->size;
    }
    assert_int_equal(encoded->mask, NAUHA__MASK_OURS);
    if (method == NAUHA__CODEC_ZSTD) {
        assert_int_equal(ZSTD_findFrameCompressedSize(encoded->bytes, encoded->size),
                         encoded->size);
        size_t size = ZSTD_decompress(image, room, encoded->bytes, encoded->size);
        assert_false(ZSTD_isError(size));
        return size;
    }
    int size = LZ4_decompress_safe((const char *)encoded->bytes + 16, (char *)image,
                                   (int)encoded->size - 16, (int)room);
    assert_true(size > 0);
    return (size_t)size;
}

static void check_chunk(struct nauha__codec *codec, enum nauha__codec_method method,
                        size_t item_size, struct nauha__temporal *about,
                        const unsigned char *chunk) {
    size_t bytes = about->slices * about->slice * item_size;
    struct encoded encoded = encode(codec, item_size, about, chunk);
    unsigned char *image = malloc(bytes + 8), *expected = malloc(bytes + 8);
    unsigned char *back = malloc(bytes);
    assert_true(image && expected && back);
    if (encoded.mask == NAUHA__MASK_RAW) {
        assert_int_equal(encoded.size, bytes);
        assert_memory_equal(encoded.bytes, chunk, bytes);
    } else {
        size_t size = decompressed(method, &encoded, image, bytes + 8);
        about->order = image[size - 4];
        assert_int_equal(size, temporal_image(about, item_size, chunk, expected));
        assert_memory_equal(image, expected, size);
    }
    memset(back, 0xA5, bytes);
    assert_int_equal(nauha__codec_decode(codec, item_size, about->slices, encoded.mask,
                                         encoded.bytes, encoded.size, back, bytes, NULL),
                     NAUHA_OK);
    assert_memory_equal(back, chunk, bytes);
    free(encoded.bytes);
    free(image);
    free(expected);
    free(back);
}

static void test_every_width_and_filling(void **state) {
    (void)state;
    static const enum nauha__codec_method methods[] = {NAUHA__CODEC_ZSTD, NAUHA__CODEC_LZ4};
    unsigned char *chunk = malloc(CHUNK);
    assert_non_null(chunk);
    uint64_t seed = 1;
    for (size_t m = 0; m < 2; m++) {
        const struct nauha__codec_config config = {.method = methods[m], .temporal = true};
        struct nauha__codec *codec = nauha__codec_new(&config, CHUNK);
        assert_non_null(codec);
        for (size_t round = 0; round < 400; round++) {
            size_t item_size = (size_t)1 << round % 4, slices = (size_t)2 << data_next(&seed) % 4;
            struct nauha__temporal about = {.slices = slices, .slice = CHUNK / slices / item_size};
            bool whole = round % 5 == 0;
            about.rows = whole ? slices : 1 + data_next(&seed) % slices;
            about.width = whole ? about.slice : 1 + data_next(&seed) % about.slice;
            fill(&about, item_size, (enum course)(round % COURSES),
                 (enum data_class)(data_next(&seed) % DATA_CLASSES), chunk);
            check_chunk(codec, methods[m], item_size, &about, chunk);
        }
        nauha__codec_free(codec);
    }
    free(chunk);
}

/* Zeros of both signs, infinities, NaNs, denormals and the largest numbers, each after each. */
static void test_special_values(void **state) {
    (void)state;
    static const uint32_t special[] = {0,          0x80000000, 1,          0x80000001, 0x7f800000,
                                       0xff800000, 0x7fc00000, 0xffffffff, 0x7f7fffff, 0xff7fffff,
                                       0x7fffffff, 0x3f800000, 0xbf800000, 0x007fffff};
    enum { SPECIAL = sizeof special / sizeof *special, ROWS = 4 };
    const struct nauha__codec_config config = {.method = NAUHA__CODEC_ZSTD, .temporal = true};
    struct nauha__codec *codec = nauha__codec_new(&config, CHUNK);
    uint32_t *chunk = calloc(1, CHUNK);
    assert_true(codec && chunk);
    struct nauha__temporal about = {.slices = ROWS, .slice = CHUNK / ROWS / 4, .rows = ROWS};
    about.width = SPECIAL * SPECIAL * SPECIAL;
    for (size_t i = 0; i < about.width; i++)
        for (size_t row = 0, rest = i; row < ROWS; row++, rest /= SPECIAL)
            chunk[row * about.slice + i] = special[(rest + row / 3) % SPECIAL];
    check_chunk(codec, NAUHA__CODEC_ZSTD, 4, &about, (const unsigned char *)chunk);
    struct nauha__temporal two = about;
    two.order = NAUHA__ORDER_TWO;
    uint32_t *residuals = malloc(about.width * ROWS * 4), *back = malloc(CHUNK);
    assert_true(residuals && back);
    nauha__temporal_predict(&two, 4, chunk, residuals);
    nauha__temporal_restore(&two, 4, residuals, back);
    assert_memory_equal(back, chunk, CHUNK);
    free(residuals);
    free(back);
    free(chunk);
    nauha__codec_free(codec);
}

/* A smooth course is much smaller than its values; one without a course is not larger. */
static void test_what_prediction_gains(void **state) {
    (void)state;
    const struct nauha__codec_config config = {.method = NAUHA__CODEC_ZSTD, .temporal = true};
    struct nauha__codec *codec = nauha__codec_new(&config, CHUNK);
    unsigned char *chunk = malloc(CHUNK), *room = malloc(nauha__codec_bound(CHUNK));
    assert_true(codec && chunk && room);
    struct nauha__temporal about = {.slices = 16, .slice = CHUNK / 64, .rows = 16};
    about.width = about.slice;
    for (enum course course = 0; course < COURSES; course++) {
        size_t plain = 0;
        uint32_t mask = 0;
        fill(&about, 4, course, DATA_NORMAL, chunk);
        nauha__codec_encode(codec, 4, chunk, CHUNK, room, &plain, &mask);
        struct encoded encoded = encode(codec, 4, &about, chunk);
        if (course == COURSE_UNRELATED)
            assert_true(encoded.size < plain + 600); /* tables of a block more in each plane */
        else
            assert_true(encoded.size < plain * 2 / 3);
        free(encoded.bytes);
    }
    free(room);
    free(chunk);
    nauha__codec_free(codec);
}

/* ---- damage ---- */

enum { SMALL = 1024, SLICES = 4 };

static enum nauha_status decode_small(struct nauha__codec *codec, uint32_t mask, const void *stored,
                                      size_t size, struct nauha_error *err) {
    unsigned char *from = malloc(size + (size == 0)), *to = malloc(SMALL);
    assert_true(from && to);
    memcpy(from, stored, size);
    enum nauha_status status =
        nauha__codec_decode(codec, 4, SLICES, mask, from, size, to, SMALL, err);
    free(from);
    free(to);
    return status;
}

static void check_refused(struct nauha__codec *codec, const unsigned char *image, size_t size,
                          const char *message) {
    struct nauha_error err = {0};
    assert_int_equal(decode_small(codec, NAUHA__MASK_OURS_RAW, image, size, &err), NAUHA_DAMAGED);
    assert_string_equal(err.message, message);
}

static void test_images_that_do_not_fit(void **state) {
    (void)state;
    static const char fit[] = "the chunk has a temporal image that does not fit it";
    static const char other[] = "the chunk has a temporal image of another size";
    const struct nauha__codec_config config = {.method = NAUHA__CODEC_ZSTD};
    struct nauha__codec *codec = nauha__codec_new(&config, SMALL);
    assert_non_null(codec);
    struct nauha__temporal about = {.slices = SLICES, .slice = SMALL / SLICES / 4};
    unsigned char image[SMALL + 64] = {0};
    about.width = about.slice;
    nauha__temporal_put_tail(&about, image + SMALL);
    struct nauha_error err = {0};
    assert_int_equal(decode_small(codec, NAUHA__MASK_OURS_RAW, image, SMALL + 8, &err), NAUHA_OK);
    for (size_t size = 0; size < SMALL + 8; size++)
        check_refused(codec, image, size, size < 8 ? other : fit); /* the tail is in the zeros */
    check_refused(codec, image, SMALL + 9, other);
    about.width = about.slice + 1;
    nauha__temporal_put_tail(&about, image + 4 * about.width);
    check_refused(codec, image, 4 * about.width + 8, fit);
    about.width = 3;
    nauha__temporal_put_tail(&about, image + 12 * (SLICES + 1));
    check_refused(codec, image, 12 * (SLICES + 1) + 8, fit); /* a row more than there are slices */
    nauha__temporal_put_tail(&about, image + 16);
    check_refused(codec, image, 16 + 8, fit); /* a row and a third */
    about.order = 1;
    nauha__temporal_put_tail(&about, image + 12);
    check_refused(codec, image, 12 + 8, fit);
    assert_int_equal(
        nauha__codec_decode(codec, 4, 3, NAUHA__MASK_OURS_RAW, image, 20, image + 64, 256, &err),
        NAUHA_DAMAGED);
    assert_string_equal(err.message, "the chunk has slices that do not fill it");
    nauha__codec_free(codec);
}

/* Any byte of a stored chunk changed, and every cut: refused, or decoded to a whole chunk. */
static void test_bytes_changed(void **state) {
    (void)state;
    static const enum nauha__codec_method methods[] = {NAUHA__CODEC_ZSTD, NAUHA__CODEC_LZ4};
    unsigned char chunk[SMALL];
    for (size_t m = 0; m < 2; m++) {
        const struct nauha__codec_config config = {.method = methods[m]};
        struct nauha__codec *codec = nauha__codec_new(&config, SMALL);
        struct nauha__temporal about = {.slices = SLICES, .slice = SMALL / SLICES / 4, .rows = 3};
        about.width = about.slice - 5;
        fill(&about, 4, COURSE_STILL, DATA_NORMAL, chunk);
        struct encoded encoded = encode(codec, 4, &about, chunk);
        assert_int_equal(encoded.mask, NAUHA__MASK_OURS);
        for (size_t i = 0; i < encoded.size; i++) {
            struct nauha_error err = {0};
            assert_int_not_equal(decode_small(codec, encoded.mask, encoded.bytes, i, &err),
                                 NAUHA_OK);
            for (unsigned bit = 0; bit < 8; bit++) {
                encoded.bytes[i] ^= (unsigned char)(1u << bit);
                enum nauha_status status =
                    decode_small(codec, encoded.mask, encoded.bytes, encoded.size, &err);
                assert_true(status == NAUHA_OK || status == NAUHA_DAMAGED);
                encoded.bytes[i] ^= (unsigned char)(1u << bit);
            }
        }
        free(encoded.bytes);
        nauha__codec_free(codec);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_every_width_and_filling), cmocka_unit_test(test_special_values),
    cmocka_unit_test(test_what_prediction_gains),   cmocka_unit_test(test_images_that_do_not_fit),
    cmocka_unit_test(test_bytes_changed),
};

UNIT_MAIN(tests)
