/* SPDX-License-Identifier: MIT */
/* The interface of nauha_linalg.so: dense linear algebra in double precision, for metrics that need
 * singular values. It uses LAPACK and BLAS and starts no threads.
 *
 * Matrices are row-major and contiguous. Their elements are finite, and their magnitudes are such
 * that squares neither overflow nor vanish; no dimension is 0 or greater than INT32_MAX. Every
 * function with a status returns NAUHA_OK, NAUHA_NOMEM, or NAUHA_SUBSCRIBER if LAPACK did not
 * converge.
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

    /* Returns why none of these functions may be called; NULL if they may. */
    const char *(*unusable)(void);

    /* All min(rows, columns) singular values, largest first, by LAPACK's dgesdd. The error of each
     * is a few units in the last place of the largest. a is overwritten. */
    enum nauha_status (*singular_values)(double *a, size_t rows, size_t columns, double *values);

    /* The largest singular value by Golub-Kahan-Lanczos bidiagonalization with full
     * reorthogonalization from a fixed random vector (Golub and Van Loan, Matrix Computations,
     * 10.4), until the residual |A'u - sv| is at most tolerance * s: then a singular value lies
     * within tolerance * s of the result. If this takes too many steps, dgesdd computes it. a is
     * overwritten. */
    enum nauha_status (*largest)(double *a, size_t rows, size_t columns, double tolerance,
                                 double *value);

    /* The largest and the smallest singular value, by the same iteration on the triangle R of A =
     * QR and on its inverse. *smallest is 0 if a diagonal element of R is at most `negligible`
     * times the largest. a is overwritten. */
    enum nauha_status (*extremes)(double *a, size_t rows, size_t columns, double tolerance,
                                  double negligible, double *largest, double *smallest);

    /* An orthonormal basis of the left singular vectors with the largest singular values: the
     * fewest whose squared singular values make up a `fraction` of the sum of all. *rank is how
     * many they are; they are the columns of basis[rows][*rank], which has room for rows *
     * min(rows, columns). rank 0: a is zero. a is overwritten. */
    enum nauha_status (*basis)(double *a, size_t rows, size_t columns, double fraction,
                               double *basis, size_t *rank);

    /* out[a_columns][b_columns] = a' b, of a[rows][a_columns] and b[rows][b_columns]. */
    void (*cross)(const double *a, size_t a_columns, const double *b, size_t b_columns, size_t rows,
                  double *out);

    /* out[rows][rows] = a a', of a[rows][columns]. */
    void (*gram)(const double *a, size_t rows, size_t columns, double *out);
};

#endif
