/* SPDX-License-Identifier: MIT */
/* libFuzzer: any bytes decode to the asked size or are refused, and any bytes, taken as items, come
 * back from every codec; zstd's own decoder agrees. So it does of Huffman-coded blocks of the
 * bytes, over and over.
 *
 * Input: method, item size and slices, filter mask, size asked for (2 bytes), then the chunk.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "nauha/internal/codec.h"
#include "recorder/core/codec/huffman.h"

enum { HEADER = 5, MAX_BYTES = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds) {
    if (!holds)
        abort();
}

static void *copy_of(const void *bytes, size_t size) {
    void *copy = malloc(size + (size == 0));
    require(copy != NULL);
    if (size)
        memcpy(copy, bytes, size);
    return copy;
}

static void decode(struct nauha__codec *codec, size_t item_size, size_t slices, uint32_t mask,
                   size_t asked, const uint8_t *data, size_t size) {
    struct nauha_error err = {0};
    uint8_t *stored = copy_of(data, size), *plain = calloc(1, asked + (asked == 0));
    require(plain != NULL);
    enum nauha_status status =
        nauha__codec_decode(codec, item_size, slices, mask, stored, size, plain, asked, &err);
    require(status == NAUHA_OK || (status == NAUHA_DAMAGED && err.message[0] != '\0'));
    nauha__codec_coded_bytes(NAUHA__CODEC_ZSTD, mask, stored, size);
    free(stored);
    free(plain);
}

static void round_trip(struct nauha__codec *codec, enum nauha__codec_method method,
                       size_t item_size, const uint8_t *data, size_t size) {
    size_t bytes = size / item_size * item_size, stored_size = 0;
    uint32_t mask = 0;
    uint8_t *plain = copy_of(data, bytes), *stored = malloc(nauha__codec_bound(bytes));
    uint8_t *back = malloc(bytes + (bytes == 0)), *image = malloc(bytes + (bytes == 0));
    require(stored && back && image);
    nauha__codec_encode(codec, item_size, plain, bytes, stored, &stored_size, &mask);
    require(stored_size <= bytes && mask <= NAUHA__MASK_RAW);
    uint8_t *exact = copy_of(stored, stored_size);
    require(nauha__codec_decode(codec, item_size, 1, mask, exact, stored_size, back, bytes, NULL) ==
            NAUHA_OK);
    require(bytes == 0 || memcmp(back, plain, bytes) == 0);
    if (method == NAUHA__CODEC_ZSTD && mask == NAUHA__MASK_SHUFFLED) {
        require(ZSTD_decompress(image, bytes, exact, stored_size) == bytes);
        nauha__unshuffle(item_size, image, bytes, back);
        require(memcmp(back, plain, bytes) == 0);
    }
    free(plain);
    free(stored);
    free(back);
    free(image);
    free(exact);
}

/* The bytes as the first items of each slice in use, which others follow that are zero. */
static void round_trip_slices(struct nauha__codec *codec, size_t item_size, size_t count,
                              const uint8_t *data, size_t size) {
    size_t slice = size / item_size / count + 1, bytes = count * slice * item_size;
    size_t rows = 1 + size % count, items = size / item_size;
    const struct nauha__slices slices = {count, rows, items / rows < slice ? items / rows : slice};
    if (slices.width == 0)
        return;
    uint8_t *plain = calloc(1, bytes), *stored = malloc(nauha__codec_bound(bytes));
    uint8_t *back = malloc(bytes);
    require(plain && stored && back);
    for (size_t row = 0; row < rows; row++)
        memcpy(plain + row * slice * item_size, data + row * slices.width * item_size,
               slices.width * item_size);
    size_t stored_size = 0;
    uint32_t mask = 0;
    nauha__codec_encode_slices(codec, item_size, &slices, plain, bytes, stored, &stored_size,
                               &mask);
    require(stored_size <= bytes && mask <= NAUHA__MASK_RAW);
    uint8_t *exact = copy_of(stored, stored_size);
    require(nauha__codec_decode(codec, item_size, count, mask, exact, stored_size, back, bytes,
                                NULL) == NAUHA_OK);
    require(memcmp(back, plain, bytes) == 0);
    free(plain);
    free(stored);
    free(back);
    free(exact);
}

/* A block of `length` bytes, those of the input over and over, each time changed a little, in a
 * frame of its own (RFC 8878, section 3.1.1). */
static void round_trip_block(const uint8_t *data, size_t size, size_t length) {
    enum { HEADERS = 4 + 1 + 4 + 3 };
    struct nauha__huffman *huffman = nauha__huffman_new();
    uint8_t *plain = malloc(length), *frame = malloc(HEADERS + length), *back = malloc(length);
    require(huffman && plain && frame && back);
    for (size_t i = 0; i < length; i++)
        plain[i] = (uint8_t)(data[i % size] ^ (i / size & data[0]));
    size_t coded = nauha__huffman_encode(huffman, plain, length, frame + HEADERS);
    require(coded < length);
    if (coded) {
        const uint64_t words[2] = {0xFD2FB528u | (uint64_t)(2 << 6 | 1 << 5) << 32,
                                   length | (uint64_t)(coded << 3 | 2 << 1 | 1) << 32};
        for (unsigned i = 0; i < 5; i++)
            frame[i] = (uint8_t)(words[0] >> 8 * i);
        for (unsigned i = 0; i < 7; i++)
            frame[5 + i] = (uint8_t)(words[1] >> 8 * i);
        require(ZSTD_decompress(back, length, frame, HEADERS + coded) == length);
        require(memcmp(back, plain, length) == 0);
    }
    nauha__huffman_free(huffman);
    free(plain);
    free(frame);
    free(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < HEADER || size > HEADER + MAX_BYTES)
        return 0;
    const struct nauha__codec_config config = {
        .method = (enum nauha__codec_method)(data[0] % 3),
        .level = 1,
        .has_level = (data[0] & 0x80) != 0,
        .standard = (data[0] & 0x40) != 0,
    };
    size_t item_size = (size_t)1 << data[1] % 4, slices = (size_t)1 << data[1] / 4 % 5;
    uint32_t mask = data[2] % 9;
    size_t asked = (size_t)data[3] | (size_t)data[4] << 8;
    struct nauha__codec *codec = nauha__codec_new(&config, MAX_BYTES + 16 * 8);
    require(codec != NULL);
    decode(codec, item_size, slices, mask, asked, data + HEADER, size - HEADER);
    round_trip(codec, config.method, item_size, data + HEADER, size - HEADER);
    if (slices > 1 && config.method != NAUHA__CODEC_NONE)
        round_trip_slices(codec, item_size, slices, data + HEADER, size - HEADER);
    if (size > HEADER)
        round_trip_block(data + HEADER, size - HEADER,
                         NAUHA__HUFFMAN_MIN +
                             2 * asked % (NAUHA__HUFFMAN_MAX - NAUHA__HUFFMAN_MIN + 1));
    nauha__codec_free(codec);
    return 0;
}
