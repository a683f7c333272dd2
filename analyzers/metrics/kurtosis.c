/* SPDX-License-Identifier: MIT */
/* How heavy the tails of the distribution of all elements are. */
#include "analyzers/support/moments.h"

static double value(const struct moments *moments) {
    return moments->fourth / (moments->second * moments->second) - 3;
}

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    static const struct kind_topics_plan plan = {.suffix = "_kurtosis",
                                                 .scope = NAUHA_SCOPE_MODULE,
                                                 .form = NAUHA_FORM_SCALAR,
                                                 .title = "Excess kurtosis",
                                                 .ylabel = "excess kurtosis"};
    return moments_create(host, config, &plan, value, self, err);
}

NAUHA_ANALYZER(kurtosis) = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "kurtosis",
    .summary = "excess kurtosis of the distribution of all elements: 0 for a normal one",
    .formula = "m4 / m2^2 - 3 with m_k = mean((x - mean(x))^k), as scipy.stats.kurtosis by default "
               "(Fisher, biased); NaN for a constant tensor and for no elements",
    .flags = NAUHA_ANALYZER_PER_MODULE | NAUHA_ANALYZER_PER_KIND,
    .min_kinds = 1,
    .max_kinds = KINDS_MAX,
    .create = create,
    .compute = moments_compute,
    .destroy = free,
    .cost = 10,
};
