/* SPDX-License-Identifier: MIT */
/* For rules that compare the losses of the training with those of an evaluation, which has a tag of
 * its own: the mean of each evaluation, and the mean of the training since the evaluation before.
 * The loss of a step is the sum of what its backward passes began with, since programs that
 * accumulate gradients divide the loss of each micro-batch by their number.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_ANALYZERS_SUPPORT_EVALUATIONS_H
#define NAUHA_ANALYZERS_SUPPORT_EVALUATIONS_H

#include "analyzers/support/keys.h"
#include "analyzers/support/loss.h"
#include "analyzers/support/rule.h"

/* The losses of one rank. */
struct evaluations {
    double training_sum, validation_sum;
    uint64_t training_count;          /* steps */
    double validation_count;          /* samples or tokens; losses, if these are not known */
    uint64_t step;                    /* of the latest loss of the training */
    struct nauha_message_info stamps; /* of the evaluation's latest loss */
    double training;                  /* mean of the latest training losses */
    bool has_training;
    uint32_t training_tag;
    uint64_t waiting[2]; /* for the rule's use */
    double best[2];
    bool has_best;
};

struct evaluations_rule {
    struct rule rule;
    struct key_table ranks; /* struct evaluations */
    struct key_table counts;
    char validation[NAUHA_NAME_MAX + 1];
    /* Called when an evaluation has ended, with the two means. */
    enum nauha_status (*judge)(struct evaluations_rule *rule, struct evaluations *evaluations,
                               double training, double validation, struct nauha_error *err);
};

#define EVALUATIONS_PARAMETER                                                                      \
    { "validation", NAUHA_PARAMETER_TEXT, "testing", 0, 0, "the tag of the evaluation" }

static inline void evaluations_free(void *self) {
    struct evaluations_rule *rule = self;
    key_table_fini(&rule->ranks, NULL);
    key_table_fini(&rule->counts, NULL);
    free(rule);
}

/* Subscribes a rule to the losses of the evaluation, too. */
static inline enum nauha_status evaluations_init(struct evaluations_rule *rule,
                                                 const char *validation, struct nauha_error *err) {
    static const char *const kinds[] = {"loss", "samples_in_loss"};
    const struct nauha_host *host = rule->rule.host;
    rule->ranks.state_bytes = sizeof(struct evaluations);
    if (!validation[0] || strlen(validation) > NAUHA_NAME_MAX)
        return host->fail(err, NAUHA_INVALID, "key \"validation\" takes the name of a tag");
    strcpy(rule->validation, validation);
    enum nauha_status status = counts_init(host, &rule->counts, err);
    return status == NAUHA_OK ? host->subscribe(host, kinds, 2, validation, false, err) : status;
}

/* Ends the evaluation that is open, if one is. */
static inline enum nauha_status evaluations_close(struct evaluations_rule *rule,
                                                  struct evaluations *evaluations,
                                                  struct nauha_error *err) {
    if (evaluations->validation_count == 0)
        return NAUHA_OK;
    if (evaluations->training_count > 0) {
        evaluations->training = evaluations->training_sum / (double)evaluations->training_count;
        evaluations->has_training = true;
    }
    const double validation = evaluations->validation_sum / evaluations->validation_count;
    evaluations->training_sum = evaluations->validation_sum = evaluations->validation_count = 0;
    evaluations->training_count = 0;
    return evaluations->has_training
               ? rule->judge(rule, evaluations, evaluations->training, validation, err)
               : NAUHA_OK;
}

static inline enum nauha_status evaluations_compute(void *self, struct nauha_bundle *bundle,
                                                    struct nauha_error *err) {
    struct evaluations_rule *rule = self;
    const struct nauha_host *host = rule->rule.host;
    struct nauha_message *message = host->bundle_message(bundle, 0);
    const struct nauha_message_info *info = host->info(message);
    struct mean_loss loss = {0};
    enum nauha_status status = mean_loss_of(host, &rule->counts, message, &loss, err);
    if (status != NAUHA_OK || !loss.present)
        return status;
    struct evaluations *evaluations = key_table_get(&rule->ranks, (struct key){.rank = info->rank});
    if (!evaluations)
        return NAUHA_HOST_NOMEM(host, err);
    if (strcmp(info->tag_name, rule->validation) == 0) {
        evaluations->validation_sum += loss.value * loss.count;
        evaluations->validation_count += loss.count;
        evaluations->stamps = *info;
        evaluations->stamps.call = 0;
        return NAUHA_OK;
    }
    status = evaluations_close(rule, evaluations, err);
    evaluations->training_tag = info->tag;
    evaluations->training_sum += loss.value;
    if (evaluations->training_count == 0 || info->global_step != evaluations->step)
        evaluations->training_count++;
    evaluations->step = info->global_step;
    return status;
}

/* Publishes what was measured under the tag of the training, which the SPEC of the rule has. */
static inline enum nauha_status evaluations_publish(const struct evaluations_rule *rule,
                                                    const struct evaluations *evaluations,
                                                    double value, struct nauha_error *err) {
    struct nauha_message_info stamps = evaluations->stamps;
    stamps.tag = evaluations->training_tag;
    return rule->rule.host->publish_scalar(rule->rule.host, rule->rule.topic, &stamps, value, err);
}

/* Ends the evaluations that are still open at the end of the run. */
static inline enum nauha_status evaluations_finish(void *self, struct nauha_error *err) {
    struct evaluations_rule *rule = self;
    enum nauha_status status = NAUHA_OK;
    for (size_t i = 0; i < rule->ranks.count && status == NAUHA_OK; i++)
        status = evaluations_close(rule, rule->ranks.rows[i].state, err);
    return status;
}

#endif
