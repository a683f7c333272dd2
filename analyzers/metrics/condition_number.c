/* SPDX-License-Identifier: MIT */
/* The largest over the smallest singular value of a tensor as a matrix. */
#include <float.h>

#include "analyzers/support/matrix.h"

static enum nauha_status extremes(const struct matrix_metric *metric, struct matrix *matrix,
                                  double negligible, double *largest, double *smallest,
                                  struct nauha_error *err) {
    if (!matrix_is_small(metric, matrix)) {
        enum nauha_status status =
            metric->linalg->extremes(matrix->elements, matrix->rows, matrix->columns,
                                     metric->tolerance, negligible, largest, smallest);
        return matrix_check(metric, matrix, status, err);
    }
    double *values = NULL;
    size_t count = 0;
    enum nauha_status status = matrix_singular_values(metric, matrix, &values, &count, err);
    if (status == NAUHA_OK) {
        *largest = values[0];
        *smallest = values[count - 1];
    }
    free(values);
    return status;
}

static enum nauha_status value(const struct matrix_metric *metric, struct matrix *matrix,
                               double *value, struct nauha_error *err) {
    const size_t longer = matrix->rows > matrix->columns ? matrix->rows : matrix->columns;
    const double negligible = DBL_EPSILON * (double)longer;
    double largest = 0, smallest = 0;
    enum nauha_status status = extremes(metric, matrix, negligible, &largest, &smallest, err);
    *value = smallest <= negligible * largest ? (double)INFINITY : largest / smallest;
    return status;
}

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    static const struct kind_topics_plan plan = {.suffix = "_condition_number",
                                                 .scope = NAUHA_SCOPE_MODULE,
                                                 .form = NAUHA_FORM_SCALAR,
                                                 .title = "Condition number",
                                                 .ylabel = "largest over smallest singular value",
                                                 .log_y = true};
    static const struct matrix_metric metric = {
        .value = value, .of_zeros = (double)INFINITY, .of_nothing = (double)NAN};
    return matrix_metric_create(host, config, &plan, &metric, true, self, err);
}

static const struct nauha_analyzer_parameter parameters[] = {MATRIX_ITERATION_PARAMETERS};

NAUHA_ANALYZER(condition_number) = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "condition_number",
    .summary = "largest over smallest singular value of the tensor as a matrix",
    .formula =
        "s_1 / s_min(m,n) of A = U diag(s) V', A = x of shape [d0, d1 * d2 * ...], m x n: by "
        "LAPACK's SVD, or for large matrices by Golub-Kahan-Lanczos iteration on R of A = QR and "
        "on its inverse; inf if s_min <= max(m, n) * 2^-52 * s_1, which double precision cannot "
        "distinguish from 0; NaN for an empty tensor, and if an element is not finite",
    .flags = NAUHA_ANALYZER_PER_MODULE | NAUHA_ANALYZER_PER_KIND,
    .min_kinds = 1,
    .max_kinds = KINDS_MAX,
    .parameters = parameters,
    .parameter_count = sizeof parameters / sizeof *parameters,
    .create = create,
    .compute = matrix_metric_compute,
    .destroy = free,
    .cost = 80,
};
