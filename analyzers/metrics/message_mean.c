/* SPDX-License-Identifier: MIT */
/* The mean over all modules of what another metric publishes in one step. */
#include "analyzers/support/kinds.h"

/* One topic in the open step. */
struct accumulator {
    uint64_t count;
    double sum, lost;                 /* the rounding error of the sum */
    struct nauha_message_info stamps; /* of the last message */
};

struct message_mean {
    const struct nauha_host *host;
    struct kind_topics topics;
    struct accumulator open[KINDS_MAX];
};

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    static const struct kind_topics_plan plan = {.suffix = "_message_mean",
                                                 .scope = NAUHA_SCOPE_NETWORK,
                                                 .form = NAUHA_FORM_SCALAR,
                                                 .title = "Mean over modules",
                                                 .ylabel = "mean"};
    struct message_mean *mean = calloc(1, sizeof *mean);
    if (!mean)
        return NAUHA_HOST_NOMEM(host, err);
    mean->host = host;
    enum nauha_status status = kind_topics_register(&mean->topics, host, config, &plan, err);
    if (status != NAUHA_OK) {
        free(mean);
        return status;
    }
    *self = mean;
    return NAUHA_OK;
}

/* A. Neumaier's summation (1974): the error does not grow with the number of values. */
static void add(struct accumulator *open, double value) {
    const double sum = open->sum + value;
    open->lost +=
        fabs(open->sum) >= fabs(value) ? (open->sum - sum) + value : (value - sum) + open->sum;
    open->sum = sum;
    open->count++;
}

static enum nauha_status publish(struct message_mean *mean, size_t i, struct nauha_error *err) {
    struct accumulator *open = &mean->open[i];
    if (open->count == 0)
        return NAUHA_OK;
    /* Infinite and overflowing sums have no rounding error. */
    const double sum = isfinite(open->sum) ? open->sum + open->lost : open->sum;
    const double value = sum / (double)open->count;
    open->count = 0;
    open->sum = open->lost = 0;
    const struct nauha_host *host = mean->host;
    return host->publish_scalar(host, mean->topics.rows[i].topic, &open->stamps, value, err);
}

static bool same_step(const struct nauha_message_info *a, const struct nauha_message_info *b) {
    return a->global_step == b->global_step && a->rank == b->rank && a->tag == b->tag;
}

static enum nauha_status compute(void *self, struct nauha_bundle *bundle, struct nauha_error *err) {
    struct message_mean *mean = self;
    const struct nauha_host *host = mean->host;
    struct nauha_message *message = host->bundle_message(bundle, 0);
    const struct nauha_message_info *info = host->info(message);
    const size_t i = kind_topics_find(&mean->topics, info);
    struct accumulator *open = &mean->open[i];
    struct nauha_tensor tensor;
    enum nauha_status status = host->tensor(message, &tensor, err);
    if (status != NAUHA_OK)
        return status;
    for (uint32_t d = 0; d < tensor.ndim; d++) {
        if (tensor.shape[d] != 1)
            return host->fail(err, NAUHA_INVALID,
                              "topic \"%s\" does not hold scalars, and has no mean over modules",
                              info->kind_name);
    }
    if (open->count > 0 && !same_step(&open->stamps, info))
        status = publish(mean, i, err);
    if (status != NAUHA_OK)
        return status;
    double value = 0;
    host->to_f64(&tensor, 0, 1, &value);
    add(open, value);
    open->stamps = *info;
    open->stamps.module = NAUHA_NONE;
    open->stamps.slot = 0;
    open->stamps.call = 0;
    return NAUHA_OK;
}

static enum nauha_status finish(void *self, struct nauha_error *err) {
    struct message_mean *mean = self;
    enum nauha_status status = NAUHA_OK;
    for (size_t i = 0; i < mean->topics.count && status == NAUHA_OK; i++)
        status = publish(mean, i, err);
    return status;
}

static enum nauha_status step_finished(void *self, uint64_t global_step, struct nauha_error *err) {
    (void)global_step;
    return finish(self, err);
}

NAUHA_ANALYZER(message_mean) = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "message_mean",
    .summary = "mean of a scalar topic, such as that of another metric, over all modules",
    .formula = "sum(v) / n over the n messages of a topic in one step",
    .min_kinds = 1,
    .max_kinds = KINDS_MAX,
    .create = create,
    .compute = compute,
    .step_finished = step_finished,
    .finish = finish, /* publishes what other metrics published at the end of the run */
    .destroy = free,
};
