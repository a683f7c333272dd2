/* SPDX-License-Identifier: MIT */
/* Byte planes against the plain definition, at every length where the vector loops change over. */
#include "unit.h"

#include <string.h>

#include "recorder/core/codec/shuffle.h"

static const size_t item_sizes[] = {1, 2, 4, 8};
static const size_t counts[] = {0,  1,  2,  3,  7,   8,   9,    15,   16,   17,   31,    32,
                                33, 63, 64, 65, 127, 128, 1000, 4095, 4096, 4097, 65536, 131073};

static void fill(unsigned char *at, size_t bytes) {
    uint64_t x = 88172645463325252u;
    for (size_t i = 0; i < bytes; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        at[i] = (unsigned char)(x >> 32);
    }
}

/* HDF5's H5Z__filter_shuffle: byte k of item i goes to k * count + i, what is left stays. */
static void reference(size_t item_size, const unsigned char *src, size_t bytes,
                      unsigned char *dst) {
    size_t count = bytes / item_size;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < item_size; k++)
            dst[k * count + i] = src[i * item_size + k];
    for (size_t i = count * item_size; i < bytes; i++)
        dst[i] = src[i];
}

/* Exact heap blocks, `offset` bytes from alignment, so that sanitizers see a byte too many. */
static void check(size_t item_size, size_t bytes, size_t offset) {
    unsigned char *items = malloc(bytes + offset + 1), *planes = malloc(bytes + offset + 1);
    unsigned char *want = malloc(bytes + 1), *back = malloc(bytes + offset + 1);
    assert_non_null(items);
    assert_non_null(planes);
    assert_non_null(want);
    assert_non_null(back);
    fill(items, bytes + offset);
    items[bytes + offset] = planes[bytes + offset] = back[bytes + offset] = 0xA5;
    reference(item_size, items + offset, bytes, want);
    nauha__shuffle(item_size, items + offset, bytes, planes + offset);
    assert_memory_equal(planes + offset, want, bytes);
    nauha__unshuffle(item_size, planes + offset, bytes, back + offset);
    assert_memory_equal(back + offset, items + offset, bytes);
    assert_int_equal(planes[bytes + offset], 0xA5);
    assert_int_equal(back[bytes + offset], 0xA5);
    free(items);
    free(planes);
    free(want);
    free(back);
}

static void test_shuffle_and_back(void **state) {
    (void)state;
    for (size_t s = 0; s < sizeof item_sizes / sizeof *item_sizes; s++)
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
            for (size_t offset = 0; offset < 3; offset++)
                check(item_sizes[s], counts[c] * item_sizes[s], offset);
}

static void test_bytes_left_over_stay(void **state) {
    (void)state;
    for (size_t s = 1; s < sizeof item_sizes / sizeof *item_sizes; s++)
        for (size_t rest = 1; rest < item_sizes[s]; rest++) {
            check(item_sizes[s], rest, 0);
            check(item_sizes[s], 100 * item_sizes[s] + rest, 0);
        }
}

/* Planes that lie anywhere, in no order: what the plane frame does. */
static void test_planes_apart(void **state) {
    (void)state;
    enum { COUNT = 101, ROOM = COUNT + 7 };
    unsigned char items[8 * COUNT], back[8 * COUNT], room[8 * ROOM];
    fill(items, sizeof items);
    for (size_t s = 0; s < sizeof item_sizes / sizeof *item_sizes; s++) {
        size_t item_size = item_sizes[s];
        unsigned char *planes[NAUHA__ITEM_SIZE_MAX];
        const unsigned char *sources[NAUHA__ITEM_SIZE_MAX];
        memset(room, 0xA5, sizeof room);
        for (size_t k = 0; k < item_size; k++)
            sources[k] = planes[k] = room + (item_size - 1 - k) * ROOM + 3;
        nauha__split_planes(item_size, items, COUNT, planes);
        for (size_t k = 0; k < item_size; k++)
            for (size_t i = 0; i < COUNT; i++)
                assert_int_equal(planes[k][i], items[i * item_size + k]);
        for (size_t k = 0; k < item_size; k++) {
            assert_int_equal(planes[k][-1], 0xA5);
            assert_int_equal(planes[k][COUNT], 0xA5);
        }
        nauha__join_planes(item_size, sources, COUNT, back);
        assert_memory_equal(back, items, item_size * COUNT);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_shuffle_and_back),
    cmocka_unit_test(test_bytes_left_over_stay),
    cmocka_unit_test(test_planes_apart),
};

UNIT_MAIN(tests)
