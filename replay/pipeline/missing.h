/* SPDX-License-Identifier: MIT */
/* Why a metric got no messages: which of the kinds that metrics want came, with which tags.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_REPLAY_PIPELINE_MISSING_H
#define NAUHA_REPLAY_PIPELINE_MISSING_H

#include "replay/pipeline/metric.h"

/* The tags with which messages of each kind came, as bits. Zero is empty. */
struct nauha__came {
    uint64_t *tags; /* by kind; the last bit stands for tag 63 and those after it */
    size_t count;
};

void nauha__came_note(struct nauha__came *came, uint32_t kind, uint32_t tag);
void nauha__came_fini(struct nauha__came *came);

/* Why the metric got no messages, as a sentence without full stop; NULL if it got some, if it
 * failed, if its kinds came but not together, which the bus says, or when out of memory. Caller
 * owns, release with free. */
char *nauha__came_explain(const struct nauha__came *came, const struct nauha_names *names,
                          const struct nauha__metric *metric);

#endif
