/* SPDX-License-Identifier: MIT */
/* The effective rank of a tensor as a matrix. */
#include "analyzers/support/matrix.h"

static enum nauha_status value(const struct matrix_metric *metric, struct matrix *matrix,
                               double *value, struct nauha_error *err) {
    double *values = NULL;
    size_t count = 0;
    enum nauha_status status = matrix_singular_values(metric, matrix, &values, &count, err);
    if (status == NAUHA_OK) {
        double sum = 0, entropy = 0;
        for (size_t i = count; i-- > 0;)
            sum += values[i];
        for (size_t i = count; i-- > 0;) {
            const double p = values[i] / sum;
            entropy -= p > 0 ? p * log(p) : 0;
        }
        *value = exp(entropy);
    }
    free(values);
    return status;
}

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    static const struct kind_topics_plan plan = {.suffix = "_effective_rank",
                                                 .scope = NAUHA_SCOPE_MODULE,
                                                 .form = NAUHA_FORM_SCALAR,
                                                 .title = "Effective rank",
                                                 .ylabel = "effective rank"};
    static const struct matrix_metric metric = {
        .value = value, .of_zeros = (double)NAN, .of_nothing = (double)NAN};
    return matrix_metric_create(host, config, &plan, &metric, false, self, err);
}

NAUHA_ANALYZER(effective_rank) = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "effective_rank",
    .summary = "exponential of the entropy of the singular values",
    .formula = "exp(-sum(p log p)), p = s / sum(s), s the singular values of x of shape [d0, d1 * "
               "d2 * ...] (O. Roy, M. Vetterli, The effective rank, EUSIPCO 2007); NaN for a "
               "tensor of zeros, for an empty tensor, and if an element is not finite",
    .flags = NAUHA_ANALYZER_PER_MODULE | NAUHA_ANALYZER_PER_KIND,
    .min_kinds = 1,
    .max_kinds = KINDS_MAX,
    .create = create,
    .compute = matrix_metric_compute,
    .destroy = free,
    .cost = 80,
};
