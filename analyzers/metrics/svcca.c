/* SPDX-License-Identifier: MIT */
/* How similar a module's activations on a probe set are from one probe to the next: SVCCA. */
#include "analyzers/support/probe.h"

/* An orthonormal basis of the directions that hold the variance. */
static enum nauha_status view(const struct probe_metric *metric, double *x, size_t rows,
                              size_t columns, struct probe_view *view) {
    const size_t smaller = rows < columns ? rows : columns;
    double *basis = malloc(rows * smaller * sizeof *basis);
    size_t rank = 0;
    enum nauha_status status =
        basis ? metric->linalg->basis(x, rows, columns, metric->fraction, basis, &rank)
              : NAUHA_NOMEM;
    free(x);
    if (status != NAUHA_OK || rank == 0) {
        free(basis);
        return status;
    }
    double *fitted = realloc(basis, rows * rank * sizeof *basis);
    *view = (struct probe_view){.rows = rows, .columns = rank, .x = fitted ? fitted : basis};
    return NAUHA_OK;
}

/* The canonical correlations of two spaces are the singular values of the product of orthonormal
 * bases (A. Bjorck, G. H. Golub 1973). */
static enum nauha_status compare(const struct probe_metric *metric, const struct probe_view *a,
                                 const struct probe_view *b, double *value) {
    const size_t count = a->columns < b->columns ? a->columns : b->columns;
    double *product = malloc(a->columns * b->columns * sizeof *product);
    double *correlations = malloc(count * sizeof *correlations);
    enum nauha_status status = product && correlations ? NAUHA_OK : NAUHA_NOMEM;
    if (status == NAUHA_OK) {
        metric->linalg->cross(a->x, a->columns, b->x, b->columns, a->rows, product);
        status = metric->linalg->singular_values(product, a->columns, b->columns, correlations);
    }
    if (status == NAUHA_OK) {
        double sum = 0;
        for (size_t i = 0; i < count; i++)
            sum += correlations[i] < 1 ? correlations[i] : 1;
        *value = sum / (double)count;
    }
    free(product);
    free(correlations);
    return status;
}

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    static const struct nauha_plot plot = {.title =
                                               "Similarity of activations between probes (SVCCA)",
                                           .xlabel = "step",
                                           .ylabel = "mean canonical correlation",
                                           .y_low = (double)NAN,
                                           .y_high = 1};
    const struct probe_metric metric = {
        .view = view, .compare = compare, .fraction = config->values[0].real};
    return probe_metric_create(host, config, 1, "self_similarity", &plot, &metric, self, err);
}

static const char *const kinds[] = {"activations", NULL};

static const struct nauha_analyzer_parameter parameters[] = {
    {"variance", NAUHA_PARAMETER_REAL, "0.99", 0, 1,
     "fraction of the variance that the directions hold together"},
    PROBE_PARAMETERS("channels"),
};

NAUHA_ANALYZER(svcca) = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "svcca",
    .summary = "similarity of each module's activations in two probes (canonical correlation)",
    .formula = "mean of the canonical correlations between the singular directions that hold 99 % "
               "of the variance of the centred activations, in this probe and the previous one (M. "
               "Raghu, J. Gilmer, J. Yosinski, J. Sohl-Dickstein 2017); NaN if a probe is constant "
               "or not finite, or if their numbers of data points differ",
    .flags = NAUHA_ANALYZER_PER_MODULE,
    .default_kinds = kinds,
    .parameters = parameters,
    .parameter_count = sizeof parameters / sizeof *parameters,
    .create = create,
    .compute = probe_metric_compute,
    .step_finished = probe_metric_step_finished,
    .finish = probe_metric_finish,
    .destroy = probe_metric_free,
};
