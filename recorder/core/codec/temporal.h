/* SPDX-License-Identifier: MIT */
/* Temporal coding: each value in a chunk is predicted from the two earlier values of the same
 * element, and only the difference (the residual) is stored.
 *
 * A chunk of a sliced stream (see layout.h) has `slices` slices of equal size, one for each step.
 * The first `rows` slices are used, and of each the first `width` items; the others are zero. The
 * image of the chunk, its encoded form, is the residuals of the items used, slice after slice, as
 * byte planes (plane 0 of all of them, then plane 1 and so on), followed by `width` and the order
 * of the prediction, each a little-endian u32. `rows` follows from the size of the image.
 *
 * The bits of an item, taken as an integer of its size, are mapped to an integer that is ordered as
 * floating-point numbers are: m(x) = x if the highest bit is clear, else x with all other bits
 * flipped, as a two's-complement number. The residual of an item x[t] is zigzag(m(x[t]) - p[t])
 * with zigzag(v) = 2v for v >= 0, else -2v - 1, and
 *
 *     order 0: p = 0
 *     order 2: p[0] = 0, p[1] = b, later p[t] = b + d - (d >> 3)
 *              with b = m(x[t-1]), d = b - m(x[t-2])
 *
 * all modulo 2^bits, d >> 3 rounding down. Decoding restores the bits of any items exactly,
 * whatever their type.
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

/* The used part of a chunk of `slices` slices of `slice` items each. */
struct nauha__temporal {
    size_t slices, slice;
    size_t rows, width;
    uint32_t order;
};

void nauha__temporal_put_tail(const struct nauha__temporal *about, unsigned char *tail);
/* Fills in rows, width and order from the tail of an image of `size` bytes; the caller has set
 * slices and slice. False: it is no image of such a chunk. */
bool nauha__temporal_take_tail(struct nauha__temporal *about, size_t item_size, size_t size,
                               const unsigned char *tail);

/* Computes the residuals of rows * width items; item_size is 1, 2, 4 or 8. */
void nauha__temporal_predict(const struct nauha__temporal *about, size_t item_size,
                             const void *chunk, void *residuals);
/* The reverse; fills the whole chunk. */
void nauha__temporal_restore(const struct nauha__temporal *about, size_t item_size,
                             const void *residuals, void *chunk);

#endif
