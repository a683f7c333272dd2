/* SPDX-License-Identifier: MIT */
/* Rule: a loss that does not fall in the first steps, in a network whose layers or gradients say
 * that its weights began badly. */
#include <string.h>

#include "analyzers/support/loss.h"
#include "analyzers/support/rule.h"

/* Elements of a gradient from which its percentiles are estimated. */
#define SAMPLE 65536u
#define BLOCK 1024u
/* At most so many of the first steps are examined. */
#define STEPS_MAX 10000u

struct poor_weight_initialization {
    struct rule rule;
    double threshold, range;
    uint64_t patience, steps;
    uint64_t losses; /* received so far */
    double *loss;    /* the first `steps` of them */
    bool judged;
    /* the open step, over layers with weights */
    uint64_t step;
    double least_variance, greatest_variance;
    double ratio;     /* the greatest of a step so far; negative: none */
    double narrowest; /* the narrowest of a gradient so far */
    bool has_narrowest;
    struct nauha_message_info narrowest_stamps;
    double *sample;
};

static void destroy(void *self) {
    struct poor_weight_initialization *poor = self;
    free(poor->loss);
    free(poor->sample);
    free(poor);
}

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    struct poor_weight_initialization *poor = rule_new(host, sizeof *poor);
    if (!poor)
        return NAUHA_HOST_NOMEM(host, err);
    poor->threshold = config->values[0].real;
    poor->range = config->values[1].real;
    poor->patience = (uint64_t)config->values[2].integer;
    poor->steps = (uint64_t)config->values[3].integer;
    poor->ratio = -1;
    poor->least_variance = (double)INFINITY;
    poor->greatest_variance = -1;
    poor->loss = calloc((size_t)poor->steps, sizeof *poor->loss);
    poor->sample = calloc(SAMPLE, sizeof *poor->sample);
    enum nauha_status status =
        poor->loss && poor->sample
            ? rule_register(&poor->rule, "poor_weight_initialization",
                            "Variance of the layers' outputs, largest over smallest", "ratio", err)
            : NAUHA_HOST_NOMEM(host, err);
    if (status != NAUHA_OK) {
        destroy(poor);
        return status;
    }
    *self = poor;
    return NAUHA_OK;
}

/* ---- what is measured ---- */

static void close_step(struct poor_weight_initialization *poor) {
    if (poor->greatest_variance >= 0) {
        const double ratio = poor->least_variance > 0
                                 ? poor->greatest_variance / poor->least_variance
                                 : (double)INFINITY;
        poor->ratio = ratio > poor->ratio ? ratio : poor->ratio;
    }
    poor->least_variance = (double)INFINITY;
    poor->greatest_variance = -1;
}

/* The outputs of layers with weights, which are the inputs of activation functions. */
static bool is_weighted(const char *class_name) {
    return strncmp(class_name, "Linear", 6) == 0 || strncmp(class_name, "Conv", 4) == 0;
}

static enum nauha_status take_activations(struct poor_weight_initialization *poor,
                                          struct nauha_message *message, struct nauha_error *err) {
    const struct nauha_host *host = poor->rule.host;
    const struct nauha_message_info *info = host->info(message);
    const struct nauha_stats *stats = NULL;
    if (!is_weighted(info->module_class))
        return NAUHA_OK;
    enum nauha_status status = host->stats(message, &stats, err);
    if (status != NAUHA_OK || stats->count < 2)
        return status;
    const double variance = stats->deviations / (double)(stats->count - 1);
    if (variance < poor->least_variance)
        poor->least_variance = variance;
    if (variance > poor->greatest_variance)
        poor->greatest_variance = variance;
    return NAUHA_OK;
}

struct sampling {
    const struct nauha_host *host;
    double *sample;
    size_t sampled;
    uint64_t stride;
};

static enum nauha_status sample_piece(void *context, const struct nauha_tensor *piece,
                                      uint64_t first, struct nauha_error *err) {
    struct sampling *sampling = context;
    const uint64_t n = (uint64_t)piece->shape[0];
    (void)err;
    while (sampling->sampled < SAMPLE && sampling->sampled * sampling->stride < first + n) {
        sampling->host->to_f64(piece, (size_t)(sampling->sampled * sampling->stride - first), 1,
                               &sampling->sample[sampling->sampled]);
        sampling->sampled++;
    }
    return NAUHA_OK;
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* numpy.percentile of a sorted sample: linear between elements. */
static double percentile(const double *sorted, size_t n, double percent) {
    const double place = percent / 100 * (double)(n - 1);
    const size_t below = (size_t)place;
    const double part = place - (double)below;
    return below + 1 < n ? sorted[below] + part * (sorted[below + 1] - sorted[below])
                         : sorted[below];
}

static enum nauha_status take_gradients(struct poor_weight_initialization *poor,
                                        struct nauha_message *message, struct nauha_error *err) {
    const struct nauha_host *host = poor->rule.host;
    const struct nauha_stats *stats = NULL;
    enum nauha_status status = host->stats(message, &stats, err);
    if (status != NAUHA_OK || stats->count < 2 || stats->nans > 0)
        return status;
    struct sampling sampling = {host, poor->sample, 0, (stats->count + SAMPLE - 1) / SAMPLE};
    status = host->for_each_piece(message, sample_piece, &sampling, err);
    if (status != NAUHA_OK)
        return status;
    qsort(poor->sample, sampling.sampled, sizeof *poor->sample, by_value);
    const double width = percentile(poor->sample, sampling.sampled, 95) -
                         percentile(poor->sample, sampling.sampled, 5);
    if (!poor->has_narrowest || width < poor->narrowest) {
        poor->narrowest = width;
        poor->narrowest_stamps = *host->info(message);
        poor->has_narrowest = true;
    }
    return NAUHA_OK;
}

/* ---- the verdict ---- */

static double mean_of(const double *loss, uint64_t count) {
    double sum = 0;
    for (uint64_t i = 0; i < count; i++)
        sum += loss[i];
    return sum / (double)count;
}

/* The first steps are complete. stamps: those of the loss of the last one. */
static enum nauha_status judge(struct poor_weight_initialization *poor,
                               const struct nauha_message_info *stamps, struct nauha_error *err) {
    const struct nauha_host *host = poor->rule.host;
    const uint64_t n = poor->patience < poor->steps ? poor->patience : poor->steps;
    const double before = mean_of(poor->loss, n);
    const double after = mean_of(poor->loss + poor->steps - n, n);
    enum nauha_status status = NAUHA_OK;
    if (poor->ratio >= 0)
        status = host->publish_scalar(host, poor->rule.topic, stamps, poor->ratio, err);
    if (after < before || status != NAUHA_OK)
        return status;
    if (poor->ratio > poor->threshold)
        status = host->finding(
            host, stamps, poor->ratio, poor->threshold,
            "largest over smallest variance of the layers' outputs",
            "the loss does not fall in the first steps, and signals grow or fade from layer to "
            "layer: the initial weights are too large, too small or all the same; the "
            "initializations of Kaiming and Xavier preserve the variance",
            err);
    if (status == NAUHA_OK && poor->has_narrowest && poor->narrowest < poor->range)
        status = host->finding(
            host, &poor->narrowest_stamps, poor->narrowest, poor->range,
            "distance between the 5th and 95th percentiles of the gradient",
            "the loss does not fall in the first steps, and all gradients are nearly the same: the "
            "initial weights are too small, or all the same, so that units learn the same thing",
            err);
    return status;
}

static enum nauha_status compute(void *self, struct nauha_bundle *bundle, struct nauha_error *err) {
    struct poor_weight_initialization *poor = self;
    const struct nauha_host *host = poor->rule.host;
    struct nauha_message *message = host->bundle_message(bundle, 0);
    const struct nauha_message_info *info = host->info(message);
    if (poor->judged || info->rank > 0)
        return NAUHA_OK;
    if (info->global_step >= poor->steps) {
        poor->judged = true; /* too few losses were recorded */
        return NAUHA_OK;
    }
    if (info->global_step != poor->step)
        close_step(poor);
    poor->step = info->global_step;
    if (strcmp(info->kind_name, "activations") == 0)
        return take_activations(poor, message, err);
    if (strcmp(info->kind_name, "weight_gradients") == 0)
        return take_gradients(poor, message, err);
    enum nauha_status status = loss_of(host, message, &poor->loss[poor->losses], err);
    if (status != NAUHA_OK || ++poor->losses < poor->steps)
        return status;
    close_step(poor);
    poor->judged = true;
    return judge(poor, info, err);
}

static const char *const kinds[] = {"activations", "weight_gradients", "loss", NULL};

static const struct nauha_analyzer_parameter parameters[] = {
    {"threshold", NAUHA_PARAMETER_REAL, "10", 0, (double)INFINITY,
     "largest ratio of the variances of two layers that is allowed"},
    {"distribution_range", NAUHA_PARAMETER_REAL, "0.001", 0, (double)INFINITY,
     "smallest distance between the 5th and 95th percentiles of a gradient that is allowed"},
    {"patience", NAUHA_PARAMETER_INTEGER, "5", 1, STEPS_MAX,
     "number of losses in each of the two means"},
    {"steps", NAUHA_PARAMETER_INTEGER, "10", 1, STEPS_MAX,
     "number of first steps that are checked"},
};

NAUHA_ANALYZER(poor_weight_initialization) = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "poor_weight_initialization",
    .summary = "the loss does not fall in the first steps, and layers or gradients show why",
    .formula = "in the first `steps` steps, mean(last `patience` losses) >= mean(first `patience` "
               "losses), and either the largest variance of the outputs of Linear and Conv layers "
               "> threshold * the smallest one in some step, or the distance between the 5th and "
               "95th percentiles of some weight gradient (of up to 65536 evenly spaced elements) < "
               "distribution_range (SageMaker Debugger: PoorWeightInitialization)",
    .flags = NAUHA_ANALYZER_RULE,
    .default_kinds = kinds,
    .parameters = parameters,
    .parameter_count = sizeof parameters / sizeof *parameters,
    .create = create,
    .compute = compute,
    .destroy = destroy,
};
