/* SPDX-License-Identifier: MIT */
/* Rule: a loss that does not fall, or rises. The losses of single batches are noisy, so means of
 * several steps are compared. */
#include "analyzers/support/keys.h"
#include "analyzers/support/loss.h"
#include "analyzers/support/rule.h"

/* A rise counts if it exceeds so many standard errors. */
#define ERRORS 3

/* The losses of several steps; their variance by Welford's update (1962). */
struct window {
    uint64_t count;
    double mean, deviations;
};

/* One loss of one rank. */
struct course {
    struct window open, best;
    bool has_best;
    uint64_t waiting; /* windows since the best */
    uint64_t rising;  /* windows in a row whose mean is far above the best */
};

struct loss_not_decreasing {
    struct rule rule;
    struct key_table keys; /* values: struct course */
    struct key_table counts;
    uint64_t steps, patience;
    double decrease, increase; /* per cent */
};

static void destroy(void *self) {
    struct loss_not_decreasing *rule = self;
    key_table_fini(&rule->keys, NULL);
    key_table_fini(&rule->counts, NULL);
    free(rule);
}

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    struct loss_not_decreasing *rule = rule_new(host, sizeof *rule);
    if (!rule)
        return NAUHA_HOST_NOMEM(host, err);
    rule->keys.state_bytes = sizeof(struct course);
    rule->steps = (uint64_t)config->values[0].integer;
    rule->decrease = config->values[1].real;
    rule->increase = config->values[2].real;
    rule->patience = (uint64_t)config->values[3].integer;
    enum nauha_status status = rule_register(&rule->rule, "loss_not_decreasing",
                                             "Loss, mean of several steps", "loss", err);
    if (status == NAUHA_OK)
        status = counts_init(host, &rule->counts, err);
    if (status != NAUHA_OK) {
        free(rule);
        return status;
    }
    *self = rule;
    return NAUHA_OK;
}

static void add(struct window *window, double loss) {
    const double difference = loss - window->mean;
    window->count++;
    window->mean += difference / (double)window->count;
    window->deviations += difference * (loss - window->mean);
}

/* The variance of a window's mean. */
static double squared_error(const struct window *window) {
    const double n = (double)window->count;
    return window->count > 1 ? window->deviations / (n - 1) / n : 0;
}

/* Whether the loss has risen by more than the noise of single batches explains. */
static bool has_risen(const struct loss_not_decreasing *rule, const struct course *course) {
    const double rise = course->open.mean - course->best.mean;
    const double error = sqrt(squared_error(&course->open) + squared_error(&course->best));
    return rise > rule->increase / 100 * fabs(course->best.mean) && rise > ERRORS * error;
}

/* A window is full. */
static enum nauha_status judge(struct loss_not_decreasing *rule, struct course *course,
                               const struct nauha_message_info *info, struct nauha_error *err) {
    const struct nauha_host *host = rule->rule.host;
    const double mean = course->open.mean, best = course->best.mean;
    const double fall = 100 * (best - mean) / fabs(best);
    if (!course->has_best || mean < best - rule->decrease / 100 * fabs(best)) {
        course->best = course->open;
        course->has_best = !isnan(mean);
        course->waiting = course->rising = 0;
        return NAUHA_OK;
    }
    course->waiting++;
    course->rising = has_risen(rule, course) ? course->rising + 1 : 0;
    enum nauha_status status = NAUHA_OK;
    if (course->waiting >= rule->patience)
        status = host->finding(
            host, info, fall, rule->decrease, "fall of the mean loss in %",
            "the loss does not fall any more: common causes are a training that has converged at "
            "this learning rate, a learning rate that is too low or too high, labels that do not "
            "match the inputs, vanishing gradients, and a network that is too small",
            err);
    if (status == NAUHA_OK && course->rising >= 2)
        status = host->finding(host, info, -fall, rule->increase, "rise of the mean loss in %",
                               "the loss rises: common causes are a learning rate that is too "
                               "high, exploding gradients, and data that have changed",
                               err);
    return status;
}

static enum nauha_status compute(void *self, struct nauha_bundle *bundle, struct nauha_error *err) {
    struct loss_not_decreasing *rule = self;
    const struct nauha_host *host = rule->rule.host;
    struct nauha_message *message = host->bundle_message(bundle, 0);
    const struct nauha_message_info *info = host->info(message);
    struct mean_loss loss = {0};
    enum nauha_status status = mean_loss_of(host, &rule->counts, message, &loss, err);
    if (status != NAUHA_OK || !loss.present)
        return status;
    struct course *course = key_table_get(&rule->keys, key_of(info, info->kind));
    if (!course)
        return NAUHA_HOST_NOMEM(host, err);
    add(&course->open, loss.value);
    if (course->open.count < rule->steps)
        return NAUHA_OK;
    status = host->publish_scalar(host, rule->rule.topic, info, course->open.mean, err);
    if (status == NAUHA_OK)
        status = judge(rule, course, info, err);
    course->open = (struct window){0};
    return status;
}

static const char *const kinds[] = {"loss", NULL};

static const struct nauha_analyzer_parameter parameters[] = {
    {"steps", NAUHA_PARAMETER_INTEGER, "10", 1, 9007199254740992.0, "number of steps in a mean"},
    {"decrease", NAUHA_PARAMETER_REAL, "0.1", 0, 100,
     "smallest decrease that counts, in per cent of the lowest mean"},
    {"increase", NAUHA_PARAMETER_REAL, "5", 0, (double)INFINITY,
     "largest increase that is allowed, in per cent of the lowest mean"},
    {"patience", NAUHA_PARAMETER_INTEGER, "10", 1, 9007199254740992.0,
     "number of means in a row without a decrease"},
};

NAUHA_ANALYZER(loss_not_decreasing) = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "loss_not_decreasing",
    .summary = "the loss does not fall, or rises",
    .formula = "let m be the mean loss of `steps` steps. Finding: `patience` means in a row are "
               "not below (1 - decrease / 100) * the lowest mean; or two in a row are above (1 + "
               "increase / 100) * the lowest mean, and by more than three standard errors "
               "(SageMaker Debugger: LossNotDecreasing, which compares single steps)",
    .flags = NAUHA_ANALYZER_RULE,
    .default_kinds = kinds,
    .parameters = parameters,
    .parameter_count = sizeof parameters / sizeof *parameters,
    .create = create,
    .compute = compute,
    .destroy = destroy,
};
