/* SPDX-License-Identifier: MIT */
/* For metrics that reduce the elements of a message themselves: the elements as doubles in blocks,
 * and sums of blocks that are combined pairwise, so that the error does not grow with the number of
 * blocks.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_ANALYZERS_SUPPORT_BLOCKS_H
#define NAUHA_ANALYZERS_SUPPORT_BLOCKS_H

#include "nauha/analyzer.h"

/* Pieces have a multiple of this many elements, so the blocks are the same wherever a tensor is
 * cut. */
#define BLOCK 256u
/* The number of independent sums within a block. */
#define LANES 16u

/* n elements, beginning with number `first`; n is BLOCK except in the last block. */
typedef void (*block_fn)(void *context, const double *x, size_t n, uint64_t first);

struct block_visit {
    const struct nauha_host *host;
    block_fn fn;
    void *context;
};

static inline enum nauha_status visit_piece(void *context, const struct nauha_tensor *piece,
                                            uint64_t first, struct nauha_error *err) {
    (void)err;
    const struct block_visit *visit = context;
    const size_t count = (size_t)piece->shape[0];
    double block[BLOCK];
    for (size_t at = 0; at < count; at += BLOCK) {
        const size_t n = count - at < BLOCK ? count - at : BLOCK;
        visit->host->to_f64(piece, at, n, block);
        visit->fn(visit->context, block, n, first + at);
    }
    return NAUHA_OK;
}

/* Calls fn with each block of the elements, in order. Fails as host->for_each_piece does. */
static inline enum nauha_status for_each_block(const struct nauha_host *host,
                                               struct nauha_message *message, block_fn fn,
                                               void *context, struct nauha_error *err) {
    struct block_visit visit = {.host = host, .fn = fn, .context = context};
    return host->for_each_piece(message, visit_piece, &visit, err);
}

/* ---- sums ---- */

/* Sum i is the sum of 2^i blocks, like the digits of a binary counter. */
struct block_sum {
    double levels[64];
    unsigned depth;
    uint64_t blocks;
};

/* Adds the sum of the next block, n <= BLOCK numbers. */
static inline void block_sum_add(struct block_sum *sum, const double *x, size_t n) {
    double lanes[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (size_t j = 0; j < LANES; j++)
            lanes[j] += x[i + j];
    }
    for (size_t j = 0; i + j < n; j++)
        lanes[j] += x[i + j];
    for (size_t width = LANES / 2; width > 0; width /= 2) {
        for (size_t j = 0; j < width; j++)
            lanes[j] += lanes[j + width];
    }
    double total = lanes[0];
    for (uint64_t carry = ++sum->blocks; !(carry & 1); carry >>= 1)
        total += sum->levels[--sum->depth];
    sum->levels[sum->depth++] = total;
}

static inline double block_sum_total(const struct block_sum *sum) {
    double total = 0;
    for (unsigned depth = sum->depth; depth > 0; depth--)
        total += sum->levels[depth - 1];
    return total;
}

#endif
