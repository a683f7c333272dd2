/* SPDX-License-Identifier: MIT */
/* Blocks of Huffman-coded bytes: zstd's decoder reads them, and they are as small as they can be.
 */
#include "unit.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "recorder/core/codec/huffman.h"

enum { MAX = NAUHA__HUFFMAN_MAX, GUARD = 64, FRAME = 4 + 1 + 4 + 3 };

struct fixture {
    struct nauha__huffman *huffman;
    unsigned char src[MAX], dst[MAX + GUARD], frame[FRAME + MAX], back[MAX];
    uint64_t seed;
};

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->huffman = nauha__huffman_new();
    assert_non_null(f->huffman);
    f->seed = 42;
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    nauha__huffman_free(f->huffman);
    free(f);
    return 0;
}

/* Uniform in [0, 1). */
static double draw(struct fixture *f) {
    f->seed = f->seed * 6364136223846793005u + 1442695040888963407u;
    return (double)(f->seed >> 11) * 0x1p-53;
}

/* What zstd's decoder makes of it, as the one block of a frame (RFC 8878, section 3.1.1). */
static void check_decoded(struct fixture *f, size_t size, size_t coded) {
    const uint32_t magic = 0xFD2FB528u, header = (uint32_t)coded << 3 | 2u << 1 | 1u;
    for (unsigned i = 0; i < 4; i++) {
        f->frame[i] = (unsigned char)(magic >> 8 * i);
        f->frame[5 + i] = (unsigned char)(size >> 8 * i);
    }
    f->frame[4] = 2u << 6 | 1u << 5; /* content size in four bytes, single segment */
    for (unsigned i = 0; i < 3; i++)
        f->frame[9 + i] = (unsigned char)(header >> 8 * i);
    memcpy(f->frame + FRAME, f->dst, coded);
    memset(f->back, 0xA5, size);
    assert_int_equal(ZSTD_decompress(f->back, size, f->frame, FRAME + coded), size);
    assert_memory_equal(f->back, f->src, size);
}

/* Encodes, and checks that it decodes, that nothing is written behind it and that what was encoded
 * before makes no difference. */
static size_t encode(struct fixture *f, size_t size) {
    memset(f->dst, 0x5A, sizeof f->dst);
    size_t coded = nauha__huffman_encode(f->huffman, f->src, size, f->dst);
    for (size_t i = coded; i < size + GUARD; i++)
        assert_int_equal(f->dst[i], 0x5A);
    if (coded == 0)
        return 0;
    assert_true(coded < size);
    check_decoded(f, size, coded);
    struct nauha__huffman *fresh = nauha__huffman_new();
    assert_non_null(fresh);
    assert_int_equal(nauha__huffman_encode(fresh, f->src, size, f->back), coded);
    assert_memory_equal(f->back, f->dst, coded);
    nauha__huffman_free(fresh);
    return coded;
}

/* Shannon's (1948) bytes. */
static double entropy_bytes(const unsigned char *bytes, size_t size) {
    size_t counts[256] = {0};
    double bits = 0;
    for (size_t i = 0; i < size; i++)
        counts[bytes[i]]++;
    for (unsigned value = 0; value < 256; value++)
        if (counts[value])
            bits -= (double)counts[value] * log2((double)counts[value] / (double)size);
    return bits / 8;
}

/* A code of whole bits takes at most as much more as a byte's most frequent value has share, and
 * 0.086 bits (Gallager 1978). What is added: the tree, sizes, and a part counted for all. */
static double size_at_most(const unsigned char *bytes, size_t size) {
    size_t counts[256] = {0}, most = 0;
    for (size_t i = 0; i < size; i++)
        if (++counts[bytes[i]] > most)
            most = counts[bytes[i]];
    const double redundancy = (double)most / (double)size + 0.086 + 0.01;
    return entropy_bytes(bytes, size) + (double)size / 8 * redundancy + 130;
}

/* Encodes to no more than that, where that is less than the bytes. */
static void check_size(struct fixture *f, size_t size) {
    const double most = size_at_most(f->src, size);
    size_t coded = encode(f, size);
    assert_true(coded > 0 || most >= (double)size);
    assert_true((double)coded <= most);
}

static const size_t sizes[] = {1024,  1025,  1026,   1027,    4099, 16383,
                               16384, 65536, 100001, MAX - 1, MAX};
enum { SIZES = sizeof sizes / sizeof *sizes };

/* Sign and exponent of normal variables, with and without a sign. */
static void test_exponents(void **state) {
    struct fixture *f = *state;
    for (size_t s = 0; s < SIZES; s++) {
        for (unsigned with_sign = 0; with_sign < 2; with_sign++) {
            for (size_t i = 0; i < sizes[s]; i++) {
                float x = (float)(sqrt(-2 * log(1 - draw(f))) * cos(2 * M_PI * draw(f)));
                uint32_t word;
                memcpy(&word, &x, sizeof word);
                f->src[i] = (unsigned char)(with_sign ? word >> 24 : word >> 24 & 0x7F);
            }
            check_size(f, sizes[s]);
        }
    }
}

/* Any number of values, anywhere, more and less even. */
static void test_alphabets(void **state) {
    struct fixture *f = *state;
    for (unsigned distinct = 2; distinct <= 256; distinct += 1 + distinct / 9) {
        for (unsigned power = 1; power <= 16; power *= 2) {
            const size_t size = sizes[(distinct + power) % SIZES];
            const unsigned from = power % 3 ? 0 : 256 - distinct;
            const unsigned step = distinct > 80 || power % 3 == 1 ? 1 : 3;
            for (size_t i = 0; i < size; i++)
                f->src[i] =
                    (unsigned char)(from + step * (unsigned)(pow(draw(f), power) * distinct));
            check_size(f, size);
        }
    }
}

/* Counts that double, or grow as Fibonacci's numbers do, ask for codes longer than there are. */
static void test_long_codes(void **state) {
    struct fixture *f = *state;
    for (unsigned kind = 0; kind < 2; kind++) {
        size_t at = 0, a = 1, b = 1;
        for (unsigned value = 0; at < MAX; value++) {
            for (size_t i = 0; i < a && at < MAX; i++)
                f->src[at++] = (unsigned char)(40 * value);
            const size_t next = kind ? 2 * a : a + b;
            a = kind ? next : b;
            b = next;
        }
        for (size_t i = MAX; i-- > 1;) {
            size_t j = (size_t)(draw(f) * (double)i);
            unsigned char swapped = f->src[i];
            f->src[i] = f->src[j];
            f->src[j] = swapped;
        }
        check_size(f, MAX);
    }
}

/* Columns unlike the others, in rows as long as the steps of a sample: what is counted of them must
 * not stand for all. */
static void test_columns(void **state) {
    struct fixture *f = *state;
    for (size_t row = 128; row <= 1536; row += 128) {
        for (unsigned first = 0; first < row && first < 512; first += 64) {
            for (size_t i = 0; i < MAX; i++) {
                const bool other = i % row - first < 64;
                f->src[i] = (unsigned char)(other ? 0x3C : 0x34 + draw(f) * 8);
            }
            check_size(f, MAX);
        }
    }
}

/* A value that no sample shows, in the range and with the sign of others. */
static void test_rare_values(void **state) {
    struct fixture *f = *state;
    for (size_t rare = 0; rare < MAX; rare = 3 * rare + 17) {
        for (size_t i = 0; i < MAX; i++)
            f->src[i] = (unsigned char)(draw(f) < 0.5 ? 0x38 : 0xBC);
        f->src[rare] = 0x3A;
        f->src[MAX - 1 - rare] = 0xB8;
        assert_true(encode(f, MAX) > 0);
    }
}

/* The smallest trees: their descriptions have one weight, or two. */
static void test_small_trees(void **state) {
    struct fixture *f = *state;
    for (unsigned low = 0; low < 2; low++) {
        for (size_t i = 0; i < MAX; i++)
            f->src[i] = (unsigned char)(low + (draw(f) < 0.5));
        assert_in_range(encode(f, MAX), MAX / 8, MAX / 8 + 24);
    }
    /* All weights are the same: of the eighth there is no word. */
    for (size_t i = 0; i < MAX; i++)
        f->src[i] = (unsigned char)(draw(f) * 8);
    assert_in_range(encode(f, MAX), MAX / 8 * 3, MAX / 8 * 3 + 24);
}

static void test_what_is_refused(void **state) {
    struct fixture *f = *state;
    memset(f->src, 9, MAX); /* one value */
    assert_int_equal(encode(f, MAX), 0);
    for (size_t i = 0; i < MAX; i++)
        f->src[i] = (unsigned char)(draw(f) * 256);
    assert_int_equal(encode(f, MAX), 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_exponents, setup, teardown),
    cmocka_unit_test_setup_teardown(test_alphabets, setup, teardown),
    cmocka_unit_test_setup_teardown(test_long_codes, setup, teardown),
    cmocka_unit_test_setup_teardown(test_columns, setup, teardown),
    cmocka_unit_test_setup_teardown(test_rare_values, setup, teardown),
    cmocka_unit_test_setup_teardown(test_small_trees, setup, teardown),
    cmocka_unit_test_setup_teardown(test_what_is_refused, setup, teardown),
};
UNIT_MAIN(tests)
