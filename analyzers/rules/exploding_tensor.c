/* SPDX-License-Identifier: MIT */
/* Rule: elements that are no finite numbers. */
#include "analyzers/support/rule.h"

struct exploding_tensor {
    struct rule rule;
    bool only_nan;
};

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    static const struct kind_topics_plan plan = {.suffix = "_exploding_tensor",
                                                 .scope = NAUHA_SCOPE_MODULE,
                                                 .form = NAUHA_FORM_SCALAR,
                                                 .title = "Elements that are not finite",
                                                 .ylabel = "elements"};
    enum nauha_status status =
        rule_create(host, config, &plan, sizeof(struct exploding_tensor), self, err);
    if (status == NAUHA_OK)
        ((struct exploding_tensor *)*self)->only_nan = config->values[0].integer == 1;
    return status;
}

static enum nauha_status compute(void *self, struct nauha_bundle *bundle, struct nauha_error *err) {
    struct exploding_tensor *exploding = self;
    const struct nauha_host *host = exploding->rule.host;
    struct nauha_message *message = host->bundle_message(bundle, 0);
    const struct nauha_message_info *info = host->info(message);
    const struct nauha_stats *stats = NULL;
    enum nauha_status status = host->stats_of(message, NAUHA_STATISTICS_RANGE, &stats, err);
    if (status != NAUHA_OK)
        return status;
    const double count = (double)(stats->nans + (exploding->only_nan ? 0 : stats->infs));
    status = rule_publish(&exploding->rule, info, count, err);
    if (status != NAUHA_OK || !(count > 0))
        return status;
    return host->finding(host, info, count, 0,
                         exploding->only_nan ? "nan elements" : "nan or inf elements",
                         "the values are no longer finite, and the network learns nothing from "
                         "here on: common causes are a learning rate that is too high, missing "
                         "gradient clipping, a division by 0 or a logarithm of 0, overflow in half "
                         "precision, and bad input data; the first place listed is where it began",
                         err);
}

static const char *const kinds[] = {
    "input_data", "weights",         "biases",           "activations",    "network_output",
    "loss",       "layer_gradients", "weight_gradients", "bias_gradients", NULL};

static const struct nauha_analyzer_parameter parameters[] = {
    {"only_nan", NAUHA_PARAMETER_INTEGER, "0", 0, 1, "1: infinite elements are allowed"},
};

NAUHA_ANALYZER(exploding_tensor) = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "exploding_tensor",
    .summary = "there are elements that are nan or infinite",
    .formula = "count(isnan(x) or isinf(x)) > 0 (SageMaker Debugger: ExplodingTensor)",
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
