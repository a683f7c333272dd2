/* SPDX-License-Identifier: MIT */
/* Copying strided tensors to contiguous memory.
 *
 * Threads: any thread.
 */
#include "nauha/internal/gather.h"

#include <stdlib.h>
#include <string.h>

/* A tensor with as few dimensions as describe the same elements in the same order. */
struct walk {
    uint32_t ndim; /* at least 1 */
    size_t shape[NAUHA_MAX_NDIM];
    ptrdiff_t stride[NAUHA_MAX_NDIM]; /* in bytes */
};

static void simplify(const struct nauha_tensor *tensor, size_t size, struct walk *walk) {
    walk->ndim = 0;
    for (uint32_t i = 0; i < tensor->ndim; i++) {
        if (tensor->shape[i] == 1)
            continue;
        size_t length = (size_t)tensor->shape[i];
        ptrdiff_t stride = (ptrdiff_t)tensor->strides[i] * (ptrdiff_t)size;
        uint32_t last = walk->ndim - 1;
        if (walk->ndim > 0 && walk->stride[last] == stride * (ptrdiff_t)length) {
            walk->shape[last] *= length;
            walk->stride[last] = stride;
        } else {
            walk->shape[walk->ndim] = length;
            walk->stride[walk->ndim] = stride;
            walk->ndim++;
        }
    }
    if (walk->ndim == 0) {
        walk->ndim = 1;
        walk->shape[0] = 1;
        walk->stride[0] = (ptrdiff_t)size;
    }
}

#define COPY_EACH(type)                                                                            \
    for (size_t i = 0; i < n; i++)                                                                 \
    memcpy(to + i * sizeof(type), from + (ptrdiff_t)i * stride, sizeof(type))

static void copy_run(const char *restrict from, ptrdiff_t stride, size_t size, size_t n,
                     char *restrict to) {
    if (stride == (ptrdiff_t)size) {
        memcpy(to, from, n * size);
        return;
    }
    switch (size) {
    case 1:
        COPY_EACH(uint8_t);
        return;
    case 2:
        COPY_EACH(uint16_t);
        return;
    case 4:
        COPY_EACH(uint32_t);
        return;
    default:
        COPY_EACH(uint64_t);
    }
}

enum { TILE = 16 };

/* How many whole rows to copy as tiles: several if going down the rows stays closer in memory than
 * going along a row (a transposed matrix, channels last), otherwise 0. */
static size_t tile_rows(const struct walk *walk, const size_t *at, size_t n) {
    uint32_t inner = walk->ndim - 1;
    if (inner == 0 || at[inner] != 0 ||
        llabs(walk->stride[inner - 1]) >= llabs(walk->stride[inner]))
        return 0;
    size_t rows = walk->shape[inner - 1] - at[inner - 1];
    rows = rows < n / walk->shape[inner] ? rows : n / walk->shape[inner];
    return rows < TILE ? rows : TILE;
}

/* Copies rows x columns in squares, so that the contents of a cache line are used while it is in
 * the cache. */
static void copy_tiles(const char *from, const struct walk *walk, size_t size, size_t rows,
                       char *to) {
    uint32_t inner = walk->ndim - 1;
    size_t columns = walk->shape[inner];
    for (size_t column = 0; column < columns; column += TILE) {
        size_t n = columns - column < TILE ? columns - column : TILE;
        const char *corner = from + (ptrdiff_t)column * walk->stride[inner];
        for (size_t row = 0; row < rows; row++)
            copy_run(corner + (ptrdiff_t)row * walk->stride[inner - 1], walk->stride[inner], size,
                     n, to + (row * columns + column) * size);
    }
}

/* Advances by `rows` rows, which do not reach past the end of their dimension; returns the address
 * of the new element. */
static const char *next_row(const struct walk *walk, size_t *at, size_t rows, const char *from) {
    for (uint32_t i = walk->ndim - 1; i-- > 0; rows = 1) {
        from += (ptrdiff_t)rows * walk->stride[i];
        at[i] += rows;
        if (at[i] < walk->shape[i])
            break;
        from -= (ptrdiff_t)walk->shape[i] * walk->stride[i];
        at[i] = 0;
    }
    return from;
}

void nauha__gather(const struct nauha_tensor *tensor, size_t first, size_t n, void *out) {
    size_t size = nauha_dtype_size(tensor->dtype);
    if (n == 0)
        return;
    const char *from = tensor->data;
    if (!tensor->strides) {
        memcpy(out, from + first * size, n * size);
        return;
    }
    struct walk walk;
    simplify(tensor, size, &walk);
    uint32_t inner = walk.ndim - 1;

    size_t at[NAUHA_MAX_NDIM]; /* the position of element `first` */
    size_t rest = first;
    for (uint32_t i = walk.ndim; i-- > 0;) {
        at[i] = rest % walk.shape[i];
        rest /= walk.shape[i];
        from += (ptrdiff_t)at[i] * walk.stride[i];
    }

    for (char *to = out; n > 0;) {
        size_t rows = tile_rows(&walk, at, n);
        size_t copied;
        if (rows > 1) {
            copied = rows * walk.shape[inner];
            copy_tiles(from, &walk, size, rows, to);
        } else {
            rows = 1;
            copied = walk.shape[inner] - at[inner];
            copied = copied < n ? copied : n;
            copy_run(from, walk.stride[inner], size, copied, to);
            from -= (ptrdiff_t)at[inner] * walk.stride[inner];
            at[inner] = 0;
        }
        to += copied * size;
        n -= copied;
        if (n > 0)
            from = next_row(&walk, at, rows, from);
    }
}
