/* SPDX-License-Identifier: MIT */
/* The losses of a step or of an evaluation as one number, as trainers log it. */
#include "analyzers/support/loss.h"

/* The step that is open, or the evaluation in it, of one rank and tag. */
struct open_step {
    double sum, count;
    struct nauha_message_info stamps; /* of its latest loss */
};

struct step_loss {
    struct loss_metric metric;
    struct key_table steps; /* struct open_step */
};

static void destroy(void *self) {
    struct step_loss *loss = self;
    key_table_fini(&loss->metric.counts, NULL);
    key_table_fini(&loss->steps, NULL);
    free(loss);
}

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    (void)config;
    struct loss_metric *metric = NULL;
    enum nauha_status status = loss_metric_create(host, "step_loss", NULL, "Loss of each step",
                                                  sizeof(struct step_loss), &metric, err);
    if (status == NAUHA_OK)
        ((struct step_loss *)metric)->steps.state_bytes = sizeof(struct open_step);
    *self = metric;
    return status;
}

/* The training has the tag 0: its losses are added up, those of an evaluation averaged. */
static enum nauha_status compute(void *self, struct nauha_bundle *bundle, struct nauha_error *err) {
    struct step_loss *loss = self;
    const struct nauha_host *host = loss->metric.host;
    struct nauha_message *message = host->bundle_message(bundle, 0);
    const struct nauha_message_info *info = host->info(message);
    struct mean_loss mean = {0};
    enum nauha_status status = mean_loss_of(host, &loss->metric.counts, message, &mean, err);
    if (status != NAUHA_OK || !mean.present)
        return status;
    struct open_step *step =
        key_table_get(&loss->steps, (struct key){.tag = info->tag, .rank = info->rank});
    if (!step)
        return NAUHA_HOST_NOMEM(host, err);
    const bool adds = info->tag == 0;
    step->sum += adds ? mean.value : mean.value * mean.count;
    step->count = adds ? 1 : step->count + mean.count;
    step->stamps = *info;
    step->stamps.call = 0;
    return NAUHA_OK;
}

static enum nauha_status close_steps(struct step_loss *loss, struct nauha_error *err) {
    enum nauha_status status = NAUHA_OK;
    for (size_t i = 0; i < loss->steps.count && status == NAUHA_OK; i++) {
        struct open_step *step = loss->steps.rows[i].state;
        if (step->count > 0)
            status = loss->metric.host->publish_scalar(loss->metric.host, loss->metric.topic,
                                                       &step->stamps, step->sum / step->count, err);
        step->sum = step->count = 0;
    }
    return status;
}

static enum nauha_status step_finished(void *self, uint64_t global_step, struct nauha_error *err) {
    (void)global_step;
    return close_steps(self, err);
}

static enum nauha_status finish(void *self, struct nauha_error *err) {
    return close_steps(self, err);
}

static const char *const kinds[] = {"loss", NULL};

NAUHA_ANALYZER(step_loss) = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "step_loss",
    .summary = "loss of each step or evaluation as one number, as trainers log it",
    .formula = "in the training the sum of the losses on which backward() was called in the step, "
               "since programs that accumulate gradients divide the loss of each micro-batch by "
               "their number; in an evaluation (tag=testing) the mean over its samples or tokens, "
               "or over its losses if their number is not known",
    .default_kinds = kinds,
    .create = create,
    .compute = compute,
    .step_finished = step_finished,
    .finish = finish,
    .destroy = destroy,
};
