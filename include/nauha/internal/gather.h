/* SPDX-License-Identifier: MIT */
/* Strided tensors into contiguous memory.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_INTERNAL_GATHER_H
#define NAUHA_INTERNAL_GATHER_H

#include "nauha/tensor.h"

/* Gathers a strided tensor into contiguous memory, row-major; elements [first, first + n). */
void nauha__gather(const struct nauha_tensor *tensor, size_t first, size_t n, void *out);

#endif
