/* SPDX-License-Identifier: MIT */
/* The largest singular value of an operator, by Golub-Kahan-Lanczos bidiagonalization.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_ANALYZERS_LINALG_GOLUB_KAHAN_H
#define NAUHA_ANALYZERS_LINALG_GOLUB_KAHAN_H

#include <stdbool.h>

#include "analyzers/linalg/blas.h"

/* A real matrix of m x n, by what it does to a vector: out = A in, or A' in. in may be overwritten.
 */
struct linalg_operator {
    void (*apply)(const void *self, bool transposed, double *in, double *out);
    const void *self;
    size_t m, n;
};

/* Steps until the iteration is given up. */
#define GOLUB_KAHAN_STEPS 300u

/* With full reorthogonalization, from a fixed random vector, until the residual |A'u - sv| is at
 * most tolerance * s; a space that holds no more ends it as well, exactly. *converged: false after
 * GOLUB_KAHAN_STEPS, and *value is then only a lower bound. NOMEM; SUBSCRIBER from LAPACK. */
enum nauha_status linalg_golub_kahan(const struct linalg_operator *a, double tolerance,
                                     double *value, bool *converged);

#endif
