/* SPDX-License-Identifier: MIT */
/* The largest singular value of a tensor as a matrix. */
#include "analyzers/support/matrix.h"

static enum nauha_status value(const struct matrix_metric *metric, struct matrix *matrix,
                               double *value, struct nauha_error *err) {
    double largest = 0;
    enum nauha_status status = matrix_largest(metric, matrix, &largest, err);
    *value = ldexp(largest, matrix->exponent);
    return status;
}

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    static const struct kind_topics_plan plan = {.suffix = "_spectral_norm",
                                                 .scope = NAUHA_SCOPE_MODULE,
                                                 .form = NAUHA_FORM_SCALAR,
                                                 .title = "Spectral norm",
                                                 .ylabel = "largest singular value",
                                                 .log_y = true};
    static const struct matrix_metric metric = {.value = value};
    return matrix_metric_create(host, config, &plan, &metric, true, self, err);
}

static const struct nauha_analyzer_parameter parameters[] = {MATRIX_ITERATION_PARAMETERS};

NAUHA_ANALYZER(spectral_norm) = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "spectral_norm",
    .summary = "largest singular value of the tensor as a matrix",
    .formula = "s_1 of A = U diag(s) V', A = x of shape [d0, d1 * d2 * ...]: by LAPACK's SVD, or "
               "for large matrices by Golub-Kahan-Lanczos iteration (Golub and Van Loan, Matrix "
               "Computations, 10.4) until |A'u - s v| <= tolerance * s; 0 for an empty tensor, NaN "
               "if an element is not finite",
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
