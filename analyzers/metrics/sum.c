/* SPDX-License-Identifier: MIT */
/* The sum of all elements. */
#include "analyzers/support/statistic.h"

static double value(const struct nauha_stats *stats) {
    return stats->sum;
}

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    static const struct kind_topics_plan plan = {.suffix = "_sum",
                                                 .scope = NAUHA_SCOPE_MODULE,
                                                 .form = NAUHA_FORM_SCALAR,
                                                 .title = "Sum",
                                                 .ylabel = "sum"};
    return statistic_create(host, config, &plan, NAUHA_STATISTICS_SUM, 1, value, self, err);
}

NAUHA_ANALYZER(sum) = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "sum",
    .summary = "sum of all elements",
    .formula = "sum(x)",
    .flags = NAUHA_ANALYZER_PER_MODULE | NAUHA_ANALYZER_PER_KIND,
    .min_kinds = 1,
    .max_kinds = KINDS_MAX,
    .create = create,
    .compute = statistic_compute,
    .destroy = free,
};
