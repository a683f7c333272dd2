/* SPDX-License-Identifier: MIT */
/* For metrics that are one number of a message's statistics: all but the number.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_ANALYZERS_SUPPORT_STATISTIC_H
#define NAUHA_ANALYZERS_SUPPORT_STATISTIC_H

#include "analyzers/support/kinds.h"
#include "analyzers/support/scaled.h"

typedef double (*statistic_fn)(const struct nauha_stats *stats);

struct statistic {
    const struct nauha_host *host;
    unsigned which; /* what `value` looks at */
    int power;      /* of the elements that it is in */
    statistic_fn value;
    struct kind_topics topics;
};

/* The `create` of such a metric; which: the statistics that `value` looks at; power: twice the
 * elements give 2^power times the value. */
static inline enum nauha_status statistic_create(const struct nauha_host *host,
                                                 const struct nauha_analyzer_config *config,
                                                 const struct kind_topics_plan *plan,
                                                 unsigned which, int power, statistic_fn value,
                                                 void **self, struct nauha_error *err) {
    struct statistic *statistic = calloc(1, sizeof *statistic);
    if (!statistic)
        return NAUHA_HOST_NOMEM(host, err);
    statistic->host = host;
    statistic->which = which;
    statistic->power = power;
    statistic->value = value;
    enum nauha_status status = kind_topics_register(&statistic->topics, host, config, plan, err);
    if (status != NAUHA_OK) {
        free(statistic);
        return status;
    }
    *self = statistic;
    return NAUHA_OK;
}

/* Its `compute`; `destroy` is free. */
static inline enum nauha_status statistic_compute(void *self, struct nauha_bundle *bundle,
                                                  struct nauha_error *err) {
    struct statistic *statistic = self;
    const struct nauha_host *host = statistic->host;
    struct nauha_message *message = host->bundle_message(bundle, 0);
    const struct nauha_message_info *info = host->info(message);
    struct scaled scaled;
    enum nauha_status status = scaled_stats(host, message, statistic->which, &scaled, err);
    if (status != NAUHA_OK)
        return status;
    const size_t i = kind_topics_find(&statistic->topics, info);
    return host->publish_scalar(
        host, statistic->topics.rows[i].topic, info,
        ldexp(statistic->value(&scaled.stats), statistic->power * scaled.exponent), err);
}

#endif
