/* SPDX-License-Identifier: MIT */
/* For metrics and rules of the loss: it as one number.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_ANALYZERS_SUPPORT_LOSS_H
#define NAUHA_ANALYZERS_SUPPORT_LOSS_H

#include <math.h>
#include <stdlib.h>

#include "analyzers/support/keys.h"
#include "nauha/analyzer.h"

/* What the loss function returned; of several elements (reduction="none") their mean, which
 * programs then minimize; NaN if there are none. */
static inline enum nauha_status loss_of(const struct nauha_host *host,
                                        struct nauha_message *message, double *loss,
                                        struct nauha_error *err) {
    const struct nauha_stats *stats = NULL;
    enum nauha_status status = host->stats_of(message, NAUHA_STATISTICS_SUM, &stats, err);
    if (status == NAUHA_OK)
        *loss = stats->mean;
    return status;
}

/* What is known of a loss that has yet to come. */
struct loss_count {
    double samples;
    bool is_mean;
};

/* The counts of losses that have yet to come, by rank. Initialize with counts_init, free with
 * key_table_fini. */
static inline enum nauha_status counts_init(const struct nauha_host *host, struct key_table *counts,
                                            struct nauha_error *err) {
    static const char *const kinds[] = {"samples_in_loss"};
    counts->state_bytes = sizeof(struct loss_count);
    return host->subscribe(host, kinds, 1, NULL, false, err);
}

/* What the metrics of the loss begin with. */
struct loss_metric {
    const struct nauha_host *host;
    uint32_t topic;
    struct key_table counts;
};

/* The `create` of such a metric, which publishes this topic. series: its name in files; NULL: that
 * of the topic. */
static inline enum nauha_status loss_metric_create(const struct nauha_host *host, const char *topic,
                                                   const char *series, const char *title,
                                                   size_t size, struct loss_metric **metric,
                                                   struct nauha_error *err) {
    const struct nauha_plot plot = {.series = series,
                                    .title = title,
                                    .xlabel = "step",
                                    .ylabel = "loss",
                                    .y_low = (double)NAN,
                                    .y_high = (double)NAN};
    struct loss_metric *made = calloc(1, size);
    if (!made)
        return NAUHA_HOST_NOMEM(host, err);
    made->host = host;
    enum nauha_status status = host->register_topic(host, topic, NAUHA_SCOPE_NETWORK,
                                                    NAUHA_FORM_SCALAR, &plot, &made->topic, err);
    if (status == NAUHA_OK)
        status = counts_init(host, &made->counts, err);
    if (status != NAUHA_OK) {
        free(made);
        return status;
    }
    *metric = made;
    return NAUHA_OK;
}

/* A loss as the mean of its samples or tokens. */
struct mean_loss {
    double value;
    double count; /* of the samples or tokens; 1 if it is not known */
    bool present; /* false: the message was a count, which is kept for the loss that follows it */
};

/* Takes a message of the kind loss or samples_in_loss. A count says whether the loss that follows
 * is the mean (slot "mean") or the sum of so many samples or tokens; a loss without one is as
 * loss_of gives it. */
static inline enum nauha_status mean_loss_of(const struct nauha_host *host,
                                             struct key_table *counts,
                                             struct nauha_message *message, struct mean_loss *loss,
                                             struct nauha_error *err) {
    const struct nauha_message_info *info = host->info(message);
    struct loss_count *count =
        key_table_get(counts, (struct key){.tag = info->tag, .rank = info->rank});
    if (!count)
        return NAUHA_HOST_NOMEM(host, err);
    double value = 0;
    enum nauha_status status = loss_of(host, message, &value, err);
    if (strcmp(info->kind_name, "samples_in_loss") == 0) {
        *loss = (struct mean_loss){0};
        *count = (struct loss_count){value, strcmp(info->slot_name, "mean") == 0};
        return status;
    }
    const bool known = count->samples > 0;
    *loss = (struct mean_loss){known && !count->is_mean ? value / count->samples : value,
                               known ? count->samples : 1, true};
    *count = (struct loss_count){0};
    return status;
}

#endif
