/* SPDX-License-Identifier: MIT */
/* The power-law exponent of a weight spectrum, as WeightWatcher fits it. */
#include "analyzers/support/matrix.h"

/* WeightWatcher's constants (0.7.7): below which number eigenvalues count as zero, how many there
 * have to be, and up to how many of them the fit for few eigenvalues is used. */
#define ZERO_EIGENVALUE 1e-5
#define FEWEST 8u
#define FEW 20u

/* ---- the spectrum ---- */

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The part of a convolution's weights at one place of its kernel: [rows][channels]. */
static void copy_tap(const struct matrix *matrix, size_t tap, double *slice) {
    const size_t taps = matrix->taps, pairs = matrix->rows * (matrix->columns / taps);
    for (size_t i = 0; i < pairs; i++)
        slice[i] = matrix->elements[i * taps + tap];
}

/* Logarithms of the nonzero eigenvalues of all slices. Logarithms cannot overflow. */
static enum nauha_status log_spectrum(const struct matrix_metric *metric,
                                      const struct matrix *matrix, double *logs, size_t *count,
                                      struct nauha_error *err) {
    const size_t channels = matrix->columns / matrix->taps;
    const size_t smaller = matrix->rows < channels ? matrix->rows : channels;
    /* WeightWatcher multiplies the weights of convolutions by sqrt(1/2). */
    const double shift = 2 * matrix->exponent * log(2.0) - (matrix->ndim > 2 ? log(2.0) : 0);
    double *slice = malloc(matrix->rows * channels * sizeof *slice);
    double *values = malloc(smaller * sizeof *values);
    enum nauha_status status = slice && values ? NAUHA_OK : NAUHA_NOMEM;
    *count = 0;
    for (size_t tap = 0; tap < matrix->taps && status == NAUHA_OK; tap++) {
        copy_tap(matrix, tap, slice);
        status = metric->linalg->singular_values(slice, matrix->rows, channels, values);
        for (size_t i = 0; i < smaller && status == NAUHA_OK; i++) {
            const double eigenvalue = 2 * log(values[i]) + shift;
            if (eigenvalue > log(ZERO_EIGENVALUE))
                logs[(*count)++] = eigenvalue;
        }
    }
    free(slice);
    free(values);
    return matrix_check(metric, matrix, status, err);
}

/* ---- the fit ---- */

/* The distance of Kolmogorov and Smirnov between the tail from logs[0] on, ascending, and the power
 * law of that exponent. */
static double distance(const double *logs, size_t n, double alpha) {
    double most = 0;
    for (size_t j = 0; j < n; j++) {
        const double apart = logs[j] - logs[0];
        const double law = apart > 0 ? 1 - exp((1 - alpha) * apart) : 0;
        const double off = fabs(law - (double)j / (double)n);
        most = off > most ? off : most;
    }
    return most;
}

/* The exponent of the tail that fits best. If there are few eigenvalues, only tails of FEWEST or
 * more are tried, as far as there are such, and the estimate is the unbiased one. */
static double fit(const double *logs, size_t count) {
    const bool few = count < FEW;
    const size_t shortest = few ? (count < FEWEST ? count : FEWEST) : 2;
    double best = (double)NAN, least = (double)INFINITY, sum = 0;
    size_t first = count;
    if (count < 2)
        return best;
    /* From the shortest tail to the longest; of tails that fit equally well, the longest is
     * taken. */
    while (first-- > 0) {
        const size_t n = count - first;
        sum += logs[first];
        if (n < shortest)
            continue;
        const double apart = sum - (double)n * logs[first];
        if (apart <= 0 && few)
            continue;
        const double alpha = apart > 0 ? 1 + (double)(few ? n - 1 : n) / apart : (double)INFINITY;
        const double off = distance(logs + first, n, alpha);
        if (off <= least) {
            least = off;
            best = alpha;
        }
    }
    return best;
}

/* ---- the metric ---- */

static enum nauha_status value(const struct matrix_metric *metric, struct matrix *matrix,
                               double *value, struct nauha_error *err) {
    const size_t channels = matrix->columns / matrix->taps;
    const size_t most = (matrix->rows < channels ? matrix->rows : channels) * matrix->taps;
    double *logs = malloc(most * sizeof *logs);
    size_t count = 0;
    if (!logs)
        return matrix_check(metric, matrix, NAUHA_NOMEM, err);
    enum nauha_status status = log_spectrum(metric, matrix, logs, &count, err);
    if (status == NAUHA_OK) {
        qsort(logs, count, sizeof *logs, ascending);
        *value = fit(logs, count);
    }
    free(logs);
    return status;
}

/* WeightWatcher leaves out vectors, and matrices of fewer eigenvalues. */
static bool has_spectrum(const struct nauha_message_info *info) {
    if (info->ndim < 2)
        return false;
    double count = (double)(info->shape[0] < info->shape[1] ? info->shape[0] : info->shape[1]);
    for (uint32_t d = 2; d < info->ndim; d++)
        count *= (double)info->shape[d];
    return count >= FEWEST;
}

static enum nauha_status compute(void *self, struct nauha_bundle *bundle, struct nauha_error *err) {
    const struct matrix_metric *metric = self;
    if (!has_spectrum(metric->host->info(metric->host->bundle_message(bundle, 0))))
        return NAUHA_OK;
    return matrix_metric_compute(self, bundle, err);
}

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    static const struct kind_topics_plan plan = {.suffix = "_alpha",
                                                 .scope = NAUHA_SCOPE_MODULE,
                                                 .form = NAUHA_FORM_SCALAR,
                                                 .title = "Power-law exponent of the spectrum",
                                                 .ylabel = "alpha"};
    static const struct matrix_metric metric = {.value = value, .of_zeros = (double)NAN};
    return matrix_metric_create(host, config, &plan, &metric, false, self, err);
}

NAUHA_ANALYZER(alpha) = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "alpha",
    .summary = "power-law exponent of the weight spectrum, as WeightWatcher defines it",
    .formula = "1 + n / sum(log(l_i / l_min)) over the n largest eigenvalues l of A'A, with the n "
               "that makes the Kolmogorov-Smirnov distance from the power law smallest (A. "
               "Clauset, C. R. Shalizi, M. E. J. Newman 2009; C. H. Martin, T. Peng, M. W. Mahoney "
               "2021). For convolutions, the eigenvalues of all slices x[:, :, i, j] are combined. "
               "With fewer than 20 eigenvalues, n - 1 takes the place of n, and n >= 8. There is "
               "no value for vectors and for tensors with fewer than 8 eigenvalues",
    .flags = NAUHA_ANALYZER_PER_MODULE | NAUHA_ANALYZER_PER_KIND,
    .min_kinds = 1,
    .max_kinds = KINDS_MAX,
    .create = create,
    .compute = compute,
    .destroy = free,
    .cost = 80,
};
