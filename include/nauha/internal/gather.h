/* SPDX-License-Identifier: MIT */
/* Copying strided tensors into contiguous memory.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_INTERNAL_GATHER_H
#define NAUHA_INTERNAL_GATHER_H

#include "nauha/tensor.h"

/* Copies the elements [first, first + n), in row-major order, of a tensor to out. */
void nauha__gather(const struct nauha_tensor *tensor, size_t first, size_t n, void *out);

#endif
