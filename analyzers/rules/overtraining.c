/* SPDX-License-Identifier: MIT */
/* Rule: a training that goes on although neither loss falls any more. */
#include "analyzers/support/evaluations.h"

enum { TRAINING, VALIDATION };

struct overtraining {
    struct evaluations_rule evaluations;
    uint64_t patience[2];
    double delta;
};

static enum nauha_status judge(struct evaluations_rule *rule, struct evaluations *evaluations,
                               double training, double validation, struct nauha_error *err) {
    const struct overtraining *overtraining = (const struct overtraining *)rule;
    const struct nauha_host *host = rule->rule.host;
    const double now[2] = {training, validation};
    for (size_t i = 0; i < 2; i++) {
        const bool better =
            !evaluations->has_best || now[i] < evaluations->best[i] - overtraining->delta;
        evaluations->waiting[i] = better ? 0 : evaluations->waiting[i] + 1;
        if (better)
            evaluations->best[i] = now[i];
    }
    evaluations->has_best = true;
    const double waiting = (double)evaluations->waiting[VALIDATION];
    enum nauha_status status = evaluations_publish(rule, evaluations, waiting, err);
    if (status != NAUHA_OK || evaluations->waiting[TRAINING] < overtraining->patience[TRAINING] ||
        evaluations->waiting[VALIDATION] < overtraining->patience[VALIDATION])
        return status;
    return host->finding(host, &evaluations->stamps, waiting,
                         (double)overtraining->patience[VALIDATION],
                         "evaluations since the validation loss fell",
                         "the training continues without improvement: end it earlier and keep the "
                         "weights of the best evaluation, or lower the learning rate",
                         err);
}

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    struct overtraining *overtraining = rule_new(host, sizeof *overtraining);
    if (!overtraining)
        return NAUHA_HOST_NOMEM(host, err);
    overtraining->patience[TRAINING] = (uint64_t)config->values[0].integer;
    overtraining->patience[VALIDATION] = (uint64_t)config->values[1].integer;
    overtraining->delta = config->values[2].real;
    overtraining->evaluations.judge = judge;
    enum nauha_status status =
        evaluations_init(&overtraining->evaluations, config->values[3].text, err);
    if (status == NAUHA_OK)
        status = rule_register(&overtraining->evaluations.rule, "overtraining",
                               "Evaluations since the validation loss fell", "evaluations", err);
    if (status != NAUHA_OK) {
        free(overtraining);
        return status;
    }
    *self = overtraining;
    return NAUHA_OK;
}

static const char *const kinds[] = {"loss", NULL};

static const struct nauha_analyzer_parameter parameters[] = {
    {"patience_train", NAUHA_PARAMETER_INTEGER, "5", 1, 9007199254740992.0,
     "number of evaluations in a row before which the training loss did not decrease"},
    {"patience_validation", NAUHA_PARAMETER_INTEGER, "10", 1, 9007199254740992.0,
     "number of evaluations in a row whose loss did not decrease"},
    {"delta", NAUHA_PARAMETER_REAL, "0.01", 0, (double)INFINITY, "smallest decrease that counts"},
    EVALUATIONS_PARAMETER,
};

NAUHA_ANALYZER(overtraining) = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "overtraining",
    .summary = "the training continues although neither loss decreases",
    .formula = "in the last patience_validation evaluations no loss, and before the last "
               "patience_train evaluations no mean loss of the training, was below the lowest one "
               "before it - delta (SageMaker Debugger: Overtraining)",
    .flags = NAUHA_ANALYZER_RULE,
    .default_kinds = kinds,
    .parameters = parameters,
    .parameter_count = sizeof parameters / sizeof *parameters,
    .create = create,
    .compute = evaluations_compute,
    .finish = evaluations_finish,
    .destroy = evaluations_free,
};
