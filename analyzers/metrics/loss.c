/* SPDX-License-Identifier: MIT */
/* The loss as a series. */
#include <math.h>
#include <stdlib.h>

#include "analyzers/support/loss.h"

struct loss {
    const struct nauha_host *host;
    uint32_t topic;
    struct key_table counts;
};

static void destroy(void *self) {
    struct loss *loss = self;
    key_table_fini(&loss->counts, NULL);
    free(loss);
}

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    (void)config;
    /* The kind is called loss already. */
    static const struct nauha_plot plot = {.series = "loss",
                                           .title = "Loss",
                                           .xlabel = "step",
                                           .ylabel = "loss",
                                           .y_low = (double)NAN,
                                           .y_high = (double)NAN};
    struct loss *loss = calloc(1, sizeof *loss);
    if (!loss)
        return NAUHA_HOST_NOMEM(host, err);
    loss->host = host;
    enum nauha_status status = host->register_topic(host, "loss_series", NAUHA_SCOPE_NETWORK,
                                                    NAUHA_FORM_SCALAR, &plot, &loss->topic, err);
    if (status == NAUHA_OK)
        status = counts_init(host, &loss->counts, err);
    if (status != NAUHA_OK) {
        free(loss);
        return status;
    }
    *self = loss;
    return NAUHA_OK;
}

static enum nauha_status compute(void *self, struct nauha_bundle *bundle, struct nauha_error *err) {
    struct loss *loss = self;
    const struct nauha_host *host = loss->host;
    struct nauha_message *message = host->bundle_message(bundle, 0);
    struct mean_loss mean = {0};
    enum nauha_status status = mean_loss_of(host, &loss->counts, message, &mean, err);
    return status == NAUHA_OK && mean.present
               ? host->publish_scalar(host, loss->topic, host->info(message), mean.value, err)
               : status;
}

static const char *const kinds[] = {"loss", NULL};

NAUHA_ANALYZER(loss) = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "loss",
    .summary = "each loss: one of each micro-batch, of each network of a GAN, of each batch of an "
               "evaluation",
    .formula = "the value that the loss function returned; of several values (reduction=\"none\"), "
               "and of a sum over samples or tokens (reduction=\"sum\"), their mean",
    .default_kinds = kinds,
    .create = create,
    .compute = compute,
    .destroy = destroy,
};
