/* SPDX-License-Identifier: MIT */
/* What a recording may leave out of its tensors, where it is asked to: samples of a batch, bits of
 * an element.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_RECORDER_REDUCE_H
#define NAUHA_RECORDER_REDUCE_H

#include "nauha/names.h"
#include "nauha/tensor.h"

/* Cuts the first dimension to `samples`, for kinds whose first dimension is the batch; shape is
 * room for its new dimensions. True where that changed something. samples 0: all are kept. */
bool nauha__reduce_samples(uint32_t kind, uint32_t samples, struct nauha_tensor *tensor,
                           int64_t shape[NAUHA_MAX_NDIM]);

/* Significand bits to keep of a message's elements, behind the point; 0: all. Parameters stay
 * exact, because updates are their differences; so do losses, labels, buffers and kinds of users.
 */
unsigned nauha__reduce_bits(uint32_t kind, unsigned precision, enum nauha_dtype dtype);

/* Rounds f32 and f64 elements to `bits` (1 to 22) significand bits behind the point, to nearest,
 * ties to even, as a conversion to bf16 (7) or to f16 without its narrower exponent (10) does. NaN
 * stays NaN. */
void nauha__round(enum nauha_dtype dtype, unsigned bits, void *elements, size_t count);

#endif
