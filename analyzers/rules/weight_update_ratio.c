/* SPDX-License-Identifier: MIT */
/* Rule: steps that are too large or too small for the weights they change. */
#include "analyzers/support/rule.h"
#include "analyzers/support/scaled.h"

struct weight_update_ratio {
    struct rule rule;
    double large, small, epsilon;
};

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    struct weight_update_ratio *ratio = rule_new(host, sizeof *ratio);
    if (!ratio)
        return NAUHA_HOST_NOMEM(host, err);
    ratio->large = config->values[0].real;
    ratio->small = config->values[1].real;
    ratio->epsilon = config->values[2].real;
    static const struct nauha_plot plot = {.title = "Norm of the updates over that of the weights",
                                           .xlabel = "step",
                                           .ylabel = "ratio",
                                           .y_low = (double)NAN,
                                           .y_high = (double)NAN,
                                           .log_y = true};
    enum nauha_status status =
        host->register_topic(host, "weight_update_ratio", NAUHA_SCOPE_MODULE, NAUHA_FORM_SCALAR,
                             &plot, &ratio->rule.topic, err);
    if (status != NAUHA_OK) {
        free(ratio);
        return status;
    }
    *self = ratio;
    return NAUHA_OK;
}

static enum nauha_status compute(void *self, struct nauha_bundle *bundle, struct nauha_error *err) {
    const struct weight_update_ratio *rule = self;
    const struct nauha_host *host = rule->rule.host;
    struct scaled updates, weights;
    const struct nauha_message_info *info = host->info(host->bundle_message(bundle, 0));
    enum nauha_status status = scaled_stats(host, host->bundle_message(bundle, 0),
                                            NAUHA_STATISTICS_SUM_SQUARES, &updates, err);
    if (status == NAUHA_OK)
        status = scaled_stats(host, host->bundle_message(bundle, 1), NAUHA_STATISTICS_SUM_SQUARES,
                              &weights, err);
    if (status != NAUHA_OK || updates.stats.count == 0)
        return status;
    const double size = sqrt(weights.stats.sum_squares) + ldexp(rule->epsilon, -weights.exponent);
    const double ratio =
        ldexp(sqrt(updates.stats.sum_squares) / size, updates.exponent - weights.exponent);
    status = host->publish_scalar(host, rule->rule.topic, info, ratio, err);
    if (status == NAUHA_OK && ratio > rule->large)
        status = host->finding(host, info, ratio, rule->large, "|update| / |weights|",
                               "one step replaces these weights rather than improving them: common "
                               "causes are a learning rate that is too high, exploding gradients, "
                               "and weights that were initialized with 0",
                               err);
    if (status == NAUHA_OK && ratio < rule->small)
        status =
            host->finding(host, info, ratio, rule->small, "|update| / |weights|",
                          "these weights do not change: they are frozen or were not given to the "
                          "optimizer, the learning rate is too low, or the gradients vanish",
                          err);
    return status;
}

static const char *const kinds[] = {"weight_updates", "weights", NULL};

static const struct nauha_analyzer_parameter parameters[] = {
    {"large", NAUHA_PARAMETER_REAL, "10", 0, (double)INFINITY, "largest ratio that is allowed"},
    {"small", NAUHA_PARAMETER_REAL, "1e-8", 0, (double)INFINITY, "smallest ratio that is allowed"},
    {"epsilon", NAUHA_PARAMETER_REAL, "1e-9", 0, (double)INFINITY,
     "added to the norm of the weights, because it may be 0"},
};

NAUHA_ANALYZER(weight_update_ratio) = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "weight_update_ratio",
    .summary = "steps are too large or too small for the weights they change",
    .formula = "|u| / (|w| + epsilon) > large or < small, with |x| = sqrt(sum(x^2)) (SageMaker "
               "Debugger: WeightUpdateRatio)",
    .flags = NAUHA_ANALYZER_RULE | NAUHA_ANALYZER_STATISTICS | NAUHA_ANALYZER_SYNCHRONIZED |
             NAUHA_ANALYZER_PER_MODULE | NAUHA_ANALYZER_TRAINED,
    .default_kinds = kinds,
    .parameters = parameters,
    .parameter_count = sizeof parameters / sizeof *parameters,
    .create = create,
    .compute = compute,
    .destroy = free,
};
