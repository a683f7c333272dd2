/* SPDX-License-Identifier: MIT */
/* What nauha_linalg.so offers to the metrics that need singular values: dense linear algebra in
 * double precision over LAPACK and BLAS, without threads of its own.
 *
 * Matrices are row-major and contiguous, their elements finite and of a magnitude at which squares
 * neither overflow nor vanish; no dimension is 0 or beyond INT32_MAX. Every function returns
 * NAUHA_OK, NAUHA_NOMEM, or NAUHA_SUBSCRIBER where LAPACK did not converge.
 *
 * Threads: any thread. The same call gives the same bits on the same kind of processor.
 */
#ifndef NAUHA_ANALYZERS_LINALG_LINALG_H
#define NAUHA_ANALYZERS_LINALG_LINALG_H

#include <stddef.h>
#include <stdint.h>

#include "nauha/status.h"

#define LINALG_ABI 2u
#define LINALG_SYMBOL "nauha_linalg"
#define LINALG_MODULE "nauha_linalg.so"

struct linalg {
    uint32_t abi;  /* LINALG_ABI */
    uint32_t size; /* sizeof(struct linalg) */

    /* Why nothing of this may be called; NULL: it may. */
    const char *(*unusable)(void);

    /* All min(rows, columns) singular values, largest first, by LAPACK's dgesdd: each off by a few
     * units in the last place of the largest. a is overwritten. */
    enum nauha_status (*singular_values)(double *a, size_t rows, size_t columns, double *values);

    /* The largest singular value by Golub-Kahan-Lanczos bidiagonalization with full
     * reorthogonalization from a fixed random vector (Golub and Van Loan, Matrix Computations,
     * 10.4), until its residual |A'u - sv| <= tolerance * s: so there is a singular value within
     * tolerance * s of the result. Where that takes too many steps, dgesdd: a is overwritten. */
    enum nauha_status (*largest)(double *a, size_t rows, size_t columns, double tolerance,
                                 double *value);

    /* The largest and the smallest: of the triangle R of A = QR, and of its inverse, by the same
     * iteration. *smallest is 0 where a diagonal element of R is not beyond `negligible` times the
     * largest. a is overwritten. */
    enum nauha_status (*extremes)(double *a, size_t rows, size_t columns, double tolerance,
                                  double negligible, double *largest, double *smallest);

    /* An orthonormal basis of the fewest left singular directions of a that together hold a
     * `fraction` of the sum of its squared singular values: *rank of them, as columns of
     * basis[rows][*rank], which has room for rows * min(rows, columns). rank 0: a is zero. a is
     * overwritten. */
    enum nauha_status (*basis)(double *a, size_t rows, size_t columns, double fraction,
                               double *basis, size_t *rank);

    /* out[a_columns][b_columns] = a' b, of a[rows][a_columns] and b[rows][b_columns]. */
    void (*cross)(const double *a, size_t a_columns, const double *b, size_t b_columns, size_t rows,
                  double *out);

    /* out[rows][rows] = a a', of a[rows][columns]. */
    void (*gram)(const double *a, size_t rows, size_t columns, double *out);
};

#endif
