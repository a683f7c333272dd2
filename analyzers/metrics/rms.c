/* SPDX-License-Identifier: MIT */
/* The root of the mean square. */
#include "analyzers/support/statistic.h"

static double value(const struct nauha_stats *stats) {
    return sqrt(stats->sum_squares / (double)stats->count);
}

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    static const struct kind_topics_plan plan = {.suffix = "_rms",
                                                 .scope = NAUHA_SCOPE_MODULE,
                                                 .form = NAUHA_FORM_SCALAR,
                                                 .title = "Root mean square",
                                                 .ylabel = "rms",
                                                 .log_y = true};
    return statistic_create(host, config, &plan, NAUHA_STATISTICS_SUM_SQUARES, 1, value, self, err);
}

NAUHA_ANALYZER(rms) = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "rms",
    .summary = "root of the mean square of all elements",
    .formula = "sqrt(sum(x^2) / n); NaN for no elements",
    .flags = NAUHA_ANALYZER_PER_MODULE | NAUHA_ANALYZER_PER_KIND,
    .min_kinds = 1,
    .max_kinds = KINDS_MAX,
    .create = create,
    .compute = statistic_compute,
    .destroy = free,
};
