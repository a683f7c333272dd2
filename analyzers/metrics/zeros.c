/* SPDX-License-Identifier: MIT */
/* The fraction of elements that are 0, or of magnitude at most eps. */
#include "analyzers/support/blocks.h"
#include "analyzers/support/kinds.h"

struct zeros {
    const struct nauha_host *host;
    double eps;
    struct kind_topics topics;
};

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    struct zeros *zeros = calloc(1, sizeof *zeros);
    if (!zeros)
        return NAUHA_HOST_NOMEM(host, err);
    zeros->host = host;
    zeros->eps = config->values[0].real;
    char suffix[48] = "_zeros", note[48] = "";
    if (zeros->eps > 0) {
        snprintf(suffix, sizeof suffix, "_zeros%g", zeros->eps);
        snprintf(note, sizeof note, " (|x| <= %g)", zeros->eps);
    }
    const struct kind_topics_plan plan = {.suffix = suffix,
                                          .scope = NAUHA_SCOPE_MODULE,
                                          .form = NAUHA_FORM_SCALAR,
                                          .title = "Fraction of zeros",
                                          .note = note,
                                          .ylabel = "fraction",
                                          .axis = KIND_AXIS_FRACTION};
    enum nauha_status status = kind_topics_register(&zeros->topics, host, config, &plan, err);
    if (status != NAUHA_OK) {
        free(zeros);
        return status;
    }
    *self = zeros;
    return NAUHA_OK;
}

struct small_count {
    double eps;
    uint64_t count;
};

static void count_small(void *context, const double *x, size_t n, uint64_t first) {
    (void)first;
    struct small_count *small = context;
    for (size_t i = 0; i < n; i++)
        small->count += fabs(x[i]) <= small->eps;
}

static enum nauha_status compute(void *self, struct nauha_bundle *bundle, struct nauha_error *err) {
    struct zeros *zeros = self;
    const struct nauha_host *host = zeros->host;
    struct nauha_message *message = host->bundle_message(bundle, 0);
    const struct nauha_message_info *info = host->info(message);
    const struct nauha_stats *stats = NULL;
    enum nauha_status status = host->stats_of(message, NAUHA_STATISTICS_ZEROS, &stats, err);
    if (status != NAUHA_OK)
        return status;
    struct small_count small = {.eps = zeros->eps, .count = stats->zeros};
    if (zeros->eps > 0) {
        small.count = 0;
        status = for_each_block(host, message, count_small, &small, err);
        if (status != NAUHA_OK)
            return status;
    }
    const size_t i = kind_topics_find(&zeros->topics, info);
    return host->publish_scalar(host, zeros->topics.rows[i].topic, info,
                                (double)small.count / (double)stats->count, err);
}

static const struct nauha_analyzer_parameter parameters[] = {
    {"eps", NAUHA_PARAMETER_REAL, "0", 0, (double)INFINITY,
     "largest magnitude of elements that count as 0"},
};

NAUHA_ANALYZER(zeros) = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "zeros",
    .summary = "fraction of elements that are 0, or of magnitude at most eps",
    .formula = "count(|x| <= eps) / n; NaN for an empty tensor",
    .flags = NAUHA_ANALYZER_PER_MODULE | NAUHA_ANALYZER_PER_KIND | NAUHA_ANALYZER_STATISTICS,
    .min_kinds = 1,
    .max_kinds = KINDS_MAX,
    .parameters = parameters,
    .parameter_count = sizeof parameters / sizeof *parameters,
    .create = create,
    .compute = compute,
    .destroy = free,
};
