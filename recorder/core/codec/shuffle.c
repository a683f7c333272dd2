/* SPDX-License-Identifier: MIT */
/* HDF5's byte shuffle: byte 0 of every item, then byte 1 of every item, and so on.
 *
 * The portable loops are the definition. On x86 with AVX2, items of 2, 4 and 8 bytes are processed
 * 32 at a time.
 *
 * Threads: any thread.
 */
#include "recorder/core/codec/shuffle.h"

#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define HAVE_AVX2 1
#include <immintrin.h>
#endif

/* ---- portable ---- */

static void split_portable(size_t item_size, const unsigned char *items, size_t first, size_t count,
                           unsigned char *const planes[]) {
    for (size_t k = 0; k < item_size; k++) {
        unsigned char *plane = planes[k];
        for (size_t i = first; i < count; i++)
            plane[i] = items[i * item_size + k];
    }
}

static void join_portable(size_t item_size, const unsigned char *const planes[], size_t first,
                          size_t count, unsigned char *items) {
    for (size_t k = 0; k < item_size; k++) {
        const unsigned char *plane = planes[k];
        for (size_t i = first; i < count; i++)
            items[i * item_size + k] = plane[i];
    }
}

/* ---- AVX2; each returns how many items it did ---- */

#ifdef HAVE_AVX2
#define AVX2 __attribute__((target("avx2")))

AVX2 static inline __m256i load(const unsigned char *from) {
    return _mm256_loadu_si256((const __m256i *)(const void *)from);
}

AVX2 static inline void store(unsigned char *to, __m256i value) {
    _mm256_storeu_si256((__m256i *)(void *)to, value);
}

/* 8 items of 4 bytes -> 8 bytes of plane 0, 8 of plane 1, ... */
AVX2 static inline __m256i gather4(__m256i items) {
    const __m256i within = _mm256_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15, 0,
                                            4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m256i across = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    return _mm256_permutevar8x32_epi32(_mm256_shuffle_epi8(items, within), across);
}

AVX2 static size_t split4_avx2(const unsigned char *items, size_t count,
                               unsigned char *const planes[]) {
    size_t i = 0;
    for (; i + 32 <= count; i += 32) {
        __m256i a = gather4(load(items + 4 * i)), b = gather4(load(items + 4 * i + 32));
        __m256i c = gather4(load(items + 4 * i + 64)), d = gather4(load(items + 4 * i + 96));
        __m256i ab_low = _mm256_unpacklo_epi64(a, b), ab_high = _mm256_unpackhi_epi64(a, b);
        __m256i cd_low = _mm256_unpacklo_epi64(c, d), cd_high = _mm256_unpackhi_epi64(c, d);
        store(planes[0] + i, _mm256_permute2x128_si256(ab_low, cd_low, 0x20));
        store(planes[1] + i, _mm256_permute2x128_si256(ab_high, cd_high, 0x20));
        store(planes[2] + i, _mm256_permute2x128_si256(ab_low, cd_low, 0x31));
        store(planes[3] + i, _mm256_permute2x128_si256(ab_high, cd_high, 0x31));
    }
    return i;
}

AVX2 static size_t join4_avx2(const unsigned char *const planes[], size_t count,
                              unsigned char *items) {
    size_t i = 0;
    for (; i + 32 <= count; i += 32) {
        __m256i a = load(planes[0] + i), b = load(planes[1] + i);
        __m256i c = load(planes[2] + i), d = load(planes[3] + i);
        __m256i ab_low = _mm256_unpacklo_epi8(a, b), ab_high = _mm256_unpackhi_epi8(a, b);
        __m256i cd_low = _mm256_unpacklo_epi8(c, d), cd_high = _mm256_unpackhi_epi8(c, d);
        __m256i w = _mm256_unpacklo_epi16(ab_low, cd_low);
        __m256i x = _mm256_unpackhi_epi16(ab_low, cd_low);
        __m256i y = _mm256_unpacklo_epi16(ab_high, cd_high);
        __m256i z = _mm256_unpackhi_epi16(ab_high, cd_high);
        store(items + 4 * i, _mm256_permute2x128_si256(w, x, 0x20));
        store(items + 4 * i + 32, _mm256_permute2x128_si256(y, z, 0x20));
        store(items + 4 * i + 64, _mm256_permute2x128_si256(w, x, 0x31));
        store(items + 4 * i + 96, _mm256_permute2x128_si256(y, z, 0x31));
    }
    return i;
}

AVX2 static size_t split2_avx2(const unsigned char *items, size_t count,
                               unsigned char *const planes[]) {
    const __m256i low = _mm256_set1_epi16(0xff);
    size_t i = 0;
    for (; i + 32 <= count; i += 32) {
        __m256i a = load(items + 2 * i), b = load(items + 2 * i + 32);
        __m256i even = _mm256_packus_epi16(_mm256_and_si256(a, low), _mm256_and_si256(b, low));
        __m256i odd = _mm256_packus_epi16(_mm256_srli_epi16(a, 8), _mm256_srli_epi16(b, 8));
        store(planes[0] + i, _mm256_permute4x64_epi64(even, 0xd8));
        store(planes[1] + i, _mm256_permute4x64_epi64(odd, 0xd8));
    }
    return i;
}

AVX2 static size_t join2_avx2(const unsigned char *const planes[], size_t count,
                              unsigned char *items) {
    size_t i = 0;
    for (; i + 32 <= count; i += 32) {
        __m256i a = _mm256_permute4x64_epi64(load(planes[0] + i), 0xd8);
        __m256i b = _mm256_permute4x64_epi64(load(planes[1] + i), 0xd8);
        store(items + 2 * i, _mm256_unpacklo_epi8(a, b));
        store(items + 2 * i + 32, _mm256_unpackhi_epi8(a, b));
    }
    return i;
}

/* Sixteen bytes from each of two places. */
AVX2 static inline __m256i load_two(const unsigned char *low, const unsigned char *high) {
    __m128i a = _mm_loadu_si128((const __m128i *)(const void *)low);
    __m128i b = _mm_loadu_si128((const __m128i *)(const void *)high);
    return _mm256_inserti128_si256(_mm256_castsi128_si256(a), b, 1);
}

AVX2 static inline void store_two(unsigned char *low, unsigned char *high, __m256i value) {
    _mm_storeu_si128((__m128i *)(void *)low, _mm256_castsi256_si128(value));
    _mm_storeu_si128((__m128i *)(void *)high, _mm256_extracti128_si256(value, 1));
}

/* A lane takes two items and pairs their bytes; transposing the pairs of eight vectors leaves one
 * plane in each. Low lanes hold items 0 to 15, high lanes 16 to 31. */
AVX2 static size_t split8_avx2(const unsigned char *items, size_t count,
                               unsigned char *const planes[]) {
    const __m256i pair = _mm256_setr_epi8(0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15, 0,
                                          8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15);
    size_t i = 0;
    for (; i + 32 <= count; i += 32) {
        const unsigned char *from = items + 8 * i;
        __m256i v[8], pairs[8], fours[8]; /* of planes, in each lane */
        for (unsigned k = 0; k < 8; k++)
            v[k] = _mm256_shuffle_epi8(load_two(from + 16 * k, from + 128 + 16 * k), pair);
        for (unsigned k = 0; k < 4; k++) {
            fours[k] = _mm256_unpacklo_epi16(v[2 * k], v[2 * k + 1]);
            fours[k + 4] = _mm256_unpackhi_epi16(v[2 * k], v[2 * k + 1]);
        }
        for (unsigned k = 0; k < 4; k++) {
            pairs[k] = _mm256_unpacklo_epi32(fours[2 * k], fours[2 * k + 1]);
            pairs[k + 4] = _mm256_unpackhi_epi32(fours[2 * k], fours[2 * k + 1]);
        }
        for (unsigned k = 0; k < 2; k++) { /* k: which half of the planes */
            __m256i a = pairs[2 * k], b = pairs[2 * k + 1];
            __m256i c = pairs[2 * k + 4], d = pairs[2 * k + 5];
            store(planes[4 * k] + i, _mm256_unpacklo_epi64(a, b));
            store(planes[4 * k + 1] + i, _mm256_unpackhi_epi64(a, b));
            store(planes[4 * k + 2] + i, _mm256_unpacklo_epi64(c, d));
            store(planes[4 * k + 3] + i, _mm256_unpackhi_epi64(c, d));
        }
    }
    return i;
}

AVX2 static size_t join8_avx2(const unsigned char *const planes[], size_t count,
                              unsigned char *items) {
    size_t i = 0;
    for (; i + 32 <= count; i += 32) {
        unsigned char *to = items + 8 * i;
        __m256i two[2][4], four[4][2]; /* bytes of an item; [which items][which bytes] */
        for (unsigned k = 0; k < 4; k++) {
            __m256i a = load(planes[2 * k] + i), b = load(planes[2 * k + 1] + i);
            two[0][k] = _mm256_unpacklo_epi8(a, b);
            two[1][k] = _mm256_unpackhi_epi8(a, b);
        }
        for (unsigned k = 0; k < 4; k++) {
            const __m256i *from = two[k / 2] + k % 2 * 2;
            four[k / 2 * 2][k % 2] = _mm256_unpacklo_epi16(from[0], from[1]);
            four[k / 2 * 2 + 1][k % 2] = _mm256_unpackhi_epi16(from[0], from[1]);
        }
        for (unsigned k = 0; k < 4; k++) {
            unsigned char *at = to + 32 * k;
            store_two(at, at + 128, _mm256_unpacklo_epi32(four[k][0], four[k][1]));
            store_two(at + 16, at + 144, _mm256_unpackhi_epi32(four[k][0], four[k][1]));
        }
    }
    return i;
}

static bool has_avx2(void) {
    return __builtin_cpu_supports("avx2");
}
#endif

/* ---- planes ---- */

void nauha__split_planes(size_t item_size, const void *items, size_t count,
                         unsigned char *const planes[]) {
    size_t done = 0;
#ifdef HAVE_AVX2
    if (has_avx2() && item_size == 4)
        done = split4_avx2(items, count, planes);
    else if (has_avx2() && item_size == 2)
        done = split2_avx2(items, count, planes);
    else if (has_avx2() && item_size == 8)
        done = split8_avx2(items, count, planes);
#endif
    split_portable(item_size, items, done, count, planes);
}

void nauha__join_planes(size_t item_size, const unsigned char *const planes[], size_t count,
                        void *items) {
    size_t done = 0;
#ifdef HAVE_AVX2
    if (has_avx2() && item_size == 4)
        done = join4_avx2(planes, count, items);
    else if (has_avx2() && item_size == 2)
        done = join2_avx2(planes, count, items);
    else if (has_avx2() && item_size == 8)
        done = join8_avx2(planes, count, items);
#endif
    join_portable(item_size, planes, done, count, items);
}

/* ---- whole chunks ---- */

void nauha__shuffle(size_t item_size, const void *src, size_t bytes, void *dst) {
    size_t count = bytes / item_size, whole = count * item_size;
    unsigned char *planes[NAUHA__ITEM_SIZE_MAX];
    for (size_t k = 0; k < item_size; k++)
        planes[k] = (unsigned char *)dst + k * count;
    nauha__split_planes(item_size, src, count, planes);
    memcpy((unsigned char *)dst + whole, (const unsigned char *)src + whole, bytes - whole);
}

void nauha__unshuffle(size_t item_size, const void *src, size_t bytes, void *dst) {
    size_t count = bytes / item_size, whole = count * item_size;
    const unsigned char *planes[NAUHA__ITEM_SIZE_MAX];
    for (size_t k = 0; k < item_size; k++)
        planes[k] = (const unsigned char *)src + k * count;
    nauha__join_planes(item_size, planes, count, dst);
    memcpy((unsigned char *)dst + whole, (const unsigned char *)src + whole, bytes - whole);
}
