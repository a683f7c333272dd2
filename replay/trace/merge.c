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
#include "replay/trace/shards.h"

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
    /* Where there may be shards, all messages of a step are taken in before the first is returned.
     * Those of the step before are kept, because callers may still read them. */
    bool joins;
    struct nauha__shards *now, *before;
    enum { BETWEEN_STEPS, TAKING_IN, GIVING } phase;
    uint64_t step;
    size_t taking; /* the source that is taken in */
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
            if (a.rank == b.rank && !(traces[i]->joined && traces[j]->joined))
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

/* Whether shards may have to be put together. */
static bool has_shards(const struct nauha__merge *merge, const struct nauha_selector *selector) {
    size_t ranks = 0;
    bool any = false;
    for (size_t i = 0; i < merge->count; i++) {
        ranks += !selector || nauha_selector_accepts_rank(selector, merge->sources[i].rank);
        any = any || merge->sources[i].trace->shapes.shards > 0;
    }
    return any && ranks > 1;
}

static enum nauha_status begin_joining(struct nauha__merge *merge, struct nauha_error *err) {
    const struct nauha_names *names = merge->sources[0].trace->names;
    merge->now = nauha__shards_new(names);
    merge->before = nauha__shards_new(names);
    merge->joins = merge->now && merge->before;
    return merge->joins ? NAUHA_OK : nauha_error_nomem(err);
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
    if (status == NAUHA_OK && has_shards(merge, selector))
        status = begin_joining(merge, err);
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
    nauha__shards_free(merge->now);
    nauha__shards_free(merge->before);
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
    /* A trace that is being written may get its first shard in the middle of a step. */
    if (status == NAUHA_OK && merge->count > 1 && !merge->joins)
        status = begin_joining(merge, err);
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

/* The source whose message is the first in order. */
static enum nauha_status find_first(struct nauha__merge *merge, struct source **out,
                                    struct nauha_error *err) {
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
    *out = first;
    return first ? NAUHA_OK : NAUHA_END;
}

/* ---- putting shards together ---- */

static enum nauha_status begin_step(struct nauha__merge *merge, struct nauha_error *err) {
    struct source *first = NULL;
    enum nauha_status status = find_first(merge, &first, err);
    if (status != NAUHA_OK)
        return status;
    struct nauha__shards *oldest = merge->before;
    merge->before = merge->now;
    merge->now = oldest;
    nauha__shards_clear(merge->now);
    merge->step = nauha_message_info(first->message)->global_step;
    merge->taking = 0;
    merge->phase = TAKING_IN;
    return NAUHA_OK;
}

/* Takes in the messages of the step, rank by rank. */
static enum nauha_status take_in(struct nauha__merge *merge, struct nauha_error *err) {
    while (merge->taking < merge->count) {
        struct source *source = &merge->sources[merge->taking];
        enum nauha_status status = fetch(source, err);
        if (status != NAUHA_OK)
            return status;
        if (source->ended && source->live)
            return NAUHA_END;
        if (!source->message || nauha_message_info(source->message)->global_step > merge->step) {
            merge->taking++;
            continue;
        }
        status = nauha__shards_add(merge->now, source->message, err);
        if (status != NAUHA_OK)
            return status;
        source->message = NULL;
    }
    merge->phase = GIVING;
    return NAUHA_OK;
}

static enum nauha_status next_joined(struct nauha__merge *merge, struct nauha_message **message,
                                     struct nauha_error *err) {
    for (;;) {
        enum nauha_status status = NAUHA_OK;
        switch (merge->phase) {
        case BETWEEN_STEPS:
            status = begin_step(merge, err);
            break;
        case TAKING_IN:
            status = take_in(merge, err);
            break;
        case GIVING:
            status = nauha__shards_next(merge->now, message, err);
            if (status != NAUHA_END)
                return status;
            merge->phase = BETWEEN_STEPS;
            status = NAUHA_OK;
        }
        if (status != NAUHA_OK)
            return status;
    }
}

enum nauha_status nauha__merge_next(struct nauha__merge *merge, struct nauha_message **message,
                                    struct nauha_error *err) {
    if (merge->given)
        merge->given->message = NULL;
    merge->given = NULL;
    if (merge->joins)
        return next_joined(merge, message, err);
    enum nauha_status status = find_first(merge, &merge->given, err);
    if (status == NAUHA_OK)
        *message = merge->given->message;
    return status;
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
