/* SPDX-License-Identifier: MIT */
/* For health rules: the parts that they have in common.
 *
 * A rule publishes what it measures as a series, so that it can be plotted, and reports a finding
 * if the value is beyond the rule's threshold. Names and defaults are those of the built-in rules
 * of Amazon SageMaker Debugger, if it has the rule.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_ANALYZERS_SUPPORT_RULE_H
#define NAUHA_ANALYZERS_SUPPORT_RULE_H

#include "analyzers/support/kinds.h"

/* The first member of the struct of every rule. */
struct rule {
    const struct nauha_host *host;
    struct kind_topics topics; /* of a rule that measures each message */
    uint32_t topic;            /* of one that measures the training */
};

/* Allocates a rule, which is zero except for `host`; NULL when out of memory. */
static inline void *rule_new(const struct nauha_host *host, size_t bytes) {
    struct rule *rule = calloc(1, bytes);
    if (rule)
        rule->host = host;
    return rule;
}

/* Registers the single topic of a rule that measures the training. */
static inline enum nauha_status rule_register(struct rule *rule, const char *name,
                                              const char *title, const char *ylabel,
                                              struct nauha_error *err) {
    const struct nauha_plot plot = {.title = title,
                                    .xlabel = "step",
                                    .ylabel = ylabel,
                                    .y_low = (double)NAN,
                                    .y_high = (double)NAN};
    return rule->host->register_topic(rule->host, name, NAUHA_SCOPE_NETWORK, NAUHA_FORM_SCALAR,
                                      &plot, &rule->topic, err);
}

/* Publishes what was measured for a message of one of the SPEC's kinds. */
static inline enum nauha_status rule_publish(struct rule *rule,
                                             const struct nauha_message_info *info, double value,
                                             struct nauha_error *err) {
    const size_t i = kind_topics_find(&rule->topics, info);
    return rule->host->publish_scalar(rule->host, rule->topics.rows[i].topic, info, value, err);
}

/* Makes a rule, with a struct of `bytes` bytes, that measures each message of the SPEC's kinds. */
static inline enum nauha_status rule_create(const struct nauha_host *host,
                                            const struct nauha_analyzer_config *config,
                                            const struct kind_topics_plan *plan, size_t bytes,
                                            void **self, struct nauha_error *err) {
    struct rule *rule = rule_new(host, bytes);
    if (!rule)
        return NAUHA_HOST_NOMEM(host, err);
    enum nauha_status status = kind_topics_register(&rule->topics, host, config, plan, err);
    if (status != NAUHA_OK) {
        free(rule);
        return status;
    }
    *self = rule;
    return NAUHA_OK;
}

#endif
