/* SPDX-License-Identifier: MIT */
/* A hyperparameter of each group of an optimizer's parameters, such as the learning rate. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nauha/analyzer.h"

struct hyperparameter {
    const struct nauha_host *host;
    uint32_t topic;
    char name[NAUHA_NAME_MAX + 1];
};

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    const char *name = config->values[0].text;
    char series[NAUHA_NAME_MAX + 32], title[NAUHA_NAME_MAX + 32];
    if (strlen(name) > NAUHA_NAME_MAX)
        return host->fail(err, NAUHA_INVALID, "key \"name\" is longer than %u bytes",
                          NAUHA_NAME_MAX);
    snprintf(series, sizeof series, "hyperparameter_%s", name);
    snprintf(title, sizeof title, "Hyperparameter %s", name);
    const struct nauha_plot plot = {.title = title,
                                    .xlabel = "step",
                                    .ylabel = name,
                                    .y_low = (double)NAN,
                                    .y_high = (double)NAN};
    struct hyperparameter *metric = calloc(1, sizeof *metric);
    if (!metric)
        return NAUHA_HOST_NOMEM(host, err);
    metric->host = host;
    strcpy(metric->name, name);
    enum nauha_status status = host->register_topic(host, series, NAUHA_SCOPE_MODULE,
                                                    NAUHA_FORM_SCALAR, &plot, &metric->topic, err);
    if (status != NAUHA_OK) {
        free(metric);
        return status;
    }
    *self = metric;
    return NAUHA_OK;
}

static enum nauha_status compute(void *self, struct nauha_bundle *bundle, struct nauha_error *err) {
    const struct hyperparameter *metric = self;
    const struct nauha_host *host = metric->host;
    struct nauha_message *message = host->bundle_message(bundle, 0);
    const struct nauha_message_info *info = host->info(message);
    if (strcmp(info->slot_name, metric->name) != 0)
        return NAUHA_OK;
    struct nauha_tensor tensor;
    double value;
    enum nauha_status status = host->tensor(message, &tensor, err);
    if (status != NAUHA_OK)
        return status;
    host->to_f64(&tensor, 0, 1, &value);
    return host->publish_scalar(host, metric->topic, info, value, err);
}

static const char *const kinds[] = {"hyperparameters", NULL};

static const struct nauha_analyzer_parameter parameters[] = {
    {"name", NAUHA_PARAMETER_TEXT, "lr", 0, 0,
     "which one: lr, momentum, weight_decay, betas.0 and so on"},
};

NAUHA_ANALYZER(hyperparameter) = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "hyperparameter",
    .summary = "a hyperparameter of each group of an optimizer's parameters, such as the learning "
               "rate",
    .formula = "the value that the step of the optimizer used",
    .flags = NAUHA_ANALYZER_PER_MODULE,
    .parameters = parameters,
    .parameter_count = sizeof parameters / sizeof *parameters,
    .default_kinds = kinds,
    .create = create,
    .compute = compute,
    .destroy = free,
};
