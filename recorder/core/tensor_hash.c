/* SPDX-License-Identifier: MIT */
/* The hash of a tensor's elements; see nauha/internal/tensor_hash.h.
 *
 * Within a lane of a block it is NH (Black, Halevi, Krawczyk, Krovetz and Rogaway (1999), "UMAC:
 * Fast and Secure Message Authentication"), with the keys of the next row for the second sum
 * (section 5.4, "Toeplitz"). Two blocks that differ have the same two sums of a lane with a
 * probability of 2^-64 at most, and never if they differ in 32 bits of a word only: one of the two
 * keys that are added to the other 32 bits does not make them 0. Lanes and blocks are mixed before
 * they are added, so that it matters where they lie.
 */
#include "nauha/internal/tensor_hash.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define LANES NAUHA__HASH_LANES
#define ROW_BYTES ((size_t)NAUHA__HASH_ROW_BYTES)
#define ROWS NAUHA__HASH_ROWS
#define GOLDEN UINT64_C(0x9e3779b97f4a7c15)

/* The finalizer of SplitMix64 (Steele, Lea and Flood (2014), "Fast splittable pseudorandom number
 * generators"), in steps that are constant expressions. */
#define MIX_1(z) (((z) ^ (z) >> 30) * UINT64_C(0xbf58476d1ce4e5b9))
#define MIX_2(z) (((z) ^ (z) >> 27) * UINT64_C(0x94d049bb133111eb))
#define MIX_3(z) ((z) ^ (z) >> 31)

static uint64_t mix(uint64_t z) {
    z = MIX_1(z);
    z = MIX_2(z);
    return MIX_3(z);
}

/* The numbers that SplitMix64 gives with seed 0: a row of keys for each row of a block and one
 * more, a row of factors for each sum, and the last one, of which two are used. */
#define KEY(i) MIX_3(MIX_2(MIX_1(((i) + UINT64_C(1)) * GOLDEN)))
#define KEYS_8(i)                                                                                  \
    KEY(i), KEY((i) + 1), KEY((i) + 2), KEY((i) + 3), KEY((i) + 4), KEY((i) + 5), KEY((i) + 6),    \
        KEY((i) + 7)
#define KEYS_64(i)                                                                                 \
    KEYS_8(i), KEYS_8((i) + 8), KEYS_8((i) + 16), KEYS_8((i) + 24), KEYS_8((i) + 32),              \
        KEYS_8((i) + 40), KEYS_8((i) + 48), KEYS_8((i) + 56)
static const uint64_t keys[] __attribute__((aligned(64))) = {
    KEYS_64(0),   KEYS_64(64),  KEYS_64(128), KEYS_64(192), KEYS_64(256), KEYS_64(320),
    KEYS_64(384), KEYS_64(448), KEYS_8(512),  KEYS_8(520),  KEYS_8(528),  KEYS_8(536)};
#define FACTORS (LANES * (ROWS + 1))
#define LENGTHS (FACTORS + 2 * LANES)

const uint64_t *nauha__hash_keys(void) {
    return keys;
}

/* ---- rows ---- */

static uint64_t product(uint64_t word, uint64_t key) {
    const uint32_t low = (uint32_t)word + (uint32_t)key;
    const uint32_t high = (uint32_t)(word >> 32) + (uint32_t)(key >> 32);
    return (uint64_t)low * high;
}

static void add_rows_plain(const unsigned char *bytes, size_t rows, const uint64_t *row_keys,
                           uint64_t lanes[2][LANES]) {
    for (size_t row = 0; row < rows; row++, bytes += ROW_BYTES, row_keys += LANES) {
        for (size_t i = 0; i < LANES; i++) {
            uint64_t word;
            memcpy(&word, bytes + 8 * i, sizeof word);
            lanes[0][i] += product(word, row_keys[i]);
            lanes[1][i] += product(word, row_keys[i + LANES]);
        }
    }
}

/* The sum of the lanes of a block, each mixed with a factor of its own. */
static uint64_t sum_lanes(const uint64_t lanes[LANES], size_t which) {
    uint64_t sum = 0;
    for (size_t i = 0; i < LANES; i++)
        sum += (lanes[i] ^ lanes[i] >> 32) * (keys[FACTORS + which * LANES + i] | 1);
    return sum;
}

static void sum_block_plain(const unsigned char *bytes, uint64_t sums[2]) {
    uint64_t lanes[2][LANES] = {{0}};
    add_rows_plain(bytes, ROWS, keys, lanes);
    for (size_t which = 0; which < 2; which++)
        sums[which] = sum_lanes(lanes[which], which);
}

#if defined(__x86_64__)
/* Bytes to fetch ahead of their use: processors see no further than the end of a page. */
#define AHEAD 2048
/* Macros, because a function would be compiled for narrow vectors before it is inlined. Those of a
 * row use keys that were read for the row before, and read the next ones. */
#define PART(VECTORS, i) ((i) * (LANES / (VECTORS)))
#define ADD_ROW(VECTOR, VECTORS, LOAD, ADD_32, ADD_64, MULTIPLY, SHIFT)                            \
    _mm_prefetch((const char *)bytes + AHEAD, _MM_HINT_T0);                                        \
    row_keys += LANES;                                                                             \
    _Pragma("GCC unroll 4") for (size_t i = 0; i < VECTORS; i++) {                                 \
        const VECTOR words = LOAD((const void *)(bytes + 8 * PART(VECTORS, i)));                   \
        const VECTOR x = ADD_32(words, key[i]);                                                    \
        key[i] = LOAD((const void *)(row_keys + PART(VECTORS, i)));                                \
        const VECTOR y = ADD_32(words, key[i]);                                                    \
        sums[0][i] = ADD_64(sums[0][i], MULTIPLY(x, SHIFT(x, 32)));                                \
        sums[1][i] = ADD_64(sums[1][i], MULTIPLY(y, SHIFT(y, 32)));                                \
    }
/* The product of 64 bits of what is mixed and a factor, of three products of 32 bits. */
#define ADD_MIXED(VECTOR, VECTORS, LOAD, ADD_64, MULTIPLY, SHIFT)                                  \
    const VECTOR lane = sums[which][i] ^ SHIFT(sums[which][i], 32);                                \
    const VECTOR factor =                                                                          \
        LOAD((const void *)(keys + FACTORS + which * LANES + PART(VECTORS, i))) | 1LL;             \
    const VECTOR cross =                                                                           \
        ADD_64(MULTIPLY(SHIFT(lane, 32), factor), MULTIPLY(lane, SHIFT(factor, 32)));              \
    total = ADD_64(total, ADD_64(MULTIPLY(lane, factor), cross << 32));

/* The two functions with VECTORS vectors of a type to a row. */
#define VERSION(NAME, TARGET, VECTOR, VECTORS, LOAD, STORE, ADD_32, ADD_64, MULTIPLY, SHIFT)       \
    __attribute__((target(TARGET))) static void add_rows_##NAME(                                   \
        const unsigned char *bytes, size_t rows, const uint64_t *row_keys,                         \
        uint64_t lanes[2][LANES]) {                                                                \
        VECTOR sums[2][VECTORS], key[VECTORS];                                                     \
        _Pragma("GCC unroll 4") for (size_t i = 0; i < VECTORS; i++) {                             \
            sums[0][i] = LOAD((const void *)(lanes[0] + PART(VECTORS, i)));                        \
            sums[1][i] = LOAD((const void *)(lanes[1] + PART(VECTORS, i)));                        \
            key[i] = LOAD((const void *)(row_keys + PART(VECTORS, i)));                            \
        }                                                                                          \
        for (size_t row = 0; row < rows; row++, bytes += ROW_BYTES) {                              \
            ADD_ROW(VECTOR, VECTORS, LOAD, ADD_32, ADD_64, MULTIPLY, SHIFT)                        \
        }                                                                                          \
        _Pragma("GCC unroll 4") for (size_t i = 0; i < VECTORS; i++) {                             \
            STORE((void *)(lanes[0] + PART(VECTORS, i)), sums[0][i]);                              \
            STORE((void *)(lanes[1] + PART(VECTORS, i)), sums[1][i]);                              \
        }                                                                                          \
    }                                                                                              \
    __attribute__((target(TARGET))) static void sum_block_##NAME(const unsigned char *bytes,       \
                                                                 uint64_t results[2]) {            \
        const uint64_t *row_keys = keys;                                                           \
        VECTOR sums[2][VECTORS], key[VECTORS];                                                     \
        _Pragma("GCC unroll 4") for (size_t i = 0; i < VECTORS; i++) {                             \
            sums[0][i] = sums[1][i] = (VECTOR){0};                                                 \
            key[i] = LOAD((const void *)(row_keys + PART(VECTORS, i)));                            \
        }                                                                                          \
        for (size_t row = 0; row < ROWS; row++, bytes += ROW_BYTES) {                              \
            ADD_ROW(VECTOR, VECTORS, LOAD, ADD_32, ADD_64, MULTIPLY, SHIFT)                        \
        }                                                                                          \
        _Pragma("GCC unroll 2") for (size_t which = 0; which < 2; which++) {                       \
            VECTOR total = {0};                                                                    \
            _Pragma("GCC unroll 4") for (size_t i = 0; i < VECTORS; i++){                          \
                ADD_MIXED(VECTOR, VECTORS, LOAD, ADD_64, MULTIPLY, SHIFT)} uint64_t sum = 0;       \
            _Pragma("GCC unroll 8") for (size_t i = 0; i < LANES / VECTORS; i++) sum +=            \
                (uint64_t)total[i];                                                                \
            results[which] = sum;                                                                  \
        }                                                                                          \
    }
VERSION(sse2, "sse2", __m128i, 4, _mm_loadu_si128, _mm_storeu_si128, _mm_add_epi32, _mm_add_epi64,
        _mm_mul_epu32, _mm_srli_epi64)
VERSION(avx2, "avx2", __m256i, 2, _mm256_loadu_si256, _mm256_storeu_si256, _mm256_add_epi32,
        _mm256_add_epi64, _mm256_mul_epu32, _mm256_srli_epi64)
VERSION(avx512, "avx512f", __m512i, 1, _mm512_loadu_si512, _mm512_storeu_si512, _mm512_add_epi32,
        _mm512_add_epi64, _mm512_mul_epu32, _mm512_srli_epi64)
#endif

static const struct nauha__hash_version versions_of_code[] = {
#if defined(__x86_64__)
    {"AVX-512", add_rows_avx512, sum_block_avx512},
    {"AVX2", add_rows_avx2, sum_block_avx2},
    {"SSE2", add_rows_sse2, sum_block_sse2},
#endif
    {"plain", add_rows_plain, sum_block_plain},
};
enum { VERSIONS = sizeof versions_of_code / sizeof *versions_of_code };

/* The first of them that runs on this processor; the others do, too. */
static const struct nauha__hash_version *fastest(void) {
    size_t first = 0;
#if defined(__x86_64__)
    first = __builtin_cpu_supports("avx512f") ? 0 : __builtin_cpu_supports("avx2") ? 1 : 2;
#endif
    return &versions_of_code[first];
}

const struct nauha__hash_version *nauha__hash_versions(size_t *count) {
    const struct nauha__hash_version *first = fastest();
    *count = (size_t)(versions_of_code + VERSIONS - first);
    return first;
}

/* ---- hashes ---- */

void nauha__tensor_hasher_begin(struct nauha__tensor_hasher *hasher) {
    memset(hasher, 0, sizeof *hasher);
}

/* sums: of a block; number: of it, from 1. */
static void add_block(struct nauha__tensor_hasher *hasher, const uint64_t sums[2],
                      uint64_t number) {
    for (size_t which = 0; which < 2; which++)
        hasher->totals[which] += mix(sums[which] + number * GOLDEN);
}

/* Ends a block whose rows came in parts. */
static void end_block(struct nauha__tensor_hasher *hasher, uint64_t number) {
    const uint64_t sums[] = {sum_lanes(hasher->lanes[0], 0), sum_lanes(hasher->lanes[1], 1)};
    add_block(hasher, sums, number);
    memset(hasher->lanes, 0, sizeof hasher->lanes);
}

/* Adds rows after those that are complete. */
static void add_rows(struct nauha__tensor_hasher *hasher, const unsigned char *bytes, size_t rows) {
    const struct nauha__hash_version *version = fastest();
    while (rows > 0) {
        const size_t row = (size_t)(hasher->bytes / ROW_BYTES % ROWS), left = ROWS - row;
        const size_t now = rows < left ? rows : left;
        uint64_t sums[2];
        if (now == ROWS)
            version->sum_block(bytes, sums);
        else
            version->add_rows(bytes, now, keys + row * LANES, hasher->lanes);
        hasher->bytes += now * ROW_BYTES;
        bytes += now * ROW_BYTES;
        rows -= now;
        if (now == ROWS)
            add_block(hasher, sums, hasher->bytes / (ROW_BYTES * ROWS));
        else if (now == left)
            end_block(hasher, hasher->bytes / (ROW_BYTES * ROWS));
    }
}

void nauha__tensor_hasher_add(struct nauha__tensor_hasher *hasher, const void *bytes,
                              size_t count) {
    const unsigned char *at = bytes;
    const size_t begun = (size_t)(hasher->bytes % ROW_BYTES);
    if (begun > 0) {
        const size_t part = count < ROW_BYTES - begun ? count : ROW_BYTES - begun;
        memcpy(hasher->rest + begun, at, part);
        at += part;
        count -= part;
        if (begun + part < ROW_BYTES) {
            hasher->bytes += part;
            return;
        }
        hasher->bytes -= begun;
        add_rows(hasher, hasher->rest, 1);
    }
    add_rows(hasher, at, count / ROW_BYTES);
    if (count % ROW_BYTES > 0)
        memcpy(hasher->rest, at + count / ROW_BYTES * ROW_BYTES, count % ROW_BYTES);
    hasher->bytes += count % ROW_BYTES;
}

void nauha__tensor_hasher_end(struct nauha__tensor_hasher *hasher, uint64_t hash[2]) {
    const uint64_t length = hasher->bytes;
    const size_t rest = (size_t)(length % ROW_BYTES);
    if (rest > 0) {
        memset(hasher->rest + rest, 0, ROW_BYTES - rest);
        hasher->bytes -= rest;
        add_rows(hasher, hasher->rest, 1);
    }
    if (hasher->bytes / ROW_BYTES % ROWS > 0)
        end_block(hasher, hasher->bytes / (ROW_BYTES * ROWS) + 1);
    for (size_t which = 0; which < 2; which++)
        hash[which] = mix(hasher->totals[which] + keys[LENGTHS + which] + length);
}

void nauha__tensor_hash(const void *bytes, size_t count, uint64_t hash[2]) {
    struct nauha__tensor_hasher hasher;
    nauha__tensor_hasher_begin(&hasher);
    if (count > 0)
        nauha__tensor_hasher_add(&hasher, bytes, count);
    nauha__tensor_hasher_end(&hasher, hash);
}
