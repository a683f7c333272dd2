/* SPDX-License-Identifier: MIT */
/* The hash of tensors: the definition, each version of the code, any parts, and different tensors
 * that have to differ. tests/integration/test_tensor_hash.py computes it with NumPy. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "nauha/internal/tensor_hash.h"

enum { BLOCK = 4096, ROW = 64 };

/* splitmix64, as published by Sebastiano Vigna. */
static uint64_t next_random(uint64_t *state) {
    uint64_t z = (*state += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static void fill_random(void *bytes, size_t count, uint64_t seed) {
    for (size_t i = 0; i < count; i++)
        ((unsigned char *)bytes)[i] = (unsigned char)(next_random(&seed) >> 56);
}

static void assert_hash(const unsigned char *bytes, size_t count, const uint64_t expected[2]) {
    uint64_t hash[2];
    nauha__tensor_hash(bytes, count, hash);
    assert_true(hash[0] == expected[0] && hash[1] == expected[1]);
}

/* Computed by the program of docs/format.md. Byte i is i i + 3 i modulo 251. */
static void test_numbers(void **state) {
    (void)state;
    static const struct {
        size_t count;
        uint64_t hash[2];
    } expected[] = {
        {0, {0x2b0c3d8eae209f78u, 0x3effa93ad0a52a4eu}},
        {1, {0x7ca91c2716fd9d23u, 0xca2e25359566ac85u}},
        {7, {0x5ebc2b36f05a80acu, 0xe917af06bd4be491u}},
        {8, {0xe97ce056f530cb0du, 0x52a52d8224a57c21u}},
        {63, {0x5eccff13e4a9afb1u, 0xf854a1e523d95802u}},
        {64, {0x20f7bf34b6fe6de6u, 0x8db7391c2fb2d541u}},
        {65, {0xe0e7bffa68394134u, 0xe3501ebd493579abu}},
        {127, {0x28de46a0673248a1u, 0x50d7a7fa435e1756u}},
        {4095, {0x92e87c93e0b88ecdu, 0xcf04c0d4fbdd7b4cu}},
        {4096, {0x60d21c3148cdaf35u, 0x835897070973a2eeu}},
        {4097, {0x0a6a003cc63d8554u, 0x2aeac8380c1644b6u}},
        {8192, {0xed2d2dd92b31d4feu, 0x5a78e614273b9f11u}},
        {12345, {0x4118fb64a462be4eu, 0xe8a824a2910ffbcdu}},
        {100003, {0xe0d8850549f3d3d3u, 0x3919bbab8c147bd7u}},
    };
    static unsigned char bytes[100003];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)((i * i + 3 * i) % 251);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        assert_hash(bytes, expected[i].count, expected[i].hash);
}

static void test_keys(void **state) {
    (void)state;
    uint64_t seed = 0;
    const uint64_t *keys = nauha__hash_keys();
    for (size_t i = 0; i < 538; i++)
        assert_true(keys[i] == next_random(&seed));
    /* What makes sure that one different word of 32 bits is seen. */
    for (size_t i = 0; i < 512; i++) {
        assert_true((uint32_t)keys[i] != (uint32_t)keys[i + 8]);
        assert_true(keys[i] >> 32 != keys[i + 8] >> 32);
    }
}

static void test_versions_agree(void **state) {
    (void)state;
    static unsigned char bytes[BLOCK + 1];
    size_t count;
    const struct nauha__hash_version *versions = nauha__hash_versions(&count);
    assert_in_range(count, 1, 4);
    assert_string_equal(versions[count - 1].name, "plain");
    fill_random(bytes, sizeof bytes, 1);
    memset(bytes + 300, 0xff, 500);
    for (size_t rows = 0; rows <= 64; rows++) {
        uint64_t expected[2][8] = {{7, 8, 9}, {1ull << 63}};
        versions[count - 1].add_rows(bytes + 1, rows, nauha__hash_keys(), expected);
        for (size_t i = 0; i + 1 < count; i++) {
            uint64_t lanes[2][8] = {{7, 8, 9}, {1ull << 63}};
            versions[i].add_rows(bytes + 1, rows, nauha__hash_keys(), lanes);
            assert_memory_equal(lanes, expected, sizeof lanes);
        }
    }
    for (size_t i = 0; i + 1 < count; i++) {
        uint64_t expected[2], sums[2];
        versions[count - 1].sum_block(bytes + 1, expected);
        versions[i].sum_block(bytes + 1, sums);
        assert_memory_equal(sums, expected, sizeof sums);
    }
}

static void test_any_parts(void **state) {
    (void)state;
    static unsigned char bytes[3 * BLOCK + 100];
    uint64_t seed = 5, expected[2], hash[2];
    fill_random(bytes, sizeof bytes, 2);
    for (size_t round = 0; round < 2000; round++) {
        const size_t count = (size_t)(next_random(&seed) % (sizeof bytes + 1));
        const uint64_t most = 1 + next_random(&seed) % (round % 2 ? 100 : 2 * BLOCK);
        struct nauha__tensor_hasher hasher;
        nauha__tensor_hash(bytes, count, expected);
        nauha__tensor_hasher_begin(&hasher);
        for (size_t done = 0; done < count;) {
            size_t part = (size_t)(next_random(&seed) % (most + 1));
            part = part < count - done ? part : count - done;
            nauha__tensor_hasher_add(&hasher, bytes + done, part);
            done += part;
        }
        nauha__tensor_hasher_end(&hasher, hash);
        assert_memory_equal(hash, expected, sizeof hash);
    }
}

/* ---- different tensors ---- */

static struct {
    uint64_t *halves[2];
    size_t count, room;
} seen;

static void see(const void *bytes, size_t count) {
    uint64_t hash[2];
    if (seen.count == seen.room) {
        seen.room = seen.room ? 2 * seen.room : 1024;
        for (size_t i = 0; i < 2; i++)
            assert_non_null(seen.halves[i] =
                                realloc(seen.halves[i], seen.room * sizeof *seen.halves[i]));
    }
    nauha__tensor_hash(bytes, count, hash);
    seen.halves[0][seen.count] = hash[0];
    seen.halves[1][seen.count++] = hash[1];
}

static int in_order(const void *a, const void *b) {
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* All tensors that were seen are different, so each half of the hashes is: some hundred thousand
 * numbers of 64 bits have two that are equal with a probability of 10^-9. */
static void assert_all_differ(size_t least) {
    assert_true(seen.count >= least);
    for (size_t half = 0; half < 2; half++) {
        qsort(seen.halves[half], seen.count, sizeof *seen.halves[half], in_order);
        for (size_t i = 1; i < seen.count; i++)
            assert_true(seen.halves[half][i] != seen.halves[half][i - 1]);
        free(seen.halves[half]);
        seen.halves[half] = NULL;
    }
    seen.count = seen.room = 0;
}

enum { COUNT = 2500 };
static union {
    float floats[COUNT];
    uint32_t words[COUNT];
    unsigned char bytes[4 * COUNT];
} tensor, other;

static void fill_floats(uint64_t seed) {
    for (size_t i = 0; i < COUNT; i++)
        tensor.floats[i] = (float)(int64_t)next_random(&seed) * 1e-19f;
}

static void test_single_bits(void **state) {
    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        memset(&tensor, kind == 2 ? 0xff : 0, sizeof tensor);
        if (kind == 1)
            fill_floats(9);
        see(&tensor, sizeof tensor);
        for (size_t bit = 0; bit < 8 * sizeof tensor; bit++) {
            tensor.bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
            see(&tensor, sizeof tensor);
            tensor.bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        }
    }
    assert_all_differ(3 * 80000);
}

static void test_zeros_and_constants(void **state) {
    (void)state;
    static const float constants[] = {1, -1, 2, 0.5f, 1e-3f, -0.0f, 3.14159f, 65536};
    memset(&tensor, 0, sizeof tensor);
    for (size_t length = 0; length <= sizeof tensor; length++)
        see(&tensor, length);
    for (size_t i = 0; i < sizeof constants / sizeof *constants; i++) {
        for (size_t j = 0; j < COUNT; j++)
            tensor.floats[j] = constants[i];
        for (size_t length = 4; length <= sizeof tensor; length += 4)
            see(&tensor, length);
    }
    for (uint32_t value = 1; value < 20000; value++) { /* all elements are the same integer */
        for (size_t j = 0; j < 300; j++)
            tensor.words[j] = value;
        see(&tensor, 1200);
    }
    assert_all_differ(40000);
}

static void test_order(void **state) {
    (void)state;
    fill_floats(10);
    see(&tensor, sizeof tensor);
    for (size_t by = 1; by < COUNT; by++) { /* rotated */
        memcpy(other.floats, tensor.floats + by, 4 * (COUNT - by));
        memcpy(other.floats + COUNT - by, tensor.floats, 4 * by);
        see(&other, sizeof other);
    }
    static const size_t apart[] = {1,  2,  3,  4,   5,   8,   15,  16,   17,   31,  32,
                                   33, 64, 96, 128, 255, 256, 512, 1000, 1024, 2048};
    for (size_t k = 0; k < sizeof apart / sizeof *apart; k++) { /* two elements change places */
        for (size_t i = 0; i + apart[k] < COUNT; i++) {
            memcpy(&other, &tensor, sizeof tensor);
            other.floats[i] = tensor.floats[i + apart[k]];
            other.floats[i + apart[k]] = tensor.floats[i];
            see(&other, sizeof other);
        }
    }
    assert_all_differ(45000);
}

/* Rows, columns, lanes and blocks change places. */
static void test_parts_change_places(void **state) {
    (void)state;
    static unsigned char bytes[8 * BLOCK], moved[8 * BLOCK];
    static const size_t sizes[] = {4, 8, ROW, 512, BLOCK};
    fill_random(bytes, sizeof bytes, 12);
    see(bytes, sizeof bytes);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        const size_t size = sizes[s], parts = sizeof bytes / size;
        for (size_t i = 0; i < parts; i++) {
            for (size_t j = i + 1; j < parts && j < i + 20; j++) {
                memcpy(moved, bytes, sizeof bytes);
                memcpy(moved + i * size, bytes + j * size, size);
                memcpy(moved + j * size, bytes + i * size, size);
                see(moved, sizeof moved);
            }
        }
    }
    /* A matrix of 64 rows and 16 columns, in all rotations of its rows and columns. */
    for (size_t rows = 0; rows < 64; rows++) {
        for (size_t columns = 0; columns < 16; columns++) {
            for (size_t i = 0; i < 64; i++)
                for (size_t j = 0; j < 16; j++)
                    memcpy(moved + 4 * (((i + rows) % 64) * 16 + (j + columns) % 16),
                           bytes + 4 * (i * 16 + j), 4);
            see(moved, BLOCK);
        }
    }
    assert_all_differ(200000);
}

/* What errors of a few words do: signs, and ones added to small integers. They lie in one lane,
 * too, where the sums are weakest. */
static void test_signs_and_small_integers(void **state) {
    (void)state;
    uint64_t seed = 13;
    for (int kind = 0; kind < 4; kind++) {
        if (kind % 2)
            for (size_t i = 0; i < COUNT; i++)
                tensor.words[i] = (uint32_t)(next_random(&seed) % 4);
        else
            fill_floats(14);
        for (size_t round = 0; round < 60000; round++) {
            memcpy(&other, &tensor, sizeof tensor);
            const size_t most = kind < 2 ? COUNT : 128; /* of one lane of a block, or of all */
            const size_t changes = 2 + (size_t)(next_random(&seed) % 12);
            for (size_t i = 0; i < changes; i++) {
                const size_t at = (size_t)(next_random(&seed) % most);
                const size_t word = kind < 2 ? at : at / 2 * 16 + at % 2;
                if (kind % 2)
                    other.words[word] ^= 1u << next_random(&seed) % 3;
                else
                    other.words[word] ^= 1u << 31;
            }
            other.words[COUNT - 1] = (uint32_t)round; /* in another block */
            see(&other, sizeof other);
        }
    }
    assert_all_differ(240000);
}

/* Of two changes in one lane, every pair. */
static void test_two_signs_in_a_lane(void **state) {
    (void)state;
    fill_floats(15);
    see(&tensor, BLOCK);
    for (size_t lane = 0; lane < 8; lane++) {
        for (size_t i = 0; i < 128; i++) {
            for (size_t j = i; j < 128; j++) {
                const size_t a = i / 2 * 16 + lane * 2 + i % 2, b = j / 2 * 16 + lane * 2 + j % 2;
                memcpy(&other, &tensor, sizeof tensor);
                other.words[a] ^= 1u << 31;
                if (a != b)
                    other.words[b] ^= 1u << 31;
                see(&other, BLOCK);
            }
        }
    }
    assert_all_differ(60000);
}

/* Where a word makes one product 0 whatever the word beside it is, the other product shows it. */
static void test_a_product_of_zero(void **state) {
    (void)state;
    const uint64_t *keys = nauha__hash_keys();
    uint64_t hash[2][2];
    for (size_t which = 0; which < 2; which++) {
        fill_floats(16);
        tensor.words[1] = 0u - (uint32_t)(keys[which * 8] >> 32);
        nauha__tensor_hash(&tensor, sizeof tensor, hash[0]);
        tensor.words[0] += 12345;
        nauha__tensor_hash(&tensor, sizeof tensor, hash[1]);
        assert_true(hash[0][which] == hash[1][which]);
        assert_true(hash[0][1 - which] != hash[1][1 - which]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_versions_agree),
        cmocka_unit_test(test_any_parts),
        cmocka_unit_test(test_single_bits),
        cmocka_unit_test(test_zeros_and_constants),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_parts_change_places),
        cmocka_unit_test(test_signs_and_small_integers),
        cmocka_unit_test(test_two_signs_in_a_lane),
        cmocka_unit_test(test_a_product_of_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
