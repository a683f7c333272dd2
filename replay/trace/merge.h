/* SPDX-License-Identifier: MIT */
/* The messages of several traces of one training in one order: by step, within a step by rank, and
 * of each rank in the order of publication. Shards of a tensor become one message of the whole, in
 * the place of the first; see shards.h. If only one rank can be selected, its shards stay shards.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_REPLAY_TRACE_MERGE_H
#define NAUHA_REPLAY_TRACE_MERGE_H

#include "nauha/trace.h"

struct nauha__merge;

/* The traces are borrowed until nauha__merge_free; selector is copied and may be NULL. INVALID: as
 * nauha_pipeline_check_ranks. Otherwise as nauha_cursor_new. */
enum nauha_status nauha__merge_new(struct nauha_trace *const *traces, size_t count,
                                   const struct nauha_selector *selector,
                                   struct nauha__merge **merge, struct nauha_error *err);
void nauha__merge_free(struct nauha__merge *merge);

/* Continues with another selector, which is copied. NOMEM. */
enum nauha_status nauha__merge_select(struct nauha__merge *merge,
                                      const struct nauha_selector *selector,
                                      struct nauha_error *err);

/* As nauha_trace_refresh, for all traces; *live is true if any trace is still being written. */
enum nauha_status nauha__merge_refresh(struct nauha__merge *merge, bool *live,
                                       struct nauha_error *err);

/* As nauha_cursor_next. After nauha__merge_refresh, also returns NAUHA_END if a trace that is still
 * being written has no more messages for now, because its next message may be the first in order,
 * or hold a shard that is needed. DAMAGED also for shards that do not make up a whole. A message of
 * a whole can be read until the second step after it begins. */
enum nauha_status nauha__merge_next(struct nauha__merge *merge, struct nauha_message **message,
                                    struct nauha_error *err);
/* How many rows have been passed, and how many there are, in all traces. */
void nauha__merge_progress(const struct nauha__merge *merge, uint64_t *done, uint64_t *total);

#endif
