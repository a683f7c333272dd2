/* SPDX-License-Identifier: MIT */
/* The sum of all elements. */
#include "analyzers/kinds.h"

struct sum {
    const struct nauha_host *host;
    struct kind_topics topics;
};

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    static const struct kind_topics_plan plan = {.suffix = "_sum",
                                                 .scope = NAUHA_SCOPE_MODULE,
                                                 .form = NAUHA_FORM_SCALAR,
                                                 .title = "Sum",
                                                 .ylabel = "sum"};
    struct sum *sum = calloc(1, sizeof *sum);
    if (!sum)
        return host->fail(err, NAUHA_NOMEM, "out of memory");
    sum->host = host;
    enum nauha_status status = kind_topics_register(&sum->topics, host, config, &plan, err);
    if (status != NAUHA_OK) {
        free(sum);
        return status;
    }
    *self = sum;
    return NAUHA_OK;
}

static enum nauha_status compute(void *self, struct nauha_bundle *bundle, struct nauha_error *err) {
    struct sum *sum = self;
    const struct nauha_host *host = sum->host;
    struct nauha_message *message = host->bundle_message(bundle, 0);
    const struct nauha_message_info *info = host->info(message);
    const struct nauha_stats *stats = NULL;
    enum nauha_status status = host->stats(message, &stats, err);
    if (status != NAUHA_OK)
        return status;

    const size_t i = kind_topics_find(&sum->topics, info);
    return host->publish_scalar(host, sum->topics.rows[i].topic, info, stats->sum, err);
}

NAUHA_ANALYZER(sum) = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "sum",
    .summary = "sum of all elements",
    .formula = "sum(x)",
    .flags = NAUHA_ANALYZER_PER_MODULE,
    .min_kinds = 1,
    .max_kinds = KINDS_MAX,
    .create = create,
    .compute = compute,
    .destroy = free,
};
