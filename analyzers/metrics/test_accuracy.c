/* SPDX-License-Identifier: MIT */
/* How often the largest output is that of the label, over all batches of an evaluation. */
#include "analyzers/support/accuracy.h"

/* The open evaluation. */
struct test_accuracy {
    struct accuracy accuracy;
    bool is_open;
    struct nauha_message_info stamps; /* of its latest batch */
};

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    struct accuracy *accuracy = NULL;
    static const char *const training[] = {"loss", "input_labels"};
    const char *tag = config->values[0].text;
    enum nauha_status status = accuracy_create(host, "test_accuracy", "Test accuracy",
                                               sizeof(struct test_accuracy), &accuracy, err);
    for (size_t i = 0; i < 2 && status == NAUHA_OK && strcmp(tag, "default") != 0; i++)
        status = host->subscribe(host, &training[i], 1, "default", false, err);
    if (status != NAUHA_OK) {
        free(accuracy);
        return status;
    }
    *self = accuracy;
    return NAUHA_OK;
}

static enum nauha_status publish(struct test_accuracy *test, struct nauha_error *err) {
    if (!test->is_open)
        return NAUHA_OK;
    test->is_open = false;
    return accuracy_publish(&test->accuracy, &test->stamps, err);
}

static enum nauha_status compute(void *self, struct nauha_bundle *bundle, struct nauha_error *err) {
    struct test_accuracy *test = self;
    const struct nauha_host *host = test->accuracy.host;
    bool known = false;
    if (host->bundle_count(bundle) == 1) /* of the training, which ends an evaluation */
        return publish(test, err);
    enum nauha_status status = accuracy_add(&test->accuracy, bundle, &known, err);
    if (status != NAUHA_OK || !known)
        return status;
    test->is_open = true;
    test->stamps = *host->info(host->bundle_message(bundle, 0));
    test->stamps.call = 0;
    return NAUHA_OK;
}

static enum nauha_status step_finished(void *self, uint64_t global_step, struct nauha_error *err) {
    (void)global_step;
    return publish(self, err);
}

static enum nauha_status finish(void *self, struct nauha_error *err) {
    return publish(self, err);
}

static const char *const kinds[] = {"network_output", "input_labels", NULL};

static const struct nauha_analyzer_parameter parameters[] = {
    {"tag", NAUHA_PARAMETER_TEXT, "testing", 0, 0, "tag of the evaluation"},
};

NAUHA_ANALYZER(test_accuracy) = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "test_accuracy",
    .summary = "fraction of the samples of an evaluation that the network classifies correctly",
    .formula = "mean(argmax(network_output, 1) == input_labels) over all batches with the tag, up "
               "to the end of the step or the next batch of the training; for other labels see "
               "train_accuracy; NaN if there are no samples",
    .flags = NAUHA_ANALYZER_SYNCHRONIZED,
    .default_kinds = kinds,
    .parameters = parameters,
    .parameter_count = sizeof parameters / sizeof *parameters,
    .create = create,
    .compute = compute,
    .step_finished = step_finished,
    .finish = finish, /* an evaluation may follow the last step */
    .destroy = free,
};
