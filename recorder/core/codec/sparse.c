/* SPDX-License-Identifier: MIT */
/* Zero suppression; see sparse.h. The portable code is the definition for each item size; on x86,
 * items of four bytes are processed sixteen at a time with AVX-512 and eight with AVX2.
 *
 * Threads: any thread.
 */
#include "recorder/core/codec/sparse.h"

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define HAVE_X86 1
#include <immintrin.h>
#endif

/* If fewer of the items than this part are zeros, byte planes of all items are as small, and faster
 * to make. */
#define PAYS_FROM 8u /* one in so many */
#define SAMPLE_RUNS 16u
#define SAMPLE_RUN 64u

/* ---- portable: eight items to a byte of the bitmap ---- */

#define DEFINE_PORTABLE(type)                                                                      \
    static size_t zeros_##type(const type *items, size_t count) {                                  \
        size_t zeros = 0;                                                                          \
        for (size_t i = 0; i < count; i++)                                                         \
            zeros += items[i] == 0;                                                                \
        return zeros;                                                                              \
    }                                                                                              \
    static size_t pack_##type(const type *items, size_t first, size_t count, type *packed,         \
                              size_t n, unsigned char *bitmap) {                                   \
        for (size_t i = first; i < count; i += 8) {                                                \
            unsigned bits = 0;                                                                     \
            for (unsigned k = 0; k < 8 && i + k < count; k++) {                                    \
                packed[n] = items[i + k];                                                          \
                unsigned set = items[i + k] != 0;                                                  \
                bits |= set << k;                                                                  \
                n += set;                                                                          \
            }                                                                                      \
            bitmap[i / 8] = (unsigned char)bits;                                                   \
        }                                                                                          \
        return n;                                                                                  \
    }                                                                                              \
    static void expand_##type(const type *packed, size_t n, const unsigned char *bitmap,           \
                              size_t first, size_t count, type *items) {                           \
        for (size_t i = first; i < count; i += 8) {                                                \
            unsigned bits = bitmap[i / 8];                                                         \
            for (unsigned k = 0; k < 8 && i + k < count; k++) {                                    \
                unsigned set = bits >> k & 1;                                                      \
                items[i + k] = (type)(packed[n] & (type)(0 - (type)set));                          \
                n += set;                                                                          \
            }                                                                                      \
        }                                                                                          \
    }

DEFINE_PORTABLE(uint16_t)
DEFINE_PORTABLE(uint32_t)
DEFINE_PORTABLE(uint64_t)

/* ---- AVX-512, four bytes; each returns how many items it did ---- */

#ifdef HAVE_X86
#define AVX512 __attribute__((target("avx512f,popcnt")))

AVX512 static size_t pack_avx512(const uint32_t *items, size_t count, uint32_t *packed, size_t *n,
                                 unsigned char *bitmap) {
    size_t i = 0, at = 0;
    for (; i + 16 <= count; i += 16) {
        __m512i values = _mm512_loadu_si512(items + i);
        __mmask16 set = _mm512_test_epi32_mask(values, values);
        _mm512_storeu_si512(packed + at, _mm512_maskz_compress_epi32(set, values));
        at += (size_t)__builtin_popcount(set);
        memcpy(bitmap + i / 8, &set, sizeof set);
    }
    *n = at;
    return i;
}

AVX512 static size_t expand_avx512(const uint32_t *packed, size_t *n, const unsigned char *bitmap,
                                   size_t count, uint32_t *items) {
    size_t i = 0, at = 0;
    for (; i + 16 <= count; i += 16) {
        __mmask16 set;
        memcpy(&set, bitmap + i / 8, sizeof set);
        __m512i values = _mm512_maskz_expand_epi32(set, _mm512_loadu_si512(packed + at));
        _mm512_storeu_si512(items + i, values);
        at += (size_t)__builtin_popcount(set);
    }
    *n = at;
    return i;
}

/* ---- AVX2, four bytes ---- */

/* Which of the kept items belongs to place k, if the bits of a byte say which places have one. */
#define BELOW(bits, k) (unsigned char)__builtin_popcount((bits) & ((1u << (k)) - 1))
#define PLACES(bits)                                                                               \
    {                                                                                              \
        BELOW(bits, 0), BELOW(bits, 1), BELOW(bits, 2), BELOW(bits, 3), BELOW(bits, 4),            \
            BELOW(bits, 5), BELOW(bits, 6), BELOW(bits, 7)                                         \
    }
#define PLACES_4(bits) PLACES(bits), PLACES(bits + 1), PLACES(bits + 2), PLACES(bits + 3)
#define PLACES_16(bits) PLACES_4(bits), PLACES_4(bits + 4), PLACES_4(bits + 8), PLACES_4(bits + 12)
#define PLACES_64(bits)                                                                            \
    PLACES_16(bits), PLACES_16(bits + 16), PLACES_16(bits + 32), PLACES_16(bits + 48)

static const unsigned char places[256][8] = {PLACES_64(0u), PLACES_64(64u), PLACES_64(128u),
                                             PLACES_64(192u)};

/* The place of kept item number k: the number of places up to which at most k items are kept. */
#define UP_TO(bits, j) __builtin_popcount((bits) & ((2u << (j)) - 1))
#define FROM(bits, k)                                                                              \
    (unsigned char)((UP_TO(bits, 0) <= (k)) + (UP_TO(bits, 1) <= (k)) + (UP_TO(bits, 2) <= (k)) +  \
                    (UP_TO(bits, 3) <= (k)) + (UP_TO(bits, 4) <= (k)) + (UP_TO(bits, 5) <= (k)) +  \
                    (UP_TO(bits, 6) <= (k)) + (UP_TO(bits, 7) <= (k)))
#define ORIGINS(bits)                                                                              \
    {                                                                                              \
        FROM(bits, 0), FROM(bits, 1), FROM(bits, 2), FROM(bits, 3), FROM(bits, 4), FROM(bits, 5),  \
            FROM(bits, 6), FROM(bits, 7)                                                           \
    }
#define ORIGINS_4(bits) ORIGINS(bits), ORIGINS(bits + 1), ORIGINS(bits + 2), ORIGINS(bits + 3)
#define ORIGINS_16(bits)                                                                           \
    ORIGINS_4(bits), ORIGINS_4(bits + 4), ORIGINS_4(bits + 8), ORIGINS_4(bits + 12)
#define ORIGINS_64(bits)                                                                           \
    ORIGINS_16(bits), ORIGINS_16(bits + 16), ORIGINS_16(bits + 32), ORIGINS_16(bits + 48)

static const unsigned char origins[256][8] = {ORIGINS_64(0u), ORIGINS_64(64u), ORIGINS_64(128u),
                                              ORIGINS_64(192u)};

#define AVX2 __attribute__((target("avx2,popcnt")))

AVX2 static size_t pack_avx2(const uint32_t *items, size_t count, uint32_t *packed, size_t *n,
                             unsigned char *bitmap) {
    const __m256i zero = _mm256_setzero_si256();
    size_t i = 0, at = 0;
    for (; i + 8 <= count; i += 8) {
        const __m256i values = _mm256_loadu_si256((const __m256i *)(const void *)(items + i));
        const __m256i zeros = _mm256_cmpeq_epi32(values, zero);
        const unsigned bits = ~(unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(zeros)) & 0xFF;
        const __m128i from = _mm_loadl_epi64((const __m128i *)(const void *)origins[bits]);
        _mm256_storeu_si256((__m256i *)(void *)(packed + at),
                            _mm256_permutevar8x32_epi32(values, _mm256_cvtepu8_epi32(from)));
        at += (size_t)__builtin_popcount(bits);
        bitmap[i / 8] = (unsigned char)bits;
    }
    *n = at;
    return i;
}

AVX2 static size_t expand_avx2(const uint32_t *packed, size_t *n, const unsigned char *bitmap,
                               size_t count, uint32_t *items) {
    const __m256i each = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    size_t i = 0, at = 0;
    for (; i + 8 <= count; i += 8) {
        const unsigned bits = bitmap[i / 8];
        const __m128i low = _mm_loadl_epi64((const __m128i *)(const void *)places[bits]);
        const __m256i from = _mm256_loadu_si256((const __m256i *)(const void *)(packed + at));
        const __m256i set = _mm256_and_si256(_mm256_set1_epi32((int)bits), each);
        const __m256i moved = _mm256_permutevar8x32_epi32(from, _mm256_cvtepu8_epi32(low));
        _mm256_storeu_si256((__m256i *)(void *)(items + i),
                            _mm256_and_si256(moved, _mm256_cmpeq_epi32(set, each)));
        at += (size_t)__builtin_popcount(bits);
    }
    *n = at;
    return i;
}

/* Bits set in the whole words of a bitmap. */
__attribute__((target("popcnt"))) static size_t count_popcnt(const unsigned char *bitmap,
                                                             size_t words) {
    size_t bits = 0;
    for (size_t i = 0; i < words; i++) {
        uint64_t word;
        memcpy(&word, bitmap + 8 * i, sizeof word);
        bits += (size_t)__builtin_popcountll(word);
    }
    return bits;
}

static bool has_avx2(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt");
}

static bool has_avx512(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("popcnt");
}
#endif

/* ---- any size ---- */

static size_t count_zeros(size_t item_size, const void *items, size_t count) {
    return item_size == 2   ? zeros_uint16_t(items, count)
           : item_size == 4 ? zeros_uint32_t(items, count)
                            : zeros_uint64_t(items, count);
}

bool nauha__sparse_pays(size_t item_size, const void *items, size_t count) {
    if (item_size < 2 || count < 8 * sizeof(uint64_t))
        return false;
    size_t run = count < SAMPLE_RUNS * SAMPLE_RUN ? count / SAMPLE_RUNS : SAMPLE_RUN;
    size_t zeros = 0;
    for (size_t r = 0; r < SAMPLE_RUNS; r++) {
        const unsigned char *at =
            (const unsigned char *)items + (count - run) / (SAMPLE_RUNS - 1) * r * item_size;
        zeros += count_zeros(item_size, at, run);
    }
    return zeros * PAYS_FROM >= run * SAMPLE_RUNS;
}

size_t nauha__sparse_pack(size_t item_size, const void *items, size_t count, void *packed,
                          unsigned char *bitmap) {
    size_t done = 0, n = 0;
    if (item_size == 2)
        return pack_uint16_t(items, 0, count, packed, 0, bitmap);
    if (item_size == 8)
        return pack_uint64_t(items, 0, count, packed, 0, bitmap);
#ifdef HAVE_X86
    if (has_avx512())
        done = pack_avx512(items, count, packed, &n, bitmap);
    else if (has_avx2())
        done = pack_avx2(items, count, packed, &n, bitmap);
#endif
    return pack_uint32_t(items, done, count, packed, n, bitmap);
}

void nauha__sparse_expand(size_t item_size, const void *packed, const unsigned char *bitmap,
                          size_t count, void *items) {
    size_t done = 0, n = 0;
    if (item_size == 2) {
        expand_uint16_t(packed, 0, bitmap, 0, count, items);
        return;
    }
    if (item_size == 8) {
        expand_uint64_t(packed, 0, bitmap, 0, count, items);
        return;
    }
#ifdef HAVE_X86
    if (has_avx512())
        done = expand_avx512(packed, &n, bitmap, count, items);
    else if (has_avx2())
        done = expand_avx2(packed, &n, bitmap, count, items);
#endif
    expand_uint32_t(packed, n, bitmap, done, count, items);
}

size_t nauha__sparse_bits(const unsigned char *bitmap, size_t count) {
    size_t bytes = nauha__sparse_bitmap_bytes(count), bits = 0, i = 0;
#ifdef HAVE_X86
    if (__builtin_cpu_supports("popcnt")) {
        bits = count_popcnt(bitmap, bytes / 8);
        i = bytes / 8 * 8;
    }
#endif
    for (; i < bytes; i++)
        bits += (size_t)__builtin_popcount(bitmap[i]);
    bool beyond = count % 8 && bitmap[bytes - 1] >> count % 8;
    return beyond ? SIZE_MAX : bits;
}
