/* SPDX-License-Identifier: MIT */
/* The ratio of two L2 norms, such as that of the updates and the weights. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "analyzers/support/scaled.h"

struct ratio {
    const struct nauha_host *host;
    uint32_t topic;
};

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    char name[4 * NAUHA_NAME_MAX], title[4 * NAUHA_NAME_MAX];
    snprintf(name, sizeof name, "%s_%s_ratio", config->kinds[0], config->kinds[1]);
    snprintf(title, sizeof title, "Ratio of the norms of %s and %s", config->kinds[0],
             config->kinds[1]);
    const struct nauha_plot plot = {.title = title,
                                    .xlabel = "step",
                                    .ylabel = "ratio",
                                    .y_low = (double)NAN,
                                    .y_high = (double)NAN,
                                    .log_y = true};
    struct ratio *ratio = calloc(1, sizeof *ratio);
    if (!ratio)
        return NAUHA_HOST_NOMEM(host, err);
    ratio->host = host;
    enum nauha_status status = host->register_topic(host, name, NAUHA_SCOPE_MODULE,
                                                    NAUHA_FORM_SCALAR, &plot, &ratio->topic, err);
    if (status != NAUHA_OK) {
        free(ratio);
        return status;
    }
    *self = ratio;
    return NAUHA_OK;
}

/* Stamps are those of the first kind. Where that is there once a step, as weights are, the other
 * kind tells the calls apart. */
static enum nauha_status compute(void *self, struct nauha_bundle *bundle, struct nauha_error *err) {
    const struct ratio *ratio = self;
    const struct nauha_host *host = ratio->host;
    struct scaled of[2];
    for (size_t i = 0; i < 2; i++) {
        enum nauha_status status = scaled_stats(host, host->bundle_message(bundle, i),
                                                NAUHA_STATISTICS_SUM_SQUARES, &of[i], err);
        if (status != NAUHA_OK)
            return status;
    }
    const double value = sqrt(of[0].stats.sum_squares) / sqrt(of[1].stats.sum_squares);
    struct nauha_message_info stamps = *host->info(host->bundle_message(bundle, 0));
    if (stamps.call == 0)
        stamps.call = host->info(host->bundle_message(bundle, 1))->call;
    return host->publish_scalar(host, ratio->topic, &stamps,
                                ldexp(value, of[0].exponent - of[1].exponent), err);
}

NAUHA_ANALYZER(ratio) = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "ratio",
    .summary = "ratio of the L2 norms of tensors of two kinds",
    .formula = "sqrt(sum(x1^2)) / sqrt(sum(x2^2)) for two tensors x1 and x2 of the same module "
               "and step that belong together (see Bundles in docs/messages.md)",
    .flags = NAUHA_ANALYZER_SYNCHRONIZED | NAUHA_ANALYZER_PER_MODULE | NAUHA_ANALYZER_STATISTICS,
    .min_kinds = 2,
    .max_kinds = 2,
    .create = create,
    .compute = compute,
    .destroy = free,
};
