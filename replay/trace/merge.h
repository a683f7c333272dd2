/* SPDX-License-Identifier: MIT */
/* The messages of several traces of one training, in one order: step by step, and within a step
 * rank by rank, each rank's in its order of publication.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_REPLAY_TRACE_MERGE_H
#define NAUHA_REPLAY_TRACE_MERGE_H

#include "nauha/trace.h"

struct nauha__merge;

/* The traces are borrowed until nauha__merge_free; selector may be NULL. INVALID: as
 * nauha_pipeline_check_ranks. Else as nauha_cursor_new. */
enum nauha_status nauha__merge_new(struct nauha_trace *const *traces, size_t count,
                                   const struct nauha_selector *selector,
                                   struct nauha__merge **merge, struct nauha_error *err);
void nauha__merge_free(struct nauha__merge *merge);

/* Goes on with another selector, copied. NOMEM. */
enum nauha_status nauha__merge_select(struct nauha__merge *merge,
                                      const struct nauha_selector *selector,
                                      struct nauha_error *err);

/* As nauha_trace_refresh, for all traces; *live: for any. */
enum nauha_status nauha__merge_refresh(struct nauha__merge *merge, bool *live,
                                       struct nauha_error *err);

/* As nauha_cursor_next. After a refresh, NAUHA_END also where it is the turn of a trace that is
 * still being written and has no more messages by now. */
enum nauha_status nauha__merge_next(struct nauha__merge *merge, struct nauha_message **message,
                                    struct nauha_error *err);
/* Rows passed and rows in all, of all traces. */
void nauha__merge_progress(const struct nauha__merge *merge, uint64_t *done, uint64_t *total);

#endif
