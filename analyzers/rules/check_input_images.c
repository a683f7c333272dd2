/* SPDX-License-Identifier: MIT */
/* Rule: input images that were not normalised. */
#include "analyzers/support/rule.h"

#define BLOCK 1024u

struct check_input_images {
    struct rule rule;
    double threshold;
    uint64_t samples;
    int64_t channel; /* which dimension counts the channels */
    uint64_t images; /* summed up so far */
    uint64_t values; /* of each channel */
    size_t channels;
    double *sums; /* by channel */
};

static void destroy(void *self) {
    struct check_input_images *images = self;
    free(images->sums);
    free(images);
}

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    struct check_input_images *images = rule_new(host, sizeof *images);
    if (!images)
        return NAUHA_HOST_NOMEM(host, err);
    images->threshold = config->values[0].real;
    images->samples = (uint64_t)config->values[1].integer;
    images->channel = config->values[2].integer;
    enum nauha_status status = rule_register(&images->rule, "check_input_images",
                                             "Channel mean farthest from 0", "mean", err);
    if (status != NAUHA_OK) {
        free(images);
        return status;
    }
    *self = images;
    return NAUHA_OK;
}

struct visit {
    const struct nauha_host *host;
    double *sums;
    size_t channels;
    uint64_t inner;
};

static enum nauha_status add_piece(void *context, const struct nauha_tensor *piece, uint64_t first,
                                   struct nauha_error *err) {
    const struct visit *visit = context;
    const size_t n = (size_t)piece->shape[0];
    double block[BLOCK];
    (void)err;
    for (size_t done = 0; done < n; done += BLOCK) {
        const size_t take = n - done < BLOCK ? n - done : BLOCK;
        visit->host->to_f64(piece, done, take, block);
        for (size_t i = 0; i < take; i++)
            visit->sums[(first + done + i) / visit->inner % visit->channels] += block[i];
    }
    return NAUHA_OK;
}

static void begin(struct check_input_images *images) {
    memset(images->sums, 0, images->channels * sizeof *images->sums);
    images->images = images->values = 0;
}

/* The mean farthest from 0. */
static double worst_mean(const struct check_input_images *images) {
    double worst = 0;
    for (size_t i = 0; i < images->channels; i++) {
        const double mean = images->sums[i] / (double)images->values;
        if (!(fabs(mean) <= fabs(worst)))
            worst = mean;
    }
    return worst;
}

/* [images, channels, height, width], in the order that `channel` says; anything else is no
 * image. */
static enum nauha_status compute(void *self, struct nauha_bundle *bundle, struct nauha_error *err) {
    struct check_input_images *images = self;
    const struct nauha_host *host = images->rule.host;
    struct nauha_message *message = host->bundle_message(bundle, 0);
    const struct nauha_message_info *info = host->info(message);
    if (info->ndim != 4 || info->bytes == 0)
        return NAUHA_OK;
    const size_t channels = (size_t)info->shape[images->channel];
    struct visit visit = {.host = host, .channels = channels, .inner = 1};
    for (int64_t d = images->channel + 1; d < 4; d++)
        visit.inner *= (uint64_t)info->shape[d];
    if (channels != images->channels) {
        free(images->sums);
        images->channels = 0;
        images->sums = calloc(channels, sizeof *images->sums);
        if (!images->sums)
            return host->fail(err, NAUHA_NOMEM, "no memory for %zu channels", channels);
        images->channels = channels;
        begin(images);
    }
    visit.sums = images->sums;
    enum nauha_status status = host->for_each_piece(message, add_piece, &visit, err);
    if (status != NAUHA_OK) {
        begin(images); /* part of it has been added */
        return status;
    }
    images->images += (uint64_t)info->shape[0];
    uint64_t elements = 1;
    for (uint32_t d = 0; d < 4; d++)
        elements *= (uint64_t)info->shape[d];
    images->values += elements / channels;
    if (images->images < images->samples)
        return NAUHA_OK;
    const double mean = worst_mean(images);
    begin(images);
    status = host->publish_scalar(host, images->rule.topic, info, mean, err);
    if (status != NAUHA_OK || !(fabs(mean) > images->threshold))
        return status;
    return host->finding(
        host, info, mean, mean < 0 ? -images->threshold : images->threshold,
        "channel mean farthest from 0",
        "the images were not normalized, so the first layers begin with a bias: subtract the "
        "training set's mean of each channel and divide by its standard deviation",
        err);
}

static const char *const kinds[] = {"input_data", NULL};

static const struct nauha_analyzer_parameter parameters[] = {
    {"threshold_mean", NAUHA_PARAMETER_REAL, "0.2", 0, (double)INFINITY,
     "largest |mean| of a channel that is allowed"},
    {"samples", NAUHA_PARAMETER_INTEGER, "500", 1, 9007199254740992.0,
     "number of images in a mean"},
    {"channel", NAUHA_PARAMETER_INTEGER, "1", 1, 3, "dimension of the channels"},
};

NAUHA_ANALYZER(check_input_images) = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "check_input_images",
    .summary = "input images are not normalized",
    .formula = "max over channels of |mean(x)| > threshold_mean, over every `samples` images (4-D "
               "input_data; SageMaker Debugger: CheckInputImages)",
    .flags = NAUHA_ANALYZER_RULE,
    .default_kinds = kinds,
    .parameters = parameters,
    .parameter_count = sizeof parameters / sizeof *parameters,
    .create = create,
    .compute = compute,
    .destroy = destroy,
};
