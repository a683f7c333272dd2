/* SPDX-License-Identifier: MIT */
/* The traces of several ranks in one order; see merge.h.
 *
 * Threads: one at a time.
 */
#include "replay/trace/merge.h"

#include <inttypes.h>
#include <stdlib.h>

#include "nauha/pipeline.h"
#include "replay/trace/parts.h"

/* One trace, and its next message, which is borrowed from its cursor until that moves on. */
struct source {
    struct nauha_trace *trace;
    struct nauha_cursor *cursor;
    struct nauha_message *message; /* NULL: not read yet, or at the end */
    uint32_t rank;
    bool ended;
    bool live; /* a writer may still add messages */
};

struct nauha__merge {
    size_t count;
    struct source *given; /* whose message the caller borrows */
    struct source sources[];
};

static int by_rank(const void *a, const void *b) {
    const struct source *left = a, *right = b;
    return (left->rank > right->rank) - (left->rank < right->rank);
}

enum nauha_status nauha_pipeline_check_ranks(struct nauha_trace *const *traces, size_t count,
                                             struct nauha_error *err) {
    struct nauha_trace_info a, b;
    for (size_t i = 0; i < count; i++) {
        nauha_trace_get_head(traces[i], &a);
        for (size_t j = 0; j < i; j++) {
            nauha_trace_get_head(traces[j], &b);
            if (a.rank == b.rank)
                return nauha_error_set(
                    err, NAUHA_INVALID,
                    "\"%s\" and \"%s\" both have rank %" PRIu32
                    ": they are different trainings, which have to be replayed one by one",
                    b.path, a.path, a.rank);
            if (a.world_size != b.world_size)
                return nauha_error_set(
                    err, NAUHA_INVALID,
                    "\"%s\" is one of %" PRIu32 " ranks, \"%s\" one of %" PRIu32
                    ": they are different trainings, which have to be replayed one by one",
                    b.path, b.world_size, a.path, a.world_size);
        }
    }
    return NAUHA_OK;
}

enum nauha_status nauha__merge_new(struct nauha_trace *const *traces, size_t count,
                                   const struct nauha_selector *selector, struct nauha__merge **out,
                                   struct nauha_error *err) {
    enum nauha_status status = nauha_pipeline_check_ranks(traces, count, err);
    if (status != NAUHA_OK)
        return status;
    struct nauha__merge *merge = calloc(1, sizeof *merge + count * sizeof *merge->sources);
    if (!merge)
        return nauha_error_nomem(err);
    for (; merge->count < count && status == NAUHA_OK; merge->count++) {
        struct source *source = &merge->sources[merge->count];
        struct nauha_trace_info info;
        nauha_trace_get_head(traces[merge->count], &info);
        source->trace = traces[merge->count];
        source->rank = info.rank;
        nauha__chunks_limit_cache(source->trace->chunks, NAUHA__CHUNK_CACHE_BYTES / count);
        status = nauha_cursor_new(traces[merge->count], selector, &source->cursor, err);
    }
    if (status != NAUHA_OK) {
        nauha__merge_free(merge);
        return status;
    }
    qsort(merge->sources, count, sizeof *merge->sources, by_rank);
    *out = merge;
    return NAUHA_OK;
}

void nauha__merge_free(struct nauha__merge *merge) {
    if (!merge)
        return;
    for (size_t i = 0; i < merge->count; i++)
        nauha_cursor_free(merge->sources[i].cursor);
    free(merge);
}

enum nauha_status nauha__merge_select(struct nauha__merge *merge,
                                      const struct nauha_selector *selector,
                                      struct nauha_error *err) {
    enum nauha_status status = NAUHA_OK;
    for (size_t i = 0; i < merge->count && status == NAUHA_OK; i++)
        status = nauha__cursor_select(merge->sources[i].cursor, selector, err);
    return status;
}

enum nauha_status nauha__merge_refresh(struct nauha__merge *merge, bool *live,
                                       struct nauha_error *err) {
    enum nauha_status status = NAUHA_OK;
    *live = false;
    for (size_t i = 0; i < merge->count && status == NAUHA_OK; i++) {
        struct source *source = &merge->sources[i];
        status = nauha_trace_refresh(source->trace, &source->live, err);
        source->ended = false;
        *live = *live || source->live;
    }
    return status;
}

static enum nauha_status fetch(struct source *source, struct nauha_error *err) {
    if (source->message || source->ended)
        return NAUHA_OK;
    enum nauha_status status = nauha_cursor_next(source->cursor, &source->message, err);
    source->ended = status == NAUHA_END;
    if (status != NAUHA_OK)
        source->message = NULL;
    return source->ended ? NAUHA_OK : status;
}

enum nauha_status nauha__merge_next(struct nauha__merge *merge, struct nauha_message **message,
                                    struct nauha_error *err) {
    if (merge->given)
        merge->given->message = NULL;
    merge->given = NULL;
    struct source *first = NULL;
    for (size_t i = 0; i < merge->count; i++) {
        struct source *source = &merge->sources[i];
        enum nauha_status status = fetch(source, err);
        if (status != NAUHA_OK)
            return status;
        if (source->ended && source->live)
            return NAUHA_END;
        if (source->message && (!first || nauha_message_info(source->message)->global_step <
                                              nauha_message_info(first->message)->global_step))
            first = source;
    }
    if (!first)
        return NAUHA_END;
    merge->given = first;
    *message = first->message;
    return NAUHA_OK;
}

void nauha__merge_progress(const struct nauha__merge *merge, uint64_t *done, uint64_t *total) {
    *done = *total = 0;
    for (size_t i = 0; i < merge->count; i++) {
        uint64_t of_one, all_of_one;
        nauha_cursor_progress(merge->sources[i].cursor, &of_one, &all_of_one);
        *done += of_one;
        *total += all_of_one;
    }
}
