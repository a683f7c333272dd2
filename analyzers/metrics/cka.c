/* SPDX-License-Identifier: MIT */
/* How similar a module's activations on a probe set are from one probe to the next: linear CKA. */
#include "analyzers/support/probe.h"

static double sum_products(const double *a, const double *b, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += a[i] * b[i];
    return sum;
}

/* If there are more neurons than data points, XX' has all that is needed, and is smaller. */
static enum nauha_status view(const struct probe_metric *metric, double *x, size_t rows,
                              size_t columns, struct probe_view *view) {
    const bool gram = columns > rows;
    const size_t side = gram ? rows : columns;
    double *products = malloc(side * side * sizeof *products);
    if (!products) {
        free(x);
        return NAUHA_NOMEM;
    }
    if (gram)
        metric->linalg->gram(x, rows, columns, products);
    else
        metric->linalg->cross(x, columns, x, columns, rows, products);
    const double norm = sqrt(sum_products(products, products, side * side));
    double *kept = gram ? products : x, *other = gram ? x : products;
    free(other);
    if (norm > 0)
        *view = (struct probe_view){
            .rows = rows, .columns = side, .x = kept, .gram = gram, .norm = norm};
    else
        free(kept);
    return NAUHA_OK;
}

static enum nauha_status compare(const struct probe_metric *metric, const struct probe_view *a,
                                 const struct probe_view *b, double *value) {
    if (a->gram != b->gram)
        return NAUHA_OK;
    if (a->gram) {
        *value = sum_products(a->x, b->x, a->rows * a->rows) / (a->norm * b->norm);
        return NAUHA_OK;
    }
    const size_t count = a->columns * b->columns;
    double *product = malloc(count * sizeof *product);
    if (!product)
        return NAUHA_NOMEM;
    metric->linalg->cross(a->x, a->columns, b->x, b->columns, a->rows, product);
    *value = sum_products(product, product, count) / (a->norm * b->norm);
    free(product);
    return NAUHA_OK;
}

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    static const struct nauha_plot plot = {.title =
                                               "Similarity of activations between probes (CKA)",
                                           .xlabel = "step",
                                           .ylabel = "linear CKA",
                                           .y_low = (double)NAN,
                                           .y_high = 1};
    static const struct probe_metric metric = {.view = view, .compare = compare};
    return probe_metric_create(host, config, 0, "cka", &plot, &metric, self, err);
}

static const char *const kinds[] = {"activations", NULL};

static const struct nauha_analyzer_parameter parameters[] = {PROBE_PARAMETERS("flat")};

NAUHA_ANALYZER(cka) = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "cka",
    .summary = "similarity of each module's activations in two probes (linear CKA)",
    .formula =
        "|Y'X|^2 / (|X'X| |Y'Y|), Frobenius norms of the centred activations X in this probe and Y "
        "in the previous one: linear CKA (S. Kornblith, M. Norouzi, H. Lee, G. Hinton 2019); NaN "
        "if a probe is constant or not finite, or if their numbers of data points differ",
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
