/* SPDX-License-Identifier: MIT */
/* Reducing tensors as the options ask for: fewer samples of a batch, fewer bits of an element.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_RECORDER_REDUCE_H
#define NAUHA_RECORDER_REDUCE_H

#include "nauha/names.h"
#include "nauha/tensor.h"

/* Cuts the first dimension to `samples` (0: no limit), for kinds whose first dimension is the
 * batch. placement is that of a shard, whose whole is then cut, too; NULL: the tensor is whole.
 * room is memory for the new numbers. Returns whether the tensor was changed. */
struct nauha__reduced {
    int64_t shape[NAUHA_MAX_NDIM], whole[NAUHA_MAX_NDIM], offset[NAUHA_MAX_NDIM];
};
bool nauha__reduce_samples(uint32_t kind, uint32_t samples, struct nauha_placement *placement,
                           struct nauha_tensor *tensor, struct nauha__reduced *room);

/* How many significand bits after the point a message's elements keep; 0: all. Parameters stay
 * exact, because updates are their differences; losses, labels, buffers and the user's own kinds
 * stay exact, too. */
unsigned nauha__reduce_bits(uint32_t kind, unsigned precision, enum nauha_dtype dtype);

/* Rounds f32 and f64 elements to `bits` (1 to 22) significand bits after the point, to nearest,
 * ties to even. 7 bits are those of bf16, 10 those of f16, whose exponent is narrower. NaN stays
 * NaN. */
void nauha__round(enum nauha_dtype dtype, unsigned bits, void *elements, size_t count);

#endif
