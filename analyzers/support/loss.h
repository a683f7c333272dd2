/* SPDX-License-Identifier: MIT */
/* For metrics and rules of the loss: it as one number.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_ANALYZERS_SUPPORT_LOSS_H
#define NAUHA_ANALYZERS_SUPPORT_LOSS_H

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

#endif
