/* SPDX-License-Identifier: MIT */
/* What a few looks at bytes say of how they are best compressed.
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

/* Asks for all of the items that nauha__plane_sample_bits looks at, at once rather than one by one:
 * they were written by another processor. */
void nauha__plane_sample_prefetch(const unsigned char *items, size_t count, size_t item_size);

/* Bits per byte of byte plane k of at least one item, by Shannon's (1948) entropy of a sample with
 * Miller and Madow's (1955) correction for its size. */
double nauha__plane_sample_bits(const struct nauha__plane_sample *sample,
                                const unsigned char *items, size_t count, size_t item_size,
                                size_t k);

/* Whether bytes repeat, as those of images do, or planes that equal each other. */
bool nauha__plane_sample_repeats(struct nauha__plane_sample *sample, const unsigned char *bytes,
                                 size_t size);

#endif
