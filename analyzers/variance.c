/* SPDX-License-Identifier: MIT */
/* The unbiased variance of all elements. */
#include <math.h>

#include "analyzers/kinds.h"

struct variance {
    const struct nauha_host *host;
    struct kind_topics topics;
};

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    static const struct kind_topics_plan plan = {.suffix = "_variance",
                                                 .scope = NAUHA_SCOPE_MODULE,
                                                 .form = NAUHA_FORM_SCALAR,
                                                 .title = "Variance",
                                                 .ylabel = "variance"};
    struct variance *variance = calloc(1, sizeof *variance);
    if (!variance)
        return host->fail(err, NAUHA_NOMEM, "out of memory");
    variance->host = host;
    enum nauha_status status = kind_topics_register(&variance->topics, host, config, &plan, err);
    if (status != NAUHA_OK) {
        free(variance);
        return status;
    }
    *self = variance;
    return NAUHA_OK;
}

static enum nauha_status compute(void *self, struct nauha_bundle *bundle, struct nauha_error *err) {
    struct variance *variance = self;
    const struct nauha_host *host = variance->host;
    struct nauha_message *message = host->bundle_message(bundle, 0);
    const struct nauha_message_info *info = host->info(message);
    const struct nauha_stats *stats = NULL;
    enum nauha_status status = host->stats(message, &stats, err);
    if (status != NAUHA_OK)
        return status;
    const double value =
        stats->count > 1 ? stats->deviations / (double)(stats->count - 1) : (double)NAN;
    const size_t i = kind_topics_find(&variance->topics, info);
    return host->publish_scalar(host, variance->topics.rows[i].topic, info, value, err);
}

NAUHA_ANALYZER(variance) = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "variance",
    .summary = "unbiased variance of all elements",
    .formula = "sum((x - mean(x))^2) / (n - 1); NaN for fewer than two elements",
    .flags = NAUHA_ANALYZER_PER_MODULE,
    .min_kinds = 1,
    .max_kinds = KINDS_MAX,
    .create = create,
    .compute = compute,
    .destroy = free,
};
