/* SPDX-License-Identifier: MIT */
/* Rule: the loss of the evaluation lies above that of the training. */
#include "analyzers/support/evaluations.h"

struct overfit {
    struct evaluations_rule evaluations;
    uint64_t patience;
    double ratio;
};

static enum nauha_status judge(struct evaluations_rule *rule, struct evaluations *evaluations,
                               double training, double validation, struct nauha_error *err) {
    const struct overfit *overfit = (const struct overfit *)rule;
    const struct nauha_host *host = rule->rule.host;
    const struct nauha_message_info *stamps = &evaluations->stamps;
    const double ratio = (validation - training) / fabs(training);
    enum nauha_status status = evaluations_publish(rule, evaluations, ratio, err);
    evaluations->waiting[0] = ratio > overfit->ratio ? evaluations->waiting[0] + 1 : 0;
    if (status != NAUHA_OK || evaluations->waiting[0] < overfit->patience)
        return status;
    return host->finding(
        host, stamps, ratio, overfit->ratio, "(validation loss - training loss) / training loss",
        "the network memorizes its training set: use more data or augmentation, dropout or weight "
        "decay, or a smaller network, or end the training earlier",
        err);
}

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    struct overfit *overfit = rule_new(host, sizeof *overfit);
    if (!overfit)
        return NAUHA_HOST_NOMEM(host, err);
    overfit->patience = (uint64_t)config->values[0].integer;
    overfit->ratio = config->values[1].real;
    overfit->evaluations.judge = judge;
    enum nauha_status status = evaluations_init(&overfit->evaluations, config->values[2].text, err);
    if (status == NAUHA_OK)
        status =
            rule_register(&overfit->evaluations.rule, "overfit",
                          "Validation loss above training loss", "share of training loss", err);
    if (status != NAUHA_OK) {
        free(overfit);
        return status;
    }
    *self = overfit;
    return NAUHA_OK;
}

static const char *const kinds[] = {"loss", NULL};

static const struct nauha_analyzer_parameter parameters[] = {
    {"patience", NAUHA_PARAMETER_INTEGER, "1", 1, 9007199254740992.0,
     "number of evaluations in a row with too high a ratio"},
    {"ratio_threshold", NAUHA_PARAMETER_REAL, "0.1", 0, (double)INFINITY,
     "largest difference of the losses that is allowed, relative to the training loss"},
    EVALUATIONS_PARAMETER,
};

NAUHA_ANALYZER(overfit) = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "overfit",
    .summary = "the loss of the evaluation is above that of the training",
    .formula = "(mean(loss under the tag `validation`) - t) / |t| > ratio_threshold, in `patience` "
               "evaluations in a row; t is the mean loss of the training since the previous "
               "evaluation (SageMaker Debugger: Overfit)",
    .flags = NAUHA_ANALYZER_RULE,
    .default_kinds = kinds,
    .parameters = parameters,
    .parameter_count = sizeof parameters / sizeof *parameters,
    .create = create,
    .compute = evaluations_compute,
    .finish = evaluations_finish,
    .destroy = evaluations_free,
};
