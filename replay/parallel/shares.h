/* SPDX-License-Identifier: MIT */
/* Sharing out the messages of a training: those of one module go to one part, all of them where a
 * metric needs them together, else kind by kind.
 *
 * Threads: any thread once it is made.
 */
#ifndef NAUHA_REPLAY_PARALLEL_SHARES_H
#define NAUHA_REPLAY_PARALLEL_SHARES_H

#include "nauha/names.h"

struct nauha__shares;

/* For kinds and modules of these names, borrowed until nauha__shares_free. NULL when out of memory.
 * Caller owns, release with nauha__shares_free. */
struct nauha__shares *nauha__shares_new(const struct nauha_names *names);
void nauha__shares_free(struct nauha__shares *shares);

/* A metric takes these kinds: of one module, they go to the same part. */
void nauha__shares_take(struct nauha__shares *shares, const uint32_t *kinds, size_t count);
/* Where both kinds are taken, those of one module go to the same part, too. */
void nauha__shares_link(struct nauha__shares *shares, uint32_t one, uint32_t other);
/* So much is to be done for a kind of a module (NAUHA_NONE: of the network), more than before.
 * Kinds that no metric takes count as nothing. */
void nauha__shares_count(struct nauha__shares *shares, uint32_t kind, uint32_t module,
                         uint64_t work);

/* Shares out between at most `most` parts, as evenly as can be; returns how many got something, at
 * least 1. The same counts give the same shares. NOMEM. */
enum nauha_status nauha__shares_divide(struct nauha__shares *shares, uint32_t most, uint32_t *parts,
                                       struct nauha_error *err);

/* The part that does it; NAUHA_NONE where no metric takes the kind. */
uint32_t nauha__shares_part(const struct nauha__shares *shares, uint32_t kind, uint32_t module);

/* Tells whether two processes have shared out alike; and a text mixed into such a number. */
uint64_t nauha__shares_hash(const struct nauha__shares *shares);
uint64_t nauha__shares_hash_text(uint64_t hash, const char *text);

#endif
