/* SPDX-License-Identifier: MIT */
/* Rule: layers of ReLUs that have died. */
#include "analyzers/support/units.h"

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    static const struct kind_topics_plan plan = {.suffix = "_dead_relu",
                                                 .scope = NAUHA_SCOPE_MODULE,
                                                 .form = NAUHA_FORM_SCALAR,
                                                 .title = "Dead ReLUs",
                                                 .ylabel = "dead units (%)"};
    return units_rule_create(host, config, &plan, sizeof(struct units_rule), self, err);
}

/* NaNs are reported by another rule. */
static bool is_active(const void *context, double x) {
    (void)context;
    return !(x <= 0);
}

static enum nauha_status compute(void *self, struct nauha_bundle *bundle, struct nauha_error *err) {
    struct units_rule *rule = self;
    struct nauha_message *message = rule->rule.host->bundle_message(bundle, 0);
    if (!units_of_class(rule, rule->rule.host->info(message)->module_class))
        return NAUHA_OK;
    return units_judge(rule, message, is_active, NULL, "% of dead units",
                       "these ReLUs output 0 for every input, so no gradient passes and they will "
                       "not recover: common causes are a learning rate that is too high, a bias "
                       "far below 0, and a poor initialization; leaky variants do not die",
                       err);
}

static const char *const kinds[] = {"activations", NULL};

static const struct nauha_analyzer_parameter parameters[] = {
    UNITS_PARAMETERS("ReLU,ReLU6", "dead"),
};

NAUHA_ANALYZER(dead_relu) = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "dead_relu",
    .summary = "too many units of a ReLU layer are never active",
    .formula = "100 count(units with 100 mean(x > 0) < inactivity) / units > layer, over enough "
               "batches for 100 / inactivity observations of every unit; a unit is an index of "
               "dimension 1 (SageMaker Debugger: DeadRelu)",
    .flags = NAUHA_ANALYZER_RULE | NAUHA_ANALYZER_PER_MODULE,
    .min_kinds = 1,
    .max_kinds = KINDS_MAX,
    .default_kinds = kinds,
    .parameters = parameters,
    .parameter_count = sizeof parameters / sizeof *parameters,
    .create = create,
    .compute = compute,
    .destroy = units_rule_free,
};
