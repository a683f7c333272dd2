/* SPDX-License-Identifier: MIT */
/* Rule: tensors of zeros. */
#include "analyzers/support/rule.h"

struct all_zero {
    struct rule rule;
    double threshold; /* per cent */
};

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    static const struct kind_topics_plan plan = {.suffix = "_all_zero",
                                                 .scope = NAUHA_SCOPE_MODULE,
                                                 .form = NAUHA_FORM_SCALAR,
                                                 .title = "Elements that are 0",
                                                 .ylabel = "elements that are 0 (%)"};
    enum nauha_status status = rule_create(host, config, &plan, sizeof(struct all_zero), self, err);
    if (status == NAUHA_OK)
        ((struct all_zero *)*self)->threshold = config->values[0].real;
    return status;
}

static enum nauha_status compute(void *self, struct nauha_bundle *bundle, struct nauha_error *err) {
    struct all_zero *all_zero = self;
    const struct nauha_host *host = all_zero->rule.host;
    struct nauha_message *message = host->bundle_message(bundle, 0);
    const struct nauha_message_info *info = host->info(message);
    const struct nauha_stats *stats = NULL;
    enum nauha_status status = host->stats_of(message, NAUHA_STATISTICS_ZEROS, &stats, err);
    if (status != NAUHA_OK || stats->count == 0)
        return status;
    const double zeros = 100 * (double)stats->zeros / (double)stats->count;
    status = rule_publish(&all_zero->rule, info, zeros, err);
    if (status != NAUHA_OK || !(zeros >= all_zero->threshold))
        return status;
    return host->finding(
        host, info, zeros, all_zero->threshold, "% of elements that are 0",
        "no signal passes through this tensor: common causes are weights that were initialized "
        "with 0, a dead layer, an input that was masked or loaded wrongly, and a part of the "
        "network that the loss does not depend on",
        err);
}

static const char *const kinds[] = {"input_data",      "weights",          "activations",
                                    "layer_gradients", "weight_gradients", NULL};

static const struct nauha_analyzer_parameter parameters[] = {
    {"threshold", NAUHA_PARAMETER_REAL, "100", 0, 100,
     "percentage of zeros from which the tensor counts as zero"},
};

NAUHA_ANALYZER(all_zero) = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "all_zero",
    .summary = "a tensor consists of zeros",
    .formula = "100 count(x == 0) / n >= threshold (SageMaker Debugger: AllZero)",
    .flags = NAUHA_ANALYZER_RULE | NAUHA_ANALYZER_PER_MODULE | NAUHA_ANALYZER_STATISTICS,
    .min_kinds = 1,
    .max_kinds = KINDS_MAX,
    .default_kinds = kinds,
    .parameters = parameters,
    .parameter_count = sizeof parameters / sizeof *parameters,
    .create = create,
    .compute = compute,
    .destroy = free,
};
