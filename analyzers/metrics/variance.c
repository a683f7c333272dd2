/* SPDX-License-Identifier: MIT */
/* The unbiased variance of all elements. */
#include "analyzers/support/statistic.h"

static double value(const struct nauha_stats *stats) {
    return stats->count > 1 ? stats->deviations / (double)(stats->count - 1) : (double)NAN;
}

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    static const struct kind_topics_plan plan = {.suffix = "_variance",
                                                 .scope = NAUHA_SCOPE_MODULE,
                                                 .form = NAUHA_FORM_SCALAR,
                                                 .title = "Variance",
                                                 .ylabel = "variance"};
    return statistic_create(host, config, &plan, NAUHA_STATISTICS_DEVIATIONS, 2, value, self, err);
}

NAUHA_ANALYZER(variance) = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "variance",
    .summary = "unbiased variance of all elements",
    .formula = "sum((x - mean(x))^2) / (n - 1); NaN for fewer than two elements",
    .flags = NAUHA_ANALYZER_PER_MODULE | NAUHA_ANALYZER_PER_KIND,
    .min_kinds = 1,
    .max_kinds = KINDS_MAX,
    .create = create,
    .compute = statistic_compute,
    .destroy = free,
};
