/* SPDX-License-Identifier: MIT */
/* How lopsided the distribution of all elements is. */
#include "analyzers/support/moments.h"

static double value(const struct moments *moments) {
    return moments->third / (moments->second * sqrt(moments->second));
}

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    static const struct kind_topics_plan plan = {.suffix = "_skewness",
                                                 .scope = NAUHA_SCOPE_MODULE,
                                                 .form = NAUHA_FORM_SCALAR,
                                                 .title = "Skewness",
                                                 .ylabel = "skewness"};
    return moments_create(host, config, &plan, value, self, err);
}

NAUHA_ANALYZER(skewness) = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "skewness",
    .summary = "skewness of the distribution of all elements",
    .formula =
        "m3 / m2^(3/2) with m_k = mean((x - mean(x))^k), as scipy.stats.skew by default (biased); "
        "NaN for a constant tensor and for no elements",
    .flags = NAUHA_ANALYZER_PER_MODULE | NAUHA_ANALYZER_PER_KIND,
    .min_kinds = 1,
    .max_kinds = KINDS_MAX,
    .create = create,
    .compute = moments_compute,
    .destroy = free,
    .cost = 10,
};
