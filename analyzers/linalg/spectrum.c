/* SPDX-License-Identifier: MIT */
/* Singular values: all of them, the largest, or the largest and the smallest; see linalg.h. */
#include <math.h>

#include "analyzers/linalg/golub_kahan.h"

/* ---- all ---- */

enum nauha_status linalg_singular_values(double *a, size_t rows, size_t columns, double *values) {
    int m = (int)columns, n = (int)rows, one = 1, info = 0, work_size = -1;
    double wanted = 0, nothing = 0;
    int *integers = calloc(linalg_smaller(rows, columns), 8 * sizeof *integers);
    double *work = NULL;
    if (integers) {
        LAPACK_dgesdd("N", &m, &n, a, &m, values, &nothing, &one, &nothing, &one, &wanted,
                      &work_size, integers, &info);
        work = linalg_work(wanted, &work_size);
    }
    if (work)
        LAPACK_dgesdd("N", &m, &n, a, &m, values, &nothing, &one, &nothing, &one, work, &work_size,
                      integers, &info);
    const enum nauha_status status = !work ? NAUHA_NOMEM : info ? NAUHA_SUBSCRIBER : NAUHA_OK;
    free(integers);
    free(work);
    return status;
}

/* Computes all singular values, and returns the first and the last. */
static enum nauha_status first_and_last(double *a, size_t rows, size_t columns, double *first,
                                        double *last) {
    const size_t count = linalg_smaller(rows, columns);
    double *values = linalg_doubles(count, 1);
    enum nauha_status status =
        values ? linalg_singular_values(a, rows, columns, values) : NAUHA_NOMEM;
    if (status == NAUHA_OK) {
        *first = values[0];
        *last = values[count - 1];
    }
    free(values);
    return status;
}

/* ---- the largest ---- */

struct dense {
    const double *a;
    int m, n; /* column-major */
};

static void apply_dense(const void *self, bool transposed, double *in, double *out) {
    const struct dense *dense = self;
    cblas_dgemv(CblasColMajor, transposed ? CblasTrans : CblasNoTrans, dense->m, dense->n, 1,
                dense->a, dense->m, in, 1, 0, out, 1);
}

enum nauha_status linalg_largest(double *a, size_t rows, size_t columns, double tolerance,
                                 double *value) {
    const struct dense dense = {a, (int)columns, (int)rows};
    const struct linalg_operator operator= {apply_dense, &dense, columns, rows};
    bool converged = false;
    double last = 0;
    enum nauha_status status = linalg_golub_kahan(&operator, tolerance, value, &converged);
    if (status == NAUHA_OK && !converged)
        status = first_and_last(a, rows, columns, value, &last);
    return status;
}

/* ---- the extremes ---- */

/* The factor R of QR or L of LQ, whichever is smaller, in the memory in which LAPACK leaves it. */
struct triangle {
    const double *a;
    CBLAS_UPLO half;
    int n, stride;
};

static void apply_triangle(const void *self, bool transposed, double *in, double *out) {
    const struct triangle *triangle = self;
    cblas_dcopy(triangle->n, in, 1, out, 1);
    cblas_dtrmv(CblasColMajor, triangle->half, transposed ? CblasTrans : CblasNoTrans, CblasNonUnit,
                triangle->n, triangle->a, triangle->stride, out, 1);
}

static void apply_inverse(const void *self, bool transposed, double *in, double *out) {
    const struct triangle *triangle = self;
    cblas_dcopy(triangle->n, in, 1, out, 1);
    cblas_dtrsv(CblasColMajor, triangle->half, transposed ? CblasTrans : CblasNoTrans, CblasNonUnit,
                triangle->n, triangle->a, triangle->stride, out, 1);
}

static enum nauha_status factorize(double *a, size_t rows, size_t columns,
                                   struct triangle *triangle) {
    int m = (int)columns, n = (int)rows, info = 0, work_size = -1;
    const bool tall = m >= n;
    double wanted = 0;
    double *tau = linalg_doubles(linalg_smaller(rows, columns), 1), *work = NULL;
    *triangle = (struct triangle){a, tall ? CblasUpper : CblasLower, tall ? n : m, m};
    for (int call = 0; call < 2 && tau; call++) {
        double *room = call == 0 ? &wanted : work;
        if (tall)
            LAPACK_dgeqrf(&m, &n, a, &m, tau, room, &work_size, &info);
        else
            LAPACK_dgelqf(&m, &n, a, &m, tau, room, &work_size, &info);
        if (call == 1)
            break;
        work = linalg_work(wanted, &work_size);
        if (!work)
            break;
    }
    const enum nauha_status status = tau && work ? NAUHA_OK : NAUHA_NOMEM;
    free(tau);
    free(work);
    return status;
}

/* Copies a triangle to a matrix of its own, and fills the other half with zeros. */
static double *copy_triangle(const struct triangle *triangle) {
    const size_t n = (size_t)triangle->n;
    double *copy = linalg_doubles(n, n);
    for (size_t j = 0; copy && j < n; j++) {
        for (size_t i = 0; i < n; i++) {
            const bool inside = triangle->half == CblasUpper ? i <= j : i >= j;
            copy[j * n + i] = inside ? triangle->a[j * (size_t)triangle->stride + i] : 0;
        }
    }
    return copy;
}

static enum nauha_status extremes_by_lapack(const struct triangle *triangle, double *largest,
                                            double *smallest) {
    const size_t n = (size_t)triangle->n;
    double *copy = copy_triangle(triangle);
    enum nauha_status status = copy ? first_and_last(copy, n, n, largest, smallest) : NAUHA_NOMEM;
    free(copy);
    return status;
}

/* The smallest singular value is at most the smallest diagonal element of the triangle. */
static bool is_singular(const struct triangle *triangle, double limit) {
    for (size_t i = 0; i < (size_t)triangle->n; i++) {
        if (fabs(triangle->a[i * (size_t)triangle->stride + i]) <= limit)
            return true;
    }
    return false;
}

enum nauha_status linalg_extremes(double *a, size_t rows, size_t columns, double tolerance,
                                  double negligible, double *largest, double *smallest) {
    struct triangle triangle;
    enum nauha_status status = factorize(a, rows, columns, &triangle);
    const size_t n = (size_t)triangle.n;
    const struct linalg_operator forward = {apply_triangle, &triangle, n, n};
    const struct linalg_operator inverse = {apply_inverse, &triangle, n, n};
    bool converged = false;
    *smallest = 0;
    if (status == NAUHA_OK)
        status = linalg_golub_kahan(&forward, tolerance, largest, &converged);
    if (status == NAUHA_OK && is_singular(&triangle, negligible * *largest))
        return converged ? NAUHA_OK : extremes_by_lapack(&triangle, largest, smallest);
    if (status != NAUHA_OK)
        return status;
    double reciprocal = 0;
    bool inverse_converged = false;
    if (converged)
        status = linalg_golub_kahan(&inverse, tolerance, &reciprocal, &inverse_converged);
    if (status == NAUHA_OK && !inverse_converged)
        return extremes_by_lapack(&triangle, largest, smallest);
    *smallest = 1 / reciprocal;
    return status;
}
