/* SPDX-License-Identifier: MIT */
/* Rule: gradients too small to move the weights. */
#include "analyzers/support/rule.h"

struct vanishing_gradient {
    struct rule rule;
    double threshold;
};

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    static const struct kind_topics_plan plan = {.suffix = "_vanishing_gradient",
                                                 .scope = NAUHA_SCOPE_MODULE,
                                                 .form = NAUHA_FORM_SCALAR,
                                                 .title = "Mean magnitude",
                                                 .ylabel = "mean |gradient|",
                                                 .log_y = true};
    enum nauha_status status =
        rule_create(host, config, &plan, sizeof(struct vanishing_gradient), self, err);
    if (status == NAUHA_OK)
        ((struct vanishing_gradient *)*self)->threshold = config->values[0].real;
    return status;
}

static enum nauha_status compute(void *self, struct nauha_bundle *bundle, struct nauha_error *err) {
    struct vanishing_gradient *vanishing = self;
    const struct nauha_host *host = vanishing->rule.host;
    struct nauha_message *message = host->bundle_message(bundle, 0);
    const struct nauha_message_info *info = host->info(message);
    const struct nauha_stats *stats = NULL;
    enum nauha_status status = host->stats_of(message, NAUHA_STATISTICS_SUM_ABS, &stats, err);
    if (status != NAUHA_OK || stats->count == 0)
        return status;
    const double mean = stats->sum_abs / (double)stats->count;
    status = rule_publish(&vanishing->rule, info, mean, err);
    if (status != NAUHA_OK || !(mean < vanishing->threshold))
        return status;
    return host->finding(host, info, mean, vanishing->threshold, "mean |gradient|",
                         "gradients vanish on their way to these layers, so the layers do not "
                         "learn: common causes are saturating activations, dead ReLUs, a network "
                         "that is too deep without skip connections or normalization, initial "
                         "weights that are too small, and a loss that is already 0",
                         err);
}

static const char *const kinds[] = {"weight_gradients", NULL};

static const struct nauha_analyzer_parameter parameters[] = {
    {"threshold", NAUHA_PARAMETER_REAL, "1e-7", 0, (double)INFINITY,
     "mean |g| below which a gradient has vanished"},
};

NAUHA_ANALYZER(vanishing_gradient) = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "vanishing_gradient",
    .summary = "gradients are too small to move the weights",
    .formula = "sum(|g|) / n < threshold (SageMaker Debugger: VanishingGradient)",
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
