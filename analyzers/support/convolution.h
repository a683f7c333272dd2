/* SPDX-License-Identifier: MIT */
/* The geometry of a convolution, found by trying what fits the shapes, and its unfolded input.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_ANALYZERS_SUPPORT_CONVOLUTION_H
#define NAUHA_ANALYZERS_SUPPORT_CONVOLUTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SPATIAL 3u

/* A convolution of 1 to 3 dimensions; missing ones come first and have lengths of 1. */
struct convolution {
    size_t channels; /* of the input */
    size_t groups;
    size_t in[SPATIAL], kernel[SPATIAL], out[SPATIAL];
    size_t stride[SPATIAL], padding[SPATIAL], dilation[SPATIAL];
    size_t more[SPATIAL]; /* how much larger the padding after the last element is */
};

static inline size_t convolution_positions(const struct convolution *c) {
    return c->out[0] * c->out[1] * c->out[2];
}

/* The number of elements in a row: the inputs of one output at one position. */
static inline size_t convolution_row(const struct convolution *c) {
    return c->channels / c->groups * c->kernel[0] * c->kernel[1] * c->kernel[2];
}

/* Whether the lengths of dimension d satisfy the formula of torch.nn.Conv2d. If there is one
 * position, any stride fits. */
static inline bool convolution_fits(const struct convolution *c, size_t d) {
    const size_t padded = c->in[d] + 2 * c->padding[d] + c->more[d];
    const size_t reach = c->dilation[d] * (c->kernel[d] - 1) + 1;
    return padded >= reach && (c->out[d] == 1 || (padded - reach) / c->stride[d] + 1 == c->out[d]);
}

/* ---- geometries to try ---- */

#define STRIDE_MAX 16u
#define DILATION_MAX 8u

/* Sets dimension d to its next geometry, from small dilations, paddings and strides to large ones.
 * False after the last one; dimension d is then at the first again. Geometries with padding larger
 * than the kernel's reach, with dilation of a kernel of one element, or with a stride above 1 if
 * there is one position are not tried. Padding is the same on both sides, except with
 * padding="same" and an odd reach: then there is one more after the last element, and the stride is
 * 1. */
static inline bool convolution_step(struct convolution *c, size_t d) {
    for (;;) {
        const size_t reach = c->dilation[d] * (c->kernel[d] - 1);
        if (c->stride[d] < STRIDE_MAX && c->out[d] > 1 && !c->more[d]) {
            c->stride[d]++;
        } else if (reach == 2 * c->padding[d] + 1 && !c->more[d]) {
            c->stride[d] = 1;
            c->more[d] = 1;
        } else if (c->padding[d] < reach) {
            c->stride[d] = 1;
            c->more[d] = 0;
            c->padding[d]++;
        } else if (c->dilation[d] < DILATION_MAX && c->kernel[d] > 1) {
            c->stride[d] = 1;
            c->padding[d] = c->more[d] = 0;
            c->dilation[d]++;
        } else {
            c->stride[d] = c->dilation[d] = 1;
            c->padding[d] = c->more[d] = 0;
            return false;
        }
        if (convolution_fits(c, d))
            return true;
    }
}

/* Sets the first geometry that fits. False: there is none. */
static inline bool convolution_begin(struct convolution *c) {
    for (size_t d = 0; d < SPATIAL; d++) {
        c->stride[d] = c->dilation[d] = 1;
        c->padding[d] = c->more[d] = 0;
        if (!convolution_fits(c, d) && !convolution_step(c, d))
            return false;
    }
    return true;
}

/* Sets the next geometry that fits. False: there are no more. */
static inline bool convolution_next(struct convolution *c) {
    for (size_t d = SPATIAL; d > 0; d--) {
        if (convolution_step(c, d - 1))
            return true;
        if (!convolution_fits(c, d - 1))
            convolution_step(c, d - 1);
    }
    return false;
}

/* ---- unfolding ---- */

static inline void convolution_unfold_position(const struct convolution *c, const double *x,
                                               const size_t *at, double *row) {
    const size_t plane = c->in[1] * c->in[2], channel = c->in[0] * plane;
    for (size_t n = 0; n < c->channels / c->groups; n++, x += channel) {
        for (size_t k0 = 0; k0 < c->kernel[0]; k0++) {
            const size_t i0 = at[0] * c->stride[0] + k0 * c->dilation[0] - c->padding[0];
            for (size_t k1 = 0; k1 < c->kernel[1]; k1++) {
                const size_t i1 = at[1] * c->stride[1] + k1 * c->dilation[1] - c->padding[1];
                for (size_t k2 = 0; k2 < c->kernel[2]; k2++) {
                    const size_t i2 = at[2] * c->stride[2] + k2 * c->dilation[2] - c->padding[2];
                    /* Before the first element the unsigned index is past the last one. */
                    const bool inside = i0 < c->in[0] && i1 < c->in[1] && i2 < c->in[2];
                    *row++ = inside ? x[i0 * plane + i1 * c->in[2] + i2] : 0;
                }
            }
        }
    }
}

/* Unfolds the input x of one sample, [channels, in...], to [positions, row] for one group. The
 * padding is zeros. */
static inline void convolution_unfold(const struct convolution *c, const double *x, size_t group,
                                      double *unfolded) {
    const size_t row = convolution_row(c);
    size_t at[SPATIAL];
    x += group * (c->channels / c->groups) * c->in[0] * c->in[1] * c->in[2];
    for (at[0] = 0; at[0] < c->out[0]; at[0]++) {
        for (at[1] = 0; at[1] < c->out[1]; at[1]++) {
            for (at[2] = 0; at[2] < c->out[2]; at[2]++, unfolded += row)
                convolution_unfold_position(c, x, at, unfolded);
        }
    }
}

#endif
