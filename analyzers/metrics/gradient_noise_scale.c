/* SPDX-License-Identifier: MIT */
/* The simple gradient noise scale: of which order the batch size is past which larger batches help
 * little. */
#include "analyzers/support/per_sample.h"

/* Unbiased estimates, or sums of them, of the trace of the covariance of one sample's gradient, and
 * of the squared norm of the true gradient. The ratio of the two is biased, so they are averaged
 * over steps before it is computed. */
struct noise {
    double trace, square;
};

/* The average of a layer over its steps; for module NONE, of the network. */
struct average {
    bool any;
    struct noise noise;
};

struct gradient_noise_scale {
    const struct nauha_host *host;
    uint32_t topic, network_topic;
    double smooth;
    struct per_sample gradients;
    struct key_table averages; /* values: struct average */
    struct noise open;         /* the sum over the layers of the open step */
    bool any;
    struct nauha_message_info stamps; /* of its last message */
};

static void destroy(void *self) {
    struct gradient_noise_scale *scale = self;
    per_sample_fini(&scale->gradients);
    key_table_fini(&scale->averages, NULL);
    free(scale);
}

static enum nauha_status register_topics(struct gradient_noise_scale *scale,
                                         struct nauha_error *err) {
    static const struct nauha_plot layers = {.title = "Gradient noise scale",
                                             .xlabel = "step",
                                             .ylabel = "samples",
                                             .y_low = (double)NAN,
                                             .y_high = (double)NAN,
                                             .log_y = true};
    static const struct nauha_plot network = {.title = "Gradient noise scale of the network",
                                              .xlabel = "step",
                                              .ylabel = "samples",
                                              .y_low = (double)NAN,
                                              .y_high = (double)NAN,
                                              .log_y = true};
    const struct nauha_host *host = scale->host;
    enum nauha_status status =
        host->register_topic(host, "gradient_noise_scale", NAUHA_SCOPE_MODULE, NAUHA_FORM_SCALAR,
                             &layers, &scale->topic, err);
    return status != NAUHA_OK
               ? status
               : host->register_topic(host, "network_gradient_noise_scale", NAUHA_SCOPE_NETWORK,
                                      NAUHA_FORM_SCALAR, &network, &scale->network_topic, err);
}

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    struct gradient_noise_scale *scale = calloc(1, sizeof *scale);
    if (!scale)
        return NAUHA_HOST_NOMEM(host, err);
    scale->host = host;
    scale->averages.state_bytes = sizeof(struct average);
    scale->smooth = config->values[1].real;
    enum nauha_status status = register_topics(scale, err);
    if (status == NAUHA_OK)
        status = per_sample_init(&scale->gradients, host, config, err);
    if (status != NAUHA_OK) {
        destroy(scale);
        return status;
    }
    *self = scale;
    return NAUHA_OK;
}

/* ---- averaging ---- */

/* Adds `noise` to an average, and publishes the noise scale of the average, which begins with the
 * first estimate. */
static enum nauha_status publish(struct gradient_noise_scale *scale, uint32_t topic,
                                 const struct nauha_message_info *info, struct noise noise,
                                 struct nauha_error *err) {
    const struct nauha_host *host = scale->host;
    struct average *average = key_table_get(&scale->averages, key_of(info, 0));
    if (!average)
        return NAUHA_HOST_NOMEM(host, err);
    if (!average->any)
        *average = (struct average){true, noise};
    const double keep = scale->smooth;
    average->noise.trace = keep * average->noise.trace + (1 - keep) * noise.trace;
    average->noise.square = keep * average->noise.square + (1 - keep) * noise.square;
    return host->publish_scalar(host, topic, info, average->noise.trace / average->noise.square,
                                err);
}

static enum nauha_status compute(void *self, struct nauha_bundle *bundle, struct nauha_error *err) {
    struct gradient_noise_scale *scale = self;
    struct per_sample_moments moments;
    bool known = false;
    enum nauha_status status = per_sample_take(&scale->gradients, bundle, &known, &moments, err);
    if (status != NAUHA_OK || !known)
        return status;
    const struct nauha_host *host = scale->host;
    const struct nauha_message_info *info = host->info(host->bundle_message(bundle, 0));
    const double trace = block_sum_total(&moments.variances);
    const struct noise noise = {trace, block_sum_total(&moments.squares) -
                                           trace / (double)moments.samples};
    scale->open.trace += noise.trace;
    scale->open.square += noise.square;
    scale->any = true;
    scale->stamps = *info;
    scale->stamps.module = NAUHA_NONE;
    scale->stamps.slot = 0;
    scale->stamps.call = 0;
    return publish(scale, scale->topic, info, noise, err);
}

static enum nauha_status step_finished(void *self, uint64_t global_step, struct nauha_error *err) {
    (void)global_step;
    struct gradient_noise_scale *scale = self;
    per_sample_drop_all(&scale->gradients);
    if (!scale->any)
        return NAUHA_OK;
    const struct noise noise = scale->open;
    scale->open = (struct noise){0, 0};
    scale->any = false;
    return publish(scale, scale->network_topic, &scale->stamps, noise, err);
}

static const struct nauha_analyzer_parameter parameters[] = {
    PER_SAMPLE_PARAMETER,
    {"smooth", NAUHA_PARAMETER_REAL, "0", 0, 0.999999,
     "weight of earlier steps in an exponential average of both estimates; 0.95 averages about 20 "
     "steps"},
};

NAUHA_ANALYZER(gradient_noise_scale) = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "gradient_noise_scale",
    .summary = "simple gradient noise scale of the weights of each Linear and Conv layer, and of "
               "all of them",
    .formula = "B_simple = tr(S) / |G|^2 (McCandlish et al., An empirical model of large-batch "
               "training, 2018), S being the covariance of one sample's gradient and G the true "
               "gradient: unbiased estimates, tr(S) = sum of the variances over the batch, |G|^2 = "
               "|mean|^2 - tr(S) / B. The recording has to contain inputs",
    .flags = NAUHA_ANALYZER_SYNCHRONIZED,
    .default_kinds = per_sample_kinds,
    .parameters = parameters,
    .parameter_count = sizeof parameters / sizeof *parameters,
    .create = create,
    .compute = compute,
    .step_finished = step_finished,
    .destroy = destroy,
};
