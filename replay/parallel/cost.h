/* SPDX-License-Identifier: MIT */
/* Estimating what it costs to decode messages and to compute metrics of them, so that work can be
 * shared out evenly.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_REPLAY_PARALLEL_COST_H
#define NAUHA_REPLAY_PARALLEL_COST_H

#include "nauha/message.h"
#include "nauha/names.h"

struct nauha__cost;

/* For the kinds and modules that names has now. NULL when out of memory. Caller owns, release with
 * nauha__cost_free. */
struct nauha__cost *nauha__cost_new(const struct nauha_names *names);
void nauha__cost_free(struct nauha__cost *cost);

/* The cost of a message of a trace. metrics: what the metrics cost for each byte of it. The unit is
 * what a norm costs for a byte. The same traces give the same costs. */
uint64_t nauha__cost_of(struct nauha__cost *cost, const struct nauha_message *message,
                        uint32_t metrics);

#endif
