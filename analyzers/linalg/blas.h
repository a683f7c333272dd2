/* SPDX-License-Identifier: MIT */
/* LAPACK and BLAS, and helpers for calling them. They use column-major matrices: a row-major matrix
 * of rows x columns is, to them, its transpose of columns x rows.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_ANALYZERS_LINALG_BLAS_H
#define NAUHA_ANALYZERS_LINALG_BLAS_H

#include <cblas.h>
#include <lapack.h>
#include <limits.h>
#include <stdlib.h>

#include "analyzers/linalg/linalg.h"

/* Allocates a x b doubles, at least one; NULL when out of memory or if the size exceeds SIZE_MAX.
 * Release with free. */
static inline double *linalg_doubles(size_t a, size_t b) {
    size_t count = 0, bytes = 0;
    if (__builtin_mul_overflow(a, b, &count) ||
        __builtin_mul_overflow(count, sizeof(double), &bytes))
        return NULL;
    return malloc(bytes > 0 ? bytes : sizeof(double));
}

/* Allocates the work space that LAPACK asks for, and sets *size for LAPACK; NULL when out of memory
 * or if the size exceeds INT_MAX. Release with free. */
static inline double *linalg_work(double wanted, int *size) {
    if (!(wanted <= INT_MAX))
        return NULL;
    *size = (int)wanted;
    return linalg_doubles((size_t)*size, 1);
}

static inline size_t linalg_smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

enum nauha_status linalg_singular_values(double *a, size_t rows, size_t columns, double *values);
enum nauha_status linalg_largest(double *a, size_t rows, size_t columns, double tolerance,
                                 double *value);
enum nauha_status linalg_extremes(double *a, size_t rows, size_t columns, double tolerance,
                                  double negligible, double *largest, double *smallest);
enum nauha_status linalg_basis(double *a, size_t rows, size_t columns, double fraction,
                               double *basis, size_t *rank);
void linalg_cross(const double *a, size_t a_columns, const double *b, size_t b_columns, size_t rows,
                  double *out);
void linalg_gram(const double *a, size_t rows, size_t columns, double *out);

#endif
