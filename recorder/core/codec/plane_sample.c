/* SPDX-License-Identifier: MIT */
/* Samples of bytes; see plane_sample.h.
 *
 * Threads: one object per thread.
 */
#include "recorder/core/codec/plane_sample.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ITEMS 2048u
#define RUNS 16u
#define CACHE_LINE 64u
/* Bytes are taken to repeat if REPEATED of them occur elsewhere too in REPEATING of WINDOWS
 * places. */
#define MARKS 512u
#define MARK_BITS 11u
#define WINDOWS 8u
#define REPEATING 2u
#define REPEATED 32u

struct nauha__plane_sample {
    float terms[ITEMS + 1];          /* n log2 n */
    uint32_t marks[1u << MARK_BITS]; /* positions of bytes, by their hash */
};

struct nauha__plane_sample *nauha__plane_sample_new(void) {
    struct nauha__plane_sample *sample = malloc(sizeof *sample);
    if (!sample)
        return NULL;
    sample->terms[0] = 0;
    for (unsigned i = 1; i <= ITEMS; i++)
        sample->terms[i] = (float)(i * log2(i));
    return sample;
}

void nauha__plane_sample_free(struct nauha__plane_sample *sample) {
    free(sample);
}

/* ---- entropy ---- */

/* The items that are sampled: runs of neighbours, spread over all items. */
struct places {
    size_t runs;
    size_t run;  /* items */
    size_t step; /* the distance between the first items of two runs */
};

static struct places places_of(size_t count) {
    if (count <= ITEMS)
        return (struct places){.runs = 1, .run = count};
    const size_t run = ITEMS / RUNS;
    return (struct places){RUNS, run, (count - run) / (RUNS - 1)};
}

void nauha__plane_sample_prefetch(const unsigned char *items, size_t count, size_t item_size) {
    const struct places places = places_of(count);
    for (size_t r = 0; r < places.runs; r++)
        for (size_t at = 0; at < places.run * item_size; at += CACHE_LINE)
            __builtin_prefetch(items + r * places.step * item_size + at);
}

double nauha__plane_sample_bits(const struct nauha__plane_sample *sample,
                                const unsigned char *items, size_t count, size_t item_size,
                                size_t k) {
    uint32_t histogram[4][256];
    memset(histogram, 0, sizeof histogram);
    const struct places places = places_of(count);
    for (size_t r = 0; r < places.runs; r++) {
        const unsigned char *first = items + r * places.step * item_size + k;
        for (size_t i = 0; i < places.run; i++)
            histogram[i & 3][first[i * item_size]]++;
    }
    float terms = 0;
    unsigned distinct = 0;
    for (size_t i = 0; i < 256; i++) {
        uint32_t n = histogram[0][i] + histogram[1][i] + histogram[2][i] + histogram[3][i];
        distinct += n > 0;
        terms += sample->terms[n];
    }
    double size = (double)(places.runs * places.run);
    return log2(size) - (double)terms / size + (distinct - 1) / (2 * size * M_LN2);
}

/* ---- repeats ---- */

static size_t mark_of(const unsigned char *bytes) {
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    return (size_t)(word * 0x9E3779B97F4A7C15u >> (64 - MARK_BITS));
}

/* Every step-th position is marked, so that a repetition as long as a step contains a mark. */
bool nauha__plane_sample_repeats(struct nauha__plane_sample *sample, const unsigned char *bytes,
                                 size_t size) {
    const size_t step = size / MARKS + 8, end = size < REPEATED ? 0 : size - REPEATED;
    unsigned repeating = 0;
    memset(sample->marks, 0, sizeof sample->marks);
    for (size_t at = 0; at < end; at += step)
        sample->marks[mark_of(bytes + at)] = (uint32_t)at;
    for (size_t w = 0; w < WINDOWS; w++) {
        const size_t first = end / WINDOWS * w;
        for (size_t at = first; at < first + step && at < end; at++) {
            const size_t mark = sample->marks[mark_of(bytes + at)];
            if (mark != at && memcmp(bytes + mark, bytes + at, REPEATED) == 0) {
                repeating++;
                break;
            }
        }
    }
    return repeating >= REPEATING;
}
