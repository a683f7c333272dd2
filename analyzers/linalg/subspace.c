/* SPDX-License-Identifier: MIT */
/* Orthonormal bases, and products of matrices; see linalg.h. */
#include <float.h>
#include <string.h>

#include "analyzers/linalg/blas.h"

/* How many of the values, largest first, make up a fraction of the sum of squares; 0 if they are
 * all zero. Values that are nothing but rounding errors do not count. */
static size_t count_for(const double *values, size_t count, size_t longer, double fraction) {
    const double negligible = DBL_EPSILON * (double)longer * values[0];
    double all = 0, sum = 0;
    for (size_t i = count; i-- > 0;)
        all += values[i] * values[i];
    size_t kept = 0;
    while (kept < count && values[kept] > negligible && (kept == 0 || sum < fraction * all)) {
        sum += values[kept] * values[kept];
        kept++;
    }
    return kept;
}

/* A row-major matrix is the transpose of a column-major one. The left singular vectors of the first
 * are therefore the right ones of the second, which LAPACK returns as the rows of the column-major
 * vt[smaller][rows], that is as [rows][smaller] in row-major order. */
enum nauha_status linalg_basis(double *a, size_t rows, size_t columns, double fraction,
                               double *basis, size_t *rank) {
    const size_t smaller = linalg_smaller(rows, columns);
    int m = (int)columns, n = (int)rows, k = (int)smaller, info = 0, work_size = -1;
    double wanted = 0;
    double *values = linalg_doubles(smaller, 1), *others = linalg_doubles(columns, smaller);
    int *integers = calloc(smaller, 8 * sizeof *integers);
    double *work = NULL;
    *rank = 0;
    if (values && others && integers) {
        LAPACK_dgesdd("S", &m, &n, a, &m, values, others, &m, basis, &k, &wanted, &work_size,
                      integers, &info);
        work = linalg_work(wanted, &work_size);
    }
    if (work)
        LAPACK_dgesdd("S", &m, &n, a, &m, values, others, &m, basis, &k, work, &work_size, integers,
                      &info);
    const enum nauha_status status = !work ? NAUHA_NOMEM : info ? NAUHA_SUBSCRIBER : NAUHA_OK;
    if (status == NAUHA_OK) {
        *rank = count_for(values, smaller, rows > columns ? rows : columns, fraction);
        for (size_t row = 0; *rank < smaller && row < rows; row++)
            memmove(basis + row * *rank, basis + row * smaller, *rank * sizeof *basis);
    }
    free(values);
    free(others);
    free(integers);
    free(work);
    return status;
}

void linalg_cross(const double *a, size_t a_columns, const double *b, size_t b_columns, size_t rows,
                  double *out) {
    cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)a_columns, (int)b_columns, (int)rows,
                1, a, (int)a_columns, b, (int)b_columns, 0, out, (int)b_columns);
}

void linalg_gram(const double *a, size_t rows, size_t columns, double *out) {
    cblas_dsyrk(CblasRowMajor, CblasUpper, CblasNoTrans, (int)rows, (int)columns, 1, a,
                (int)columns, 0, out, (int)rows);
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < i; j++)
            out[i * rows + j] = out[j * rows + i];
    }
}
