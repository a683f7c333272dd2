/* SPDX-License-Identifier: MIT */
/* Rule: classes that are rare among the labels, and what becomes of them. */
#include "analyzers/support/confusion.h"
#include "analyzers/support/rule.h"

struct class_imbalance {
    struct rule rule;
    double imbalance, misprediction;
    uint64_t samples;
    struct confusion confusion;
};

static void destroy(void *self) {
    struct class_imbalance *rule = self;
    free(rule->confusion.counts);
    free(rule);
}

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    struct class_imbalance *rule = rule_new(host, sizeof *rule);
    if (!rule)
        return NAUHA_HOST_NOMEM(host, err);
    rule->imbalance = config->values[0].real;
    rule->misprediction = config->values[1].real;
    rule->samples = (uint64_t)config->values[2].integer;
    enum nauha_status status =
        rule_register(&rule->rule, "class_imbalance",
                      "Labels of the most frequent class per label of the rarest", "ratio", err);
    if (status != NAUHA_OK) {
        free(rule);
        return status;
    }
    *self = rule;
    return NAUHA_OK;
}

/* Rare classes that are hardly ever recognised. */
static enum nauha_status judge_rare(const struct class_imbalance *rule,
                                    const struct nauha_message_info *info, uint64_t most,
                                    struct nauha_error *err) {
    const struct nauha_host *host = rule->rule.host;
    const struct confusion *confusion = &rule->confusion;
    enum nauha_status status = NAUHA_OK;
    for (size_t i = 0; i < confusion->classes && status == NAUHA_OK; i++) {
        char measure[96];
        const double samples = (double)confusion_samples(confusion, i);
        const double wrong = 1 - (double)confusion->counts[i * confusion->classes + i] / samples;
        if (samples * rule->imbalance >= (double)most || !(wrong > rule->misprediction))
            continue;
        snprintf(measure, sizeof measure, "fraction of class %zu mispredicted", i);
        status = host->finding(host, info, wrong, rule->misprediction, measure,
                               "classes that are rare among the labels are not learned: sample "
                               "them more often, or weight their losses",
                               err);
    }
    return status;
}

static enum nauha_status judge(const struct class_imbalance *rule,
                               const struct nauha_message_info *info, struct nauha_error *err) {
    const struct nauha_host *host = rule->rule.host;
    uint64_t most = 0, least = UINT64_MAX;
    for (size_t i = 0; i < rule->confusion.classes; i++) {
        const uint64_t samples = confusion_samples(&rule->confusion, i);
        most = samples > most ? samples : most;
        least = samples < least ? samples : least;
    }
    const double ratio = (double)most / (double)least;
    enum nauha_status status = host->publish_scalar(host, rule->rule.topic, info, ratio, err);
    if (status != NAUHA_OK || !(ratio > rule->imbalance))
        return status;
    status = host->finding(
        host, info, ratio, rule->imbalance,
        "labels of the most frequent class per label of the rarest",
        "some classes are far rarer than others, so the network can do well without learning them: "
        "sample them more often, weight their losses, or check whether the data are shuffled",
        err);
    return status == NAUHA_OK ? judge_rare(rule, info, most, err) : status;
}

static enum nauha_status compute(void *self, struct nauha_bundle *bundle, struct nauha_error *err) {
    struct class_imbalance *rule = self;
    const struct nauha_host *host = rule->rule.host;
    enum nauha_status status = confusion_add(host, &rule->confusion, bundle, err);
    if (status != NAUHA_OK || !confusion_is_full(&rule->confusion, rule->samples))
        return status;
    status = judge(rule, host->info(host->bundle_message(bundle, 0)), err);
    confusion_clear(&rule->confusion);
    return status;
}

static const char *const kinds[] = {"network_output", "input_labels", NULL};

static const struct nauha_analyzer_parameter parameters[] = {
    {"threshold_imbalance", NAUHA_PARAMETER_REAL, "10", 1, (double)INFINITY,
     "largest ratio of the most frequent class to the rarest that is allowed"},
    {"threshold_misprediction", NAUHA_PARAMETER_REAL, "0.7", 0, 1,
     "largest fraction of a rare class that may be mispredicted"},
    {"samples", NAUHA_PARAMETER_INTEGER, "500", 1, 9007199254740992.0,
     "number of labels that are counted together"},
};

NAUHA_ANALYZER(class_imbalance) = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "class_imbalance",
    .summary = "classes are rare among the labels, or are not learned because they are rare",
    .formula = "labels of the most frequent class / labels of the rarest > threshold_imbalance, in "
               "every `samples` labels and at least 50 per class; for such rare classes also the "
               "fraction mispredicted > threshold_misprediction (integer labels, 2 to 1000 "
               "classes; SageMaker Debugger: ClassImbalance)",
    .flags = NAUHA_ANALYZER_RULE | NAUHA_ANALYZER_SYNCHRONIZED,
    .default_kinds = kinds,
    .parameters = parameters,
    .parameter_count = sizeof parameters / sizeof *parameters,
    .create = create,
    .compute = compute,
    .destroy = destroy,
};
