/* SPDX-License-Identifier: MIT */
/* For metrics that compute one number from a message as a matrix: everything but this number. The
 * rows of the matrix are the first dimension of the tensor, its columns all others, flattened; a
 * vector is one column.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_ANALYZERS_SUPPORT_MATRIX_H
#define NAUHA_ANALYZERS_SUPPORT_MATRIX_H

#include "analyzers/support/kinds.h"
#include "analyzers/support/linalg.h"

/* The elements of a message times 2^-exponent. Their largest magnitude is in [0.5, 1), so that
 * squares and sums neither overflow nor vanish. Multiply singular values by 2^exponent. */
struct matrix {
    size_t rows, columns; /* one of them 0: no elements */
    uint32_t ndim;        /* of the tensor */
    size_t taps; /* product of its dimensions from the third on: columns = shape[1] * taps */
    int exponent;
    bool finite;      /* false: a NaN or an infinity is among them; `elements` is not filled */
    bool zero;        /* nothing but zeros */
    double *elements; /* row-major, the caller's to overwrite */
};

#define MATRIX_BLOCK 4096u

static inline enum nauha_status matrix_fill(const struct nauha_host *host,
                                            const struct nauha_tensor *tensor,
                                            struct matrix *matrix, struct nauha_error *err) {
    size_t count = 0, bytes = 0;
    if (matrix->rows > INT_MAX || matrix->columns > INT_MAX)
        return host->fail(err, NAUHA_LIMIT, "a matrix of %zu x %zu is too large for LAPACK",
                          matrix->rows, matrix->columns);
    if (__builtin_mul_overflow(matrix->rows, matrix->columns, &count) ||
        __builtin_mul_overflow(count, sizeof(double), &bytes) ||
        !(matrix->elements = malloc(bytes)))
        return host->fail(err, NAUHA_NOMEM, "no memory for a matrix of %zu x %zu", matrix->rows,
                          matrix->columns);
    /* In two halves, as 2^-exponent need not be a double. */
    const int half = matrix->exponent / 2;
    const double first_half = ldexp(1, -half), second_half = ldexp(1, half - matrix->exponent);
    for (size_t first = 0; first < count; first += MATRIX_BLOCK) {
        const size_t n = count - first < MATRIX_BLOCK ? count - first : MATRIX_BLOCK;
        double *block = matrix->elements + first;
        host->to_f64(tensor, first, n, block);
        for (size_t i = 0; i < n; i++)
            block[i] = block[i] * first_half * second_half;
    }
    return NAUHA_OK;
}

/* Reads a message. Caller owns matrix->elements, release with free; they are NULL if the matrix has
 * elements that are not finite, is empty or is zero. */
static inline enum nauha_status matrix_read(const struct nauha_host *host,
                                            struct nauha_message *message, struct matrix *matrix,
                                            struct nauha_error *err) {
    const struct nauha_stats *stats = NULL;
    struct nauha_tensor tensor;
    enum nauha_status status =
        host->stats_of(message, NAUHA_STATISTICS_ZEROS | NAUHA_STATISTICS_RANGE, &stats, err);
    if (status == NAUHA_OK)
        status = host->tensor(message, &tensor, err);
    if (status != NAUHA_OK)
        return status;
    *matrix = (struct matrix){.rows = 1, .columns = 1, .ndim = tensor.ndim, .taps = 1};
    for (uint32_t d = 0; d < tensor.ndim; d++) {
        size_t *side = d == 0 ? &matrix->rows : &matrix->columns;
        *side *= (size_t)tensor.shape[d];
        matrix->taps *= d > 1 ? (size_t)tensor.shape[d] : 1;
    }
    matrix->finite = stats->nans == 0 && stats->infs == 0;
    matrix->zero = stats->count > 0 && stats->zeros == stats->count;
    if (stats->count == 0 || !matrix->finite || matrix->zero)
        return NAUHA_OK;
    frexp(stats->abs_max, &matrix->exponent);
    return matrix_fill(host, &tensor, matrix, err);
}

/* ---- the metric ---- */

struct matrix_metric;

/* Computes the number of a matrix, which is finite, not empty and not zero; its elements may be
 * overwritten. */
typedef enum nauha_status (*matrix_value_fn)(const struct matrix_metric *metric,
                                             struct matrix *matrix, double *value,
                                             struct nauha_error *err);

struct matrix_metric {
    const struct nauha_host *host;
    const struct linalg *linalg;
    matrix_value_fn value;
    double of_zeros, of_nothing; /* the numbers of a zero matrix and of an empty one */
    double tolerance;            /* of iterations */
    size_t exact;                /* matrices up to this smaller dimension are not iterated */
    struct kind_topics topics;
};

/* The parameters of metrics that may use iteration, in this order. */
#define MATRIX_ITERATION_PARAMETERS                                                                \
    {"exact",    NAUHA_PARAMETER_INTEGER,                                                          \
     "256",      0,                                                                                \
     2147483647, "up to this smaller dimension, LAPACK computes all singular values"},             \
    {                                                                                              \
        "tolerance", NAUHA_PARAMETER_REAL, "1e-10", 1e-14, 1e-3,                                   \
            "beyond it, the iteration ends at this residual relative to the singular value"        \
    }

/* The `create` of such a metric. `made` has value, of_zeros and of_nothing. iterates: the metric
 * has the parameters above. */
static inline enum nauha_status
matrix_metric_create(const struct nauha_host *host, const struct nauha_analyzer_config *config,
                     const struct kind_topics_plan *plan, const struct matrix_metric *made,
                     bool iterates, void **self, struct nauha_error *err) {
    struct matrix_metric *metric = malloc(sizeof *metric);
    if (!metric)
        return NAUHA_HOST_NOMEM(host, err);
    *metric = *made;
    metric->host = host;
    if (iterates) {
        metric->exact = (size_t)config->values[0].integer;
        metric->tolerance = config->values[1].real;
    }
    enum nauha_status status = linalg_load(host, &metric->linalg, err);
    if (status == NAUHA_OK)
        status = kind_topics_register(&metric->topics, host, config, plan, err);
    if (status != NAUHA_OK) {
        free(metric);
        return status;
    }
    *self = metric;
    return NAUHA_OK;
}

/* Turns a status of the linear algebra into an error about this matrix. */
static inline enum nauha_status matrix_check(const struct matrix_metric *metric,
                                             const struct matrix *matrix, enum nauha_status status,
                                             struct nauha_error *err) {
    if (status == NAUHA_OK)
        return NAUHA_OK;
    return metric->host->fail(err, status,
                              status == NAUHA_NOMEM
                                  ? "no memory for the singular values of a matrix of %zu x %zu"
                                  : "LAPACK found no singular values of a matrix of %zu x %zu",
                              matrix->rows, matrix->columns);
}

/* All singular values, largest first, times 2^-exponent. Caller owns, release with free. */
static inline enum nauha_status matrix_singular_values(const struct matrix_metric *metric,
                                                       struct matrix *matrix, double **values,
                                                       size_t *count, struct nauha_error *err) {
    *count = matrix->rows < matrix->columns ? matrix->rows : matrix->columns;
    *values = malloc(*count * sizeof **values);
    enum nauha_status status = *values
                                   ? metric->linalg->singular_values(matrix->elements, matrix->rows,
                                                                     matrix->columns, *values)
                                   : NAUHA_NOMEM;
    return matrix_check(metric, matrix, status, err);
}

/* Whether all singular values are computed, instead of single ones by iteration. */
static inline bool matrix_is_small(const struct matrix_metric *metric,
                                   const struct matrix *matrix) {
    return (matrix->rows < matrix->columns ? matrix->rows : matrix->columns) <= metric->exact;
}

/* The largest singular value, times 2^-exponent. */
static inline enum nauha_status matrix_largest(const struct matrix_metric *metric,
                                               struct matrix *matrix, double *largest,
                                               struct nauha_error *err) {
    if (!matrix_is_small(metric, matrix)) {
        enum nauha_status status = metric->linalg->largest(
            matrix->elements, matrix->rows, matrix->columns, metric->tolerance, largest);
        return matrix_check(metric, matrix, status, err);
    }
    double *values = NULL;
    size_t count = 0;
    enum nauha_status status = matrix_singular_values(metric, matrix, &values, &count, err);
    *largest = status == NAUHA_OK ? values[0] : 0;
    free(values);
    return status;
}

/* The `compute` of such a metric; its `destroy` is free. */
static inline enum nauha_status matrix_metric_compute(void *self, struct nauha_bundle *bundle,
                                                      struct nauha_error *err) {
    struct matrix_metric *metric = self;
    const struct nauha_host *host = metric->host;
    struct nauha_message *message = host->bundle_message(bundle, 0);
    const struct nauha_message_info *info = host->info(message);
    struct matrix matrix = {0};
    double value = (double)NAN;
    enum nauha_status status = matrix_read(host, message, &matrix, err);
    if (status == NAUHA_OK && matrix.elements)
        status = metric->value(metric, &matrix, &value, err);
    else if (matrix.finite)
        value = matrix.zero ? metric->of_zeros : metric->of_nothing;
    free(matrix.elements);
    if (status != NAUHA_OK)
        return status;
    const size_t i = kind_topics_find(&metric->topics, info);
    return host->publish_scalar(host, metric->topics.rows[i].topic, info, value, err);
}

#endif
