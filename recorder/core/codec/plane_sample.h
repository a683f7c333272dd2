/* SPDX-License-Identifier: MIT */
/* Estimating from a sample of bytes how they are best compressed.
 *
 * Threads: one object per thread.
 */
#ifndef NAUHA_RECORDER_CORE_CODEC_PLANE_SAMPLE_H
#define NAUHA_RECORDER_CORE_CODEC_PLANE_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>

struct nauha__plane_sample;

/* NULL when out of memory. */
struct nauha__plane_sample *nauha__plane_sample_new(void);
void nauha__plane_sample_free(struct nauha__plane_sample *sample);

/* Prefetches all items that nauha__plane_sample_bits reads. Another processor wrote them, and
 * fetching them one by one is slow. */
void nauha__plane_sample_prefetch(const unsigned char *items, size_t count, size_t item_size);

/* The entropy of byte plane k of `count` items, at least one, in bits per byte: Shannon's (1948)
 * entropy of a sample, with the correction of Miller and Madow (1955) for its size. */
double nauha__plane_sample_bits(const struct nauha__plane_sample *sample,
                                const unsigned char *items, size_t count, size_t item_size,
                                size_t k);

/* Whether sequences of bytes repeat, as in images, or whole planes are equal. */
bool nauha__plane_sample_repeats(struct nauha__plane_sample *sample, const unsigned char *bytes,
                                 size_t size);

#endif
