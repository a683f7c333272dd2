/* SPDX-License-Identifier: MIT */
/* How often the largest output is that of the label, over all batches of an evaluation. */
#include "analyzers/accuracy.h"

/* The evaluation that is open. */
struct test_accuracy {
    struct accuracy accuracy;
    bool is_open;
    struct nauha_message_info stamps; /* of its latest batch */
};

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    (void)config;
    struct accuracy *accuracy = NULL;
    enum nauha_status status = accuracy_create(host, "test_accuracy", "Test accuracy",
                                               sizeof(struct test_accuracy), &accuracy, err);
    *self = accuracy;
    return status;
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
    enum nauha_status status = accuracy_add(&test->accuracy, bundle, err);
    if (status != NAUHA_OK)
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
    {"tag", NAUHA_PARAMETER_TEXT, "testing", 0, 0, "the evaluation's tag"},
};

NAUHA_ANALYZER(test_accuracy) = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "test_accuracy",
    .summary = "fraction of an evaluation's samples whose largest output is that of the label",
    .formula = "mean(argmax(network_output, 1) == input_labels) over all batches of a step that "
               "carry the tag, or argmax(input_labels, 1) for float labels of the output's shape; "
               "NaN without samples",
    .flags = NAUHA_ANALYZER_SYNCHRONIZED,
    .default_kinds = kinds,
    .parameters = parameters,
    .parameter_count = sizeof parameters / sizeof *parameters,
    .create = create,
    .compute = compute,
    .step_finished = step_finished,
    .finish = finish, /* an evaluation after the last step */
    .destroy = free,
};
