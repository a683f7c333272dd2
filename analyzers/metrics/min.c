/* SPDX-License-Identifier: MIT */
/* The smallest element. */
#include "analyzers/support/statistic.h"

static double value(const struct nauha_stats *stats) {
    return stats->nans > 0 ? (double)NAN : stats->min;
}

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    static const struct kind_topics_plan plan = {.suffix = "_min",
                                                 .scope = NAUHA_SCOPE_MODULE,
                                                 .form = NAUHA_FORM_SCALAR,
                                                 .title = "Minimum",
                                                 .ylabel = "minimum"};
    return statistic_create(host, config, &plan, NAUHA_STATISTICS_RANGE, 1, value, self, err);
}

NAUHA_ANALYZER(min) = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "min",
    .summary = "smallest element",
    .formula = "min(x), as numpy.min: NaN where an element is NaN; NaN for no elements",
    .flags = NAUHA_ANALYZER_PER_MODULE | NAUHA_ANALYZER_PER_KIND,
    .min_kinds = 1,
    .max_kinds = KINDS_MAX,
    .create = create,
    .compute = statistic_compute,
    .destroy = free,
};
