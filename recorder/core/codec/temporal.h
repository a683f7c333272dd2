/* SPDX-License-Identifier: MIT */
/* Temporal coding: a chunk of successive values of the same elements as what a prediction from the
 * two values before each leaves.
 *
 * A chunk of a sliced stream (see layout.h) has `slices` slices of as many items each, one a step.
 * Of those the first `rows` are used, and of each the first `width` items; the others are zero. Its
 * image is the residuals of the items used, slice after slice, as byte planes (plane 0 of all of
 * them, plane 1, ...), then `width` and the order of the prediction, a u32 each, little-endian.
 * `rows` follows from the image's size.
 *
 * An item's bits, as an integer of its size, become one that is ordered as floating-point numbers
 * are: m(x) = x where the highest bit is clear, else x with all other bits flipped, taken as a
 * two's-complement number. The residual of an item x[t] is zigzag(m(x[t]) - p[t]) with
 * zigzag(v) = 2v for v >= 0, else -2v - 1, and
 *
 *     order 0: p = 0
 *     order 2: p[0] = 0, p[1] = b, later p[t] = b + d - (d >> 3)
 *              with b = m(x[t-1]), d = b - m(x[t-2])
 *
 * all modulo 2^bits, d >> 3 rounding down. Any bits come back, whatever they mean.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_RECORDER_CORE_CODEC_TEMPORAL_H
#define NAUHA_RECORDER_CORE_CODEC_TEMPORAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes behind the planes of an image. */
#define NAUHA__TEMPORAL_TAIL 8u

enum nauha__temporal_order { NAUHA__ORDER_NONE = 0, NAUHA__ORDER_TWO = 2 };

/* What of a chunk of `slices` slices of `slice` items is used. */
struct nauha__temporal {
    size_t slices, slice;
    size_t rows, width;
    uint32_t order;
};

void nauha__temporal_put_tail(const struct nauha__temporal *about, unsigned char *tail);
/* Fills in rows, width and order from an image of `size` bytes whose tail is given; the other
 * fields are there. False: it is no image of such a chunk. */
bool nauha__temporal_take_tail(struct nauha__temporal *about, size_t item_size, size_t size,
                               const unsigned char *tail);

/* The residuals of rows * width items; item_size 1, 2, 4 or 8. */
void nauha__temporal_predict(const struct nauha__temporal *about, size_t item_size,
                             const void *chunk, void *residuals);
/* The reverse, for the whole chunk. */
void nauha__temporal_restore(const struct nauha__temporal *about, size_t item_size,
                             const void *residuals, void *chunk);

#endif
