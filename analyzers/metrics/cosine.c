/* SPDX-License-Identifier: MIT */
/* The cosine of the angle between a tensor and the one of the same key before it. */
#include "analyzers/support/kept.h"

struct cosine {
    const struct nauha_host *host;
    struct kind_topics topics;
    struct kept_tensors last;
};

static void destroy(void *self) {
    struct cosine *cosine = self;
    kept_tensors_fini(&cosine->last);
    free(cosine);
}

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    static const struct kind_topics_plan plan = {.suffix = "_cosine",
                                                 .scope = NAUHA_SCOPE_MODULE,
                                                 .form = NAUHA_FORM_SCALAR,
                                                 .title = "Cosine between steps",
                                                 .ylabel = "cosine"};
    struct cosine *cosine = calloc(1, sizeof *cosine);
    if (!cosine)
        return NAUHA_HOST_NOMEM(host, err);
    cosine->host = host;
    kept_tensors_init(&cosine->last, host, config->values[0].integer);
    enum nauha_status status = kind_topics_register(&cosine->topics, host, config, &plan, err);
    if (status != NAUHA_OK) {
        destroy(cosine);
        return status;
    }
    *self = cosine;
    return NAUHA_OK;
}

struct products {
    double factor, earlier_factor;
    struct block_sum sum;
};

static void add_products(void *context, const double *x, const double *earlier, size_t n) {
    struct products *products = context;
    double block[BLOCK];
    for (size_t i = 0; i < n; i++)
        block[i] = x[i] * products->factor * (earlier[i] * products->earlier_factor);
    block_sum_add(&products->sum, block, n);
}

/* Keeps rounding errors from exceeding 1. */
static double cosine_of(double product, double sum_squares, double earlier) {
    const double value = product / (sqrt(sum_squares) * sqrt(earlier));
    return fabs(value) > 1 ? copysign(1, value) : value;
}

static enum nauha_status compute(void *self, struct nauha_bundle *bundle, struct nauha_error *err) {
    struct cosine *cosine = self;
    const struct nauha_host *host = cosine->host;
    struct nauha_message *message = host->bundle_message(bundle, 0);
    const struct nauha_message_info *info = host->info(message);
    struct scaled squares;
    enum nauha_status status =
        scaled_stats(host, message, NAUHA_STATISTICS_SUM_SQUARES, &squares, err);
    if (status != NAUHA_OK)
        return status;
    struct kept *last = kept_tensors_get(&cosine->last, info);
    if (!last)
        return NAUHA_HOST_NOMEM(host, err);
    if (kept_is_alike(last, info)) {
        struct products products = {.factor = scaled_factor(squares.exponent),
                                    .earlier_factor = scaled_factor(last->squares.exponent)};
        status = kept_tensors_compare(&cosine->last, last, message, add_products, &products, err);
        if (status != NAUHA_OK)
            return status;
        const double value = cosine_of(block_sum_total(&products.sum), squares.stats.sum_squares,
                                       last->squares.stats.sum_squares);
        const size_t i = kind_topics_find(&cosine->topics, info);
        status = host->publish_scalar(host, cosine->topics.rows[i].topic, info, value, err);
        if (status != NAUHA_OK)
            return status;
    }
    return kept_tensors_keep(&cosine->last, last, message, &squares, err);
}

static const struct nauha_analyzer_parameter parameters[] = {KEPT_PARAMETER};

NAUHA_ANALYZER(cosine) = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "cosine",
    .summary = "cosine of the angle between a tensor and its previous value",
    .formula = "sum(x_t x_{t-1}) / (|x_t|_2 |x_{t-1}|_2) from the second value of each tensor on; "
               "NaN if one of them is 0",
    .flags = NAUHA_ANALYZER_PER_MODULE | NAUHA_ANALYZER_PER_KIND,
    .min_kinds = 1,
    .max_kinds = KINDS_MAX,
    .parameters = parameters,
    .parameter_count = sizeof parameters / sizeof *parameters,
    .create = create,
    .compute = compute,
    .destroy = destroy,
    .cost = 10,
};
