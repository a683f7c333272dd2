/* SPDX-License-Identifier: MIT */
/* A hyperparameter of each group of an optimizer's parameters, such as the learning rate. A message
 * has all of a group; its slot names the elements, with commas between. */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nauha/analyzer.h"

struct hyperparameter {
    const struct nauha_host *host;
    uint32_t topic;
    char name[NAUHA_NAME_MAX + 1];
    bool found;
    char others[NAUHA_NAME_MAX + 1]; /* what the first message has instead */
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

/* The number of the element with a name; UINT64_MAX if there is none. */
static uint64_t element_named(const char *slot, const char *name) {
    const size_t length = strlen(name);
    for (uint64_t i = 0;; i++) {
        if (strcspn(slot, ",") == length && memcmp(slot, name, length) == 0)
            return i;
        slot = strchr(slot, ',');
        if (!slot++)
            return UINT64_MAX;
    }
}

static enum nauha_status compute(void *self, struct nauha_bundle *bundle, struct nauha_error *err) {
    struct hyperparameter *metric = self;
    const struct nauha_host *host = metric->host;
    struct nauha_message *message = host->bundle_message(bundle, 0);
    const struct nauha_message_info *info = host->info(message);
    const uint64_t element = element_named(info->slot_name, metric->name);
    if (element == UINT64_MAX) {
        if (!metric->others[0])
            strcpy(metric->others, info->slot_name);
        return NAUHA_OK;
    }
    struct nauha_tensor tensor;
    enum nauha_status status = host->tensor(message, &tensor, err);
    if (status != NAUHA_OK)
        return status;
    if (tensor.ndim != 1 || element >= (uint64_t)tensor.shape[0])
        return host->fail(err, NAUHA_DAMAGED,
                          "hyperparameters have not one value for each of \"%s\"", info->slot_name);
    double value;
    host->to_f64(&tensor, element, 1, &value);
    metric->found = true;
    struct nauha_message_info stamps = *info;
    stamps.slot = 0; /* which has no name: that of the message has the names of all settings */
    return host->publish_scalar(host, metric->topic, &stamps, value, err);
}

static enum nauha_status finish(void *self, struct nauha_error *err) {
    const struct hyperparameter *metric = self;
    if (metric->found || !metric->others[0])
        return NAUHA_OK;
    return metric->host->fail(err, NAUHA_UNKNOWN, "no optimizer has a setting \"%s\"; there are %s",
                              metric->name, metric->others);
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
    .finish = finish,
    .destroy = free,
};
