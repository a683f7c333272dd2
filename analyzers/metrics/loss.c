/* SPDX-License-Identifier: MIT */
/* The loss as a series. */
#include "analyzers/support/loss.h"

static void destroy(void *self) {
    struct loss_metric *loss = self;
    key_table_fini(&loss->counts, NULL);
    free(loss);
}

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    (void)config;
    struct loss_metric *loss = NULL;
    /* The kind is called loss already. */
    enum nauha_status status =
        loss_metric_create(host, "loss_series", "loss", "Loss", sizeof *loss, &loss, err);
    *self = loss;
    return status;
}

static enum nauha_status compute(void *self, struct nauha_bundle *bundle, struct nauha_error *err) {
    struct loss_metric *loss = self;
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
