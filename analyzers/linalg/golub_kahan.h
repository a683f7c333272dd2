/* SPDX-License-Identifier: MIT */
/* The largest singular value of an operator, by Golub-Kahan-Lanczos bidiagonalization.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_ANALYZERS_LINALG_GOLUB_KAHAN_H
#define NAUHA_ANALYZERS_LINALG_GOLUB_KAHAN_H

#include <stdbool.h>

#include "analyzers/linalg/blas.h"

/* A real matrix of m x n, defined by its product with a vector: out = A in, or A' in if transposed.
 * `in` may be overwritten. */
struct linalg_operator {
    void (*apply)(const void *self, bool transposed, double *in, double *out);
    const void *self;
    size_t m, n;
};

/* The number of steps after which the iteration gives up. */
#define GOLUB_KAHAN_STEPS 300u

/* The largest singular value, with full reorthogonalization from a fixed random vector. The
 * iteration ends when the residual |A'u - sv| is at most tolerance * s, or when the Krylov space is
 * exhausted, and then *value is exact. *converged is false after GOLUB_KAHAN_STEPS steps; *value is
 * then a lower bound. NOMEM; SUBSCRIBER from LAPACK. */
enum nauha_status linalg_golub_kahan(const struct linalg_operator *a, double tolerance,
                                     double *value, bool *converged);

#endif
