/* SPDX-License-Identifier: MIT */
/* Sharing out the messages of a training between parts. The messages of one module and kind go to
 * one part; those of several kinds go to the same part if a metric needs the kinds together.
 *
 * Threads: one at a time until nauha__shares_divide has returned, then any thread.
 */
#ifndef NAUHA_REPLAY_PARALLEL_SHARES_H
#define NAUHA_REPLAY_PARALLEL_SHARES_H

#include "nauha/names.h"

struct nauha__shares;

/* For the kinds and modules that names has now. NULL when out of memory. Caller owns, release with
 * nauha__shares_free. */
struct nauha__shares *nauha__shares_new(const struct nauha_names *names);
void nauha__shares_free(struct nauha__shares *shares);

/* Declares that a metric takes these kinds together: those of one module go to the same part. */
void nauha__shares_take(struct nauha__shares *shares, const uint32_t *kinds, size_t count);
/* If metrics take both kinds, those of one module go to the same part, too. */
void nauha__shares_link(struct nauha__shares *shares, uint32_t one, uint32_t other);
/* Adds `work` for a kind of a module (NAUHA_NONE: of the network). Kinds that no metric takes are
 * ignored. */
void nauha__shares_count(struct nauha__shares *shares, uint32_t kind, uint32_t module,
                         uint64_t work);

/* Shares out between at most `most` parts, as evenly as possible; *parts is how many parts have got
 * something, at least 1. The same counts give the same shares. NOMEM. */
enum nauha_status nauha__shares_divide(struct nauha__shares *shares, uint32_t most, uint32_t *parts,
                                       struct nauha_error *err);

/* The part that a kind of a module belongs to; NAUHA_NONE if no metric takes the kind. */
uint32_t nauha__shares_part(const struct nauha__shares *shares, uint32_t kind, uint32_t module);

/* A hash with which processes find out whether they have shared out in the same way, and a function
 * that mixes a text into it. */
uint64_t nauha__shares_hash(const struct nauha__shares *shares);
uint64_t nauha__shares_hash_text(uint64_t hash, const char *text);

#endif
