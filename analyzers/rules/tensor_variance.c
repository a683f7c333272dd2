/* SPDX-License-Identifier: MIT */
/* Rule: the variance of a tensor leaves the range it should be in. */
#include "analyzers/support/rule.h"

struct tensor_variance {
    struct rule rule;
    double low, high;
};

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    static const struct kind_topics_plan plan = {.suffix = "_tensor_variance",
                                                 .scope = NAUHA_SCOPE_MODULE,
                                                 .form = NAUHA_FORM_SCALAR,
                                                 .title = "Variance",
                                                 .ylabel = "variance",
                                                 .log_y = true};
    enum nauha_status status =
        rule_create(host, config, &plan, sizeof(struct tensor_variance), self, err);
    if (status == NAUHA_OK) {
        struct tensor_variance *variance = *self;
        variance->low = config->values[0].real;
        variance->high = config->values[1].real;
    }
    return status;
}

static enum nauha_status compute(void *self, struct nauha_bundle *bundle, struct nauha_error *err) {
    struct tensor_variance *rule = self;
    const struct nauha_host *host = rule->rule.host;
    struct nauha_message *message = host->bundle_message(bundle, 0);
    const struct nauha_message_info *info = host->info(message);
    const struct nauha_stats *stats = NULL;
    enum nauha_status status = host->stats_of(message, NAUHA_STATISTICS_DEVIATIONS, &stats, err);
    if (status != NAUHA_OK || stats->count < 2)
        return status;
    const double variance = stats->deviations / (double)(stats->count - 1);
    status = rule_publish(&rule->rule, info, variance, err);
    if (status == NAUHA_OK && variance > rule->high)
        status = host->finding(
            host, info, variance, rule->high, "variance",
            "the variance of these values is above the limit: common causes are initial weights "
            "that are too large, a learning rate that is too high, and missing normalization",
            err);
    if (status == NAUHA_OK && variance < rule->low)
        status =
            host->finding(host, info, variance, rule->low, "variance",
                          "these values hardly differ: common causes are initial weights that are "
                          "too small, saturated or dead layers, and an input without information",
                          err);
    return status;
}

static const char *const kinds[] = {"weights", "activations", "weight_gradients", NULL};

static const struct nauha_analyzer_parameter parameters[] = {
    {"min", NAUHA_PARAMETER_REAL, "0", 0, (double)INFINITY, "smallest variance that is allowed"},
    {"max", NAUHA_PARAMETER_REAL, "inf", 0, (double)INFINITY, "largest variance that is allowed"},
};

NAUHA_ANALYZER(tensor_variance) = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "tensor_variance",
    .summary = "a variance is below min or above max; set at least one of them",
    .formula = "sum((x - mean)^2) / (n - 1) < min or > max (SageMaker Debugger: TensorVariance)",
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
