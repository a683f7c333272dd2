/* SPDX-License-Identifier: MIT */
/* What a message costs to decode and to look at, about: so that work can be shared out evenly.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_REPLAY_PARALLEL_COST_H
#define NAUHA_REPLAY_PARALLEL_COST_H

#include "nauha/message.h"
#include "nauha/names.h"

struct nauha__cost;

/* For kinds and modules of these names, borrowed until nauha__cost_free. NULL when out of memory.
 * Caller owns, release with nauha__cost_free. */
struct nauha__cost *nauha__cost_new(const struct nauha_names *names);
void nauha__cost_free(struct nauha__cost *cost);

/* Of a message of a trace, of which a byte costs `metrics` to look at. The unit is what a norm
 * costs for a byte, and the same traces give the same costs. */
uint64_t nauha__cost_of(struct nauha__cost *cost, const struct nauha_message *message,
                        uint32_t metrics);

#endif
