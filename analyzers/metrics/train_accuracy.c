/* SPDX-License-Identifier: MIT */
/* How often the largest output is that of the label, batch by batch. */
#include "analyzers/support/accuracy.h"

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    (void)config;
    struct accuracy *accuracy = NULL;
    enum nauha_status status = accuracy_create(host, "train_accuracy", "Training accuracy",
                                               sizeof *accuracy, &accuracy, err);
    *self = accuracy;
    return status;
}

static enum nauha_status compute(void *self, struct nauha_bundle *bundle, struct nauha_error *err) {
    struct accuracy *accuracy = self;
    const struct nauha_host *host = accuracy->host;
    bool known = false;
    enum nauha_status status = accuracy_add(accuracy, bundle, &known, err);
    return status == NAUHA_OK && known
               ? accuracy_publish(accuracy, host->info(host->bundle_message(bundle, 0)), err)
               : status;
}

static const char *const kinds[] = {"network_output", "input_labels", NULL};

NAUHA_ANALYZER(train_accuracy) = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "train_accuracy",
    .summary = "fraction of a batch that the network classifies correctly",
    .formula = "mean(argmax(network_output, 1) == input_labels) over the labels that are classes. "
               "Labels with the shape of the output and the sum 1: argmax(input_labels, 1). "
               "Labels of 0 or 1 with the shape of the output, or for outputs of one number: "
               "(network_output > 0) == input_labels, with 0.5 for 0 as long as all outputs are "
               "within [0, 1]. NaN for a batch without labels that count",
    .flags = NAUHA_ANALYZER_SYNCHRONIZED,
    .default_kinds = kinds,
    .create = create,
    .compute = compute,
    .destroy = free,
};
