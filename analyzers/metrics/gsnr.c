/* SPDX-License-Identifier: MIT */
/* The gradient signal to noise ratio of each layer's weights. */
#include "analyzers/support/per_sample.h"

struct gsnr {
    const struct nauha_host *host;
    uint32_t topic;
    struct per_sample gradients;
};

static void destroy(void *self) {
    struct gsnr *gsnr = self;
    per_sample_fini(&gsnr->gradients);
    free(gsnr);
}

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    static const struct nauha_plot plot = {.title = "Gradient signal to noise ratio",
                                           .xlabel = "step",
                                           .ylabel = "mean GSNR of the weights",
                                           .y_low = (double)NAN,
                                           .y_high = (double)NAN,
                                           .log_y = true};
    struct gsnr *gsnr = calloc(1, sizeof *gsnr);
    if (!gsnr)
        return NAUHA_HOST_NOMEM(host, err);
    gsnr->host = host;
    enum nauha_status status = host->register_topic(host, "gsnr", NAUHA_SCOPE_MODULE,
                                                    NAUHA_FORM_SCALAR, &plot, &gsnr->topic, err);
    if (status == NAUHA_OK)
        status = per_sample_init(&gsnr->gradients, host, config, err);
    if (status != NAUHA_OK) {
        destroy(gsnr);
        return status;
    }
    *self = gsnr;
    return NAUHA_OK;
}

static enum nauha_status compute(void *self, struct nauha_bundle *bundle, struct nauha_error *err) {
    struct gsnr *gsnr = self;
    const struct nauha_host *host = gsnr->host;
    struct per_sample_moments moments;
    bool known = false;
    enum nauha_status status = per_sample_take(&gsnr->gradients, bundle, &known, &moments, err);
    if (status != NAUHA_OK || !known)
        return status;
    const double value = block_sum_total(&moments.ratios) / (double)moments.ratio_count;
    return host->publish_scalar(host, gsnr->topic, host->info(host->bundle_message(bundle, 0)),
                                value, err);
}

static enum nauha_status step_finished(void *self, uint64_t global_step, struct nauha_error *err) {
    (void)global_step;
    (void)err;
    struct gsnr *gsnr = self;
    per_sample_drop_all(&gsnr->gradients);
    return NAUHA_OK;
}

static const struct nauha_analyzer_parameter parameters[] = {PER_SAMPLE_PARAMETER};

NAUHA_ANALYZER(gsnr) = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "gsnr",
    .summary = "gradient signal to noise ratio of the weights of Linear and Conv layers",
    .formula = "mean over the weights of E[g]^2 / Var[g], g being the gradient of one sample (Liu "
               "et al., Understanding why neural networks generalize well through GSNR of "
               "parameters, 2020), with mean and unbiased variance over the batch; weights whose "
               "gradient is 0 in all samples do not count. The recording has to contain inputs",
    .flags = NAUHA_ANALYZER_SYNCHRONIZED | NAUHA_ANALYZER_PER_MODULE,
    .default_kinds = per_sample_kinds,
    .parameters = parameters,
    .parameter_count = sizeof parameters / sizeof *parameters,
    .create = create,
    .compute = compute,
    .step_finished = step_finished,
    .destroy = destroy,
};
