/* SPDX-License-Identifier: MIT */
/* For metrics and rules of the loss: it as one number.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_ANALYZERS_SUPPORT_LOSS_H
#define NAUHA_ANALYZERS_SUPPORT_LOSS_H

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

/* The counts of losses that have yet to come, by rank. Initialize with counts_init, free with
 * key_table_fini. */
static inline enum nauha_status counts_init(const struct nauha_host *host, struct key_table *counts,
                                            struct nauha_error *err) {
    static const char *const kinds[] = {"samples_in_loss"};
    counts->state_bytes = sizeof(double);
    return host->subscribe(host, kinds, 1, NULL, false, err);
}

/* A loss as the mean of its samples or tokens. */
struct mean_loss {
    double value;
    double count; /* of the samples or tokens; 1 if it is not known */
    bool present; /* false: the message was a count, which is kept for the loss that follows it */
};

/* Takes a message of the kind loss or samples_in_loss. A loss that a count came before is the sum
 * of so many samples or tokens (reduction="sum"), another one is as loss_of gives it. */
static inline enum nauha_status mean_loss_of(const struct nauha_host *host,
                                             struct key_table *counts,
                                             struct nauha_message *message, struct mean_loss *loss,
                                             struct nauha_error *err) {
    const struct nauha_message_info *info = host->info(message);
    double *count = key_table_get(counts, (struct key){.rank = info->rank});
    if (!count)
        return NAUHA_HOST_NOMEM(host, err);
    double value = 0;
    enum nauha_status status = loss_of(host, message, &value, err);
    if (strcmp(info->kind_name, "samples_in_loss") == 0) {
        *loss = (struct mean_loss){0};
        *count = value;
        return status;
    }
    *loss = (struct mean_loss){value, 1, true};
    if (*count > 0)
        *loss = (struct mean_loss){value / *count, *count, true};
    *count = 0;
    return status;
}

#endif
