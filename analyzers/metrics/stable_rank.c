/* SPDX-License-Identifier: MIT */
/* The stable rank of a tensor as a matrix. */
#include "analyzers/support/matrix.h"

static double sum_squares(const struct matrix *matrix) {
    const size_t count = matrix->rows * matrix->columns;
    double sum = 0;
    for (size_t row = 0; row < count; row += matrix->columns) {
        double part = 0;
        for (size_t i = row; i < row + matrix->columns; i++)
            part += matrix->elements[i] * matrix->elements[i];
        sum += part;
    }
    return sum;
}

static enum nauha_status value(const struct matrix_metric *metric, struct matrix *matrix,
                               double *value, struct nauha_error *err) {
    const double sum = sum_squares(matrix);
    double largest = 0;
    enum nauha_status status = matrix_largest(metric, matrix, &largest, err);
    *value = sum / (largest * largest);
    return status;
}

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    static const struct kind_topics_plan plan = {.suffix = "_stable_rank",
                                                 .scope = NAUHA_SCOPE_MODULE,
                                                 .form = NAUHA_FORM_SCALAR,
                                                 .title = "Stable rank",
                                                 .ylabel = "stable rank"};
    static const struct matrix_metric metric = {
        .value = value, .of_zeros = (double)NAN, .of_nothing = (double)NAN};
    return matrix_metric_create(host, config, &plan, &metric, true, self, err);
}

static const struct nauha_analyzer_parameter parameters[] = {MATRIX_ITERATION_PARAMETERS};

NAUHA_ANALYZER(stable_rank) = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "stable_rank",
    .summary = "squared Frobenius norm over squared spectral norm",
    .formula = "sum(s^2) / s_1^2, s the singular values of x of shape [d0, d1 * d2 * ...] (M. "
               "Rudelson, R. Vershynin, Sampling from large matrices, 2007); NaN for a tensor of "
               "zeros, for an empty tensor, and if an element is not finite",
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
