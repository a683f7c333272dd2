/* SPDX-License-Identifier: MIT */
/* Rule: classes that a classifier still takes for others at the end of the run. */
#include "analyzers/support/confusion.h"
#include "analyzers/support/rule.h"

struct confusion_rule {
    struct rule rule;
    double min_diag, max_off_diag;
    uint64_t samples;
    struct confusion open, latest; /* the latest one that was full */
    struct nauha_message_info stamps;
};

static void destroy(void *self) {
    struct confusion_rule *rule = self;
    free(rule->open.counts);
    free(rule->latest.counts);
    free(rule);
}

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    struct confusion_rule *rule = rule_new(host, sizeof *rule);
    if (!rule)
        return NAUHA_HOST_NOMEM(host, err);
    rule->min_diag = config->values[0].real;
    rule->max_off_diag = config->values[1].real;
    rule->samples = (uint64_t)config->values[2].integer;
    enum nauha_status status =
        rule_register(&rule->rule, "confusion", "Smallest fraction of a class that is recognized",
                      "fraction", err);
    if (status != NAUHA_OK) {
        free(rule);
        return status;
    }
    *self = rule;
    return NAUHA_OK;
}

/* The fraction of the samples of class `label` that was taken for class `as`; NaN if there are
 * none. */
static double fraction(const struct confusion *confusion, size_t label, size_t as) {
    return (double)confusion->counts[label * confusion->classes + as] /
           (double)confusion_samples(confusion, label);
}

static double least_recognised(const struct confusion *confusion) {
    double least = 1;
    for (size_t i = 0; i < confusion->classes; i++) {
        const double right = fraction(confusion, i, i);
        least = right < least ? right : least;
    }
    return least;
}

static enum nauha_status compute(void *self, struct nauha_bundle *bundle, struct nauha_error *err) {
    struct confusion_rule *rule = self;
    const struct nauha_host *host = rule->rule.host;
    enum nauha_status status = confusion_add(host, &rule->open, bundle, err);
    if (status != NAUHA_OK || !confusion_is_full(&rule->open, rule->samples))
        return status;
    const struct confusion before = rule->latest;
    rule->latest = rule->open;
    rule->open = before;
    confusion_clear(&rule->open);
    rule->stamps = *host->info(host->bundle_message(bundle, 0));
    return host->publish_scalar(host, rule->rule.topic, &rule->stamps,
                                least_recognised(&rule->latest), err);
}

/* The class other than `label` for which its samples are most often taken. */
static size_t most_taken_for(const struct confusion *confusion, size_t label) {
    const uint64_t *row = confusion->counts + label * confusion->classes;
    size_t most = label == 0 ? 1 : 0;
    for (size_t i = 0; i < confusion->classes; i++)
        most = i != label && row[i] > row[most] ? i : most;
    return most;
}

static enum nauha_status judge_class(struct confusion_rule *rule, size_t label,
                                     struct nauha_error *err) {
    const struct nauha_host *host = rule->rule.host;
    const double right = fraction(&rule->latest, label, label);
    char measure[96];
    enum nauha_status status = NAUHA_OK;
    if (right < rule->min_diag) {
        snprintf(measure, sizeof measure, "fraction of class %zu recognized", label);
        status = host->finding(
            host, &rule->stamps, right, rule->min_diag, measure,
            "at the end of the run, the network does not distinguish these classes from others: "
            "train longer, look for wrong labels, or add samples of these classes",
            err);
    }
    const size_t as = most_taken_for(&rule->latest, label);
    const double wrong = fraction(&rule->latest, label, as);
    if (status != NAUHA_OK || !(wrong > rule->max_off_diag))
        return status;
    snprintf(measure, sizeof measure, "fraction of class %zu taken for class %zu", label, as);
    return host->finding(
        host, &rule->stamps, wrong, rule->max_off_diag, measure,
        "the network mistakes one class for another: look at samples of both, because their labels "
        "may be wrong, or the data may not show how they differ",
        err);
}

/* Early in a training everything is confused: only the end counts. */
static enum nauha_status finish(void *self, struct nauha_error *err) {
    struct confusion_rule *rule = self;
    enum nauha_status status = NAUHA_OK;
    for (size_t i = 0; i < rule->latest.classes && status == NAUHA_OK; i++)
        status = judge_class(rule, i, err);
    return status;
}

static const char *const kinds[] = {"network_output", "input_labels", NULL};

static const struct nauha_analyzer_parameter parameters[] = {
    {"min_diag", NAUHA_PARAMETER_REAL, "0.9", 0, 1,
     "smallest fraction of a class that is predicted correctly"},
    {"max_off_diag", NAUHA_PARAMETER_REAL, "0.1", 0, 1,
     "largest fraction of a class that is predicted as one other class"},
    {"samples", NAUHA_PARAMETER_INTEGER, "500", 1, 9007199254740992.0,
     "number of samples that are counted"},
};

NAUHA_ANALYZER(confusion) = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "confusion",
    .summary = "at the end of the training, classes are mistaken for others",
    .formula = "let C[i, j] be the number of samples of class i that are predicted as class j, "
               "among the last `samples` and at least 50 per class. Finding: C[i, i] / sum(C[i]) < "
               "min_diag, or max over j != i of C[i, j] / sum(C[i]) > max_off_diag (integer "
               "labels, 2 to 1000 classes; SageMaker Debugger: Confusion)",
    .flags = NAUHA_ANALYZER_RULE | NAUHA_ANALYZER_SYNCHRONIZED,
    .default_kinds = kinds,
    .parameters = parameters,
    .parameter_count = sizeof parameters / sizeof *parameters,
    .create = create,
    .compute = compute,
    .finish = finish,
    .destroy = destroy,
};
