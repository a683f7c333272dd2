/* SPDX-License-Identifier: MIT */
/* The mean of all elements. */
#include "analyzers/kinds.h"

struct mean {
    const struct nauha_host *host;
    struct kind_topics topics;
};

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    static const struct kind_topics_plan plan = {.suffix = "_mean",
                                                 .scope = NAUHA_SCOPE_MODULE,
                                                 .form = NAUHA_FORM_SCALAR,
                                                 .title = "Mean",
                                                 .ylabel = "mean"};
    struct mean *mean = calloc(1, sizeof *mean);
    if (!mean)
        return host->fail(err, NAUHA_NOMEM, "out of memory");
    mean->host = host;
    enum nauha_status status = kind_topics_register(&mean->topics, host, config, &plan, err);
    if (status != NAUHA_OK) {
        free(mean);
        return status;
    }
    *self = mean;
    return NAUHA_OK;
}

static enum nauha_status compute(void *self, struct nauha_bundle *bundle, struct nauha_error *err) {
    struct mean *mean = self;
    const struct nauha_host *host = mean->host;
    struct nauha_message *message = host->bundle_message(bundle, 0);
    const struct nauha_message_info *info = host->info(message);
    const struct nauha_stats *stats = NULL;
    enum nauha_status status = host->stats(message, &stats, err);
    if (status != NAUHA_OK)
        return status;

    const size_t i = kind_topics_find(&mean->topics, info);
    return host->publish_scalar(host, mean->topics.rows[i].topic, info, stats->mean, err);
}

NAUHA_ANALYZER(mean) = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "mean",
    .summary = "mean of all elements",
    .formula = "sum(x) / n; NaN for no elements",
    .flags = NAUHA_ANALYZER_PER_MODULE,
    .min_kinds = 1,
    .max_kinds = KINDS_MAX,
    .create = create,
    .compute = compute,
    .destroy = free,
};
