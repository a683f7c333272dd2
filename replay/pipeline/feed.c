/* SPDX-License-Identifier: MIT */
/* Feeding a pipeline with live messages, with finished traces, and with traces that are still being
 * written; see nauha/pipeline.h.
 *
 * Threads: one at a time.
 */
#include <stdio.h>
#include <stdlib.h>

#include "nauha/internal/clock.h"
#include "replay/bus/parts.h"
#include "replay/trace/merge.h"
#include "replay/pipeline/parts.h"
#include "replay/pipeline/sharing.h"

/* The progress callback is called at most this often. */
#define PROGRESS_NS 50000000
/* Sinks write what they hold back at least this often, for those who watch the files. */
#define FLUSH_NS 1000000000
/* Number of failed attempts in a row to read a trace, after which following it fails. */
#define REFRESH_ATTEMPTS 20u

static bool is_published(const struct nauha_pipeline *pipeline, uint32_t kind) {
    for (size_t i = 0; i < pipeline->metrics.count; i++) {
        const struct nauha__metric *metric = pipeline->metrics.list[i];
        for (size_t j = 0; j < metric->topic_count; j++) {
            if (metric->topics[j]->kind == kind)
                return true;
        }
    }
    return false;
}

/* Whether messages of a kind reach the bus: those that a subscription wants, and all events.
 * Events are where the bus ends a step: without batch_finished, messages of the same step that
 * follow it (another pass, another tag) would join a step that is over by then. The rule is the
 * same live and at replay, so the bus sees the same sequence and the sinks write the same bytes. */
static bool delivers(const struct nauha_pipeline *pipeline, uint32_t kind) {
    if (!nauha_bus_has_topic(pipeline->bus, kind))
        return false;
    if (nauha_names_kind_form(pipeline->names, kind) == NAUHA_FORM_EVENT)
        return true;
    return nauha_bus_wants(pipeline->bus, kind) && !is_published(pipeline, kind);
}

static enum nauha_status publish(struct nauha_pipeline *pipeline, struct nauha_message *message,
                                 struct nauha_error *err) {
    const struct nauha_message_info *info = nauha_message_info(message);
    nauha__came_note(&pipeline->came, info->kind, info->tag);
    if (!delivers(pipeline, info->kind) || (pipeline->recomputed && info->tag != 0))
        return NAUHA_OK;
    enum nauha_status status = nauha_bus_publish(pipeline->bus, message, err);
    if (status != NAUHA_OK)
        pipeline->state = NAUHA__FAILED;
    return status;
}

static enum nauha_status flush_if_due(struct nauha_pipeline *pipeline, uint64_t now,
                                      struct nauha_error *err) {
    if (pipeline->flushed_ns == 0)
        pipeline->flushed_ns = now;
    if (now - pipeline->flushed_ns < FLUSH_NS)
        return NAUHA_OK;
    pipeline->flushed_ns = now;
    enum nauha_status status = nauha__pipeline_flush(pipeline, err);
    if (status != NAUHA_OK)
        pipeline->state = NAUHA__FAILED;
    return status;
}

enum nauha_status nauha_pipeline_publish(void *context, struct nauha_message *message,
                                         struct nauha_error *err) {
    struct nauha_pipeline *pipeline = context;
    enum nauha_status status = nauha__pipeline_check(pipeline, NAUHA__RUNNING, "publish", err);
    if (status == NAUHA_OK)
        status = publish(pipeline, message, err);
    return status == NAUHA_OK ? flush_if_due(pipeline, nauha__now_ns(), err) : status;
}

enum nauha_status nauha_pipeline_publish_made(struct nauha_pipeline *pipeline,
                                              const struct nauha_message_info *stamps,
                                              const struct nauha_tensor *tensor,
                                              struct nauha_error *err) {
    struct nauha_message message = {.info = *stamps, .data = tensor->data};
    struct nauha_message_info *info = &message.info;
    size_t elements;
    uint32_t shape;
    enum nauha_status status = nauha_tensor_count(tensor, &elements, err);
    if (status == NAUHA_OK)
        status = nauha_names_add_shape(pipeline->names, tensor->shape, tensor->ndim, &shape, err);
    if (status != NAUHA_OK)
        return status;
    info->has_tensor = true;
    info->kept = NAUHA_KEPT_ELEMENTS;
    info->dtype = tensor->dtype;
    info->bytes = elements * nauha_dtype_size(tensor->dtype);
    nauha__message_resolve(info, pipeline->names, shape);
    status = nauha_pipeline_publish(pipeline, &message, err);
    nauha__message_fini(&message);
    return status;
}

/* The kinds to read, with commas. Events are always among them. */
static char *wanted_kinds(const struct nauha_pipeline *pipeline, struct nauha_selector *chosen) {
    char *text = NULL;
    size_t length = 0;
    FILE *memory = open_memstream(&text, &length);
    if (!memory)
        return NULL;
    const char *comma = "";
    for (uint32_t kind = 0; kind < nauha_names_kinds(pipeline->names); kind++) {
        if (!delivers(pipeline, kind) ||
            (nauha_names_kind_form(pipeline->names, kind) != NAUHA_FORM_EVENT &&
             !nauha_selector_accepts_kind(chosen, pipeline->names, kind)))
            continue;
        fprintf(memory, "%s%s", comma, nauha_names_kind(pipeline->names, kind));
        comma = ",";
    }
    const bool failed = ferror(memory) != 0;
    if (fclose(memory) != 0 || failed) {
        free(text);
        return NULL;
    }
    return text;
}

/* The selection, restricted to the kinds that are needed. */
static enum nauha_status narrow(const struct nauha_pipeline *pipeline,
                                const struct nauha_selector *given, struct nauha_selector **out,
                                struct nauha_error *err) {
    enum nauha_status status = NAUHA_OK;
    if (given)
        status = nauha_selector_check(given, pipeline->names, err);
    if (status != NAUHA_OK)
        return status;
    *out = given ? nauha_selector_copy(given) : nauha_selector_new();
    char *kinds = *out ? wanted_kinds(pipeline, *out) : NULL;
    if (!kinds)
        return nauha_error_nomem(err);
    status = nauha_selector_set(*out, "kinds", kinds, err);
    free(kinds);
    return status;
}

/* The state of one call that feeds from traces. progress and follow may be NULL. */
struct feeding {
    struct nauha_pipeline *pipeline;
    struct nauha__merge *merge;
    struct nauha__parallel *parallel; /* NULL: on one thread */
    const struct nauha_selector *given;
    struct nauha_selector *narrowed; /* restricted to the kinds that are needed */
    nauha_progress_fn progress;
    nauha_follow_fn follow;
    void *context;
    uint64_t called; /* when the callback was last called */
    bool stopped;    /* the callback asked to stop */
    uint32_t kinds;  /* number of kinds in the names object when the selection was restricted */
    unsigned failures;
};

static void tell(struct feeding *feeding, bool waiting) {
    uint64_t done = 0, total = 0;
    nauha__merge_progress(feeding->merge, &done, &total);
    if (feeding->progress)
        feeding->progress(feeding->context, done, total);
    else
        feeding->stopped = !feeding->follow(feeding->context, waiting, done, total);
}

/* Delivers the messages that the traces have now. */
static enum nauha_status walk(struct feeding *feeding, struct nauha_error *err) {
    const bool tells = feeding->progress || feeding->follow;
    struct nauha_bus *bus = feeding->pipeline->bus;
    struct nauha_error reason = NAUHA_ERROR_INIT; /* err is only for errors that end the call */
    enum nauha_status status = NAUHA_OK;
    while (status == NAUHA_OK && !feeding->stopped) {
        struct nauha_message *message = NULL;
        status = nauha__merge_next(feeding->merge, &message, &reason);
        if (status == NAUHA_OK)
            status = publish(feeding->pipeline, message, &reason);
        else if (status == NAUHA_DAMAGED && nauha__bus_leave_out(bus, reason.message))
            status = NAUHA_OK;
        const uint64_t now = nauha__now_ns();
        if (status == NAUHA_OK)
            status = flush_if_due(feeding->pipeline, now, &reason);
        if (tells && (now - feeding->called >= PROGRESS_NS || status == NAUHA_END)) {
            tell(feeding, false);
            feeding->called = now;
        }
    }
    if (status == NAUHA_OK || status == NAUHA_END)
        return NAUHA_OK;
    if (err)
        *err = reason;
    return status;
}

/* Begins, or begins again after kinds were added: their events end steps, too. */
static enum nauha_status select_messages(struct feeding *feeding, struct nauha_trace *const *traces,
                                         size_t count, struct nauha_error *err) {
    nauha_selector_free(feeding->narrowed);
    feeding->narrowed = NULL;
    enum nauha_status status = narrow(feeding->pipeline, feeding->given, &feeding->narrowed, err);
    if (status == NAUHA_OK)
        status = feeding->merge
                     ? nauha__merge_select(feeding->merge, feeding->narrowed, err)
                     : nauha__merge_new(traces, count, feeding->narrowed, &feeding->merge, err);
    feeding->kinds = nauha_names_kinds(feeding->pipeline->names);
    return status;
}

/* Reads what the writers have added. A file that cannot be read while it is being written may be
 * readable a moment later. */
static enum nauha_status look_again(struct feeding *feeding, bool *live, struct nauha_error *err) {
    enum nauha_status status = nauha__merge_refresh(feeding->merge, live, err);
    feeding->failures = status == NAUHA_OK ? 0 : feeding->failures + 1;
    if (status == NAUHA_FORMAT && feeding->failures < REFRESH_ATTEMPTS) {
        *live = true;
        return NAUHA_OK;
    }
    if (status != NAUHA_OK || feeding->kinds == nauha_names_kinds(feeding->pipeline->names))
        return status;
    status = nauha__pipeline_register_kinds(feeding->pipeline, err);
    return status == NAUHA_OK ? select_messages(feeding, NULL, 0, err) : status;
}

static enum nauha_status follow(struct feeding *feeding, struct nauha_error *err) {
    for (bool live = true;;) {
        enum nauha_status status = look_again(feeding, &live, err);
        if (status == NAUHA_OK)
            status = walk(feeding, err);
        if (status != NAUHA_OK || !live || feeding->stopped)
            return status;
        status = nauha__pipeline_flush(feeding->pipeline, err);
        if (status != NAUHA_OK)
            return status;
        tell(feeding, true);
    }
}

/* Tells subscribers how much of a kind is missing in all traces. */
static enum nauha_status tell_lost(const struct nauha_pipeline *pipeline,
                                   struct nauha_trace *const *traces, size_t count,
                                   struct nauha_error *err) {
    enum nauha_status status = NAUHA_OK;
    const uint32_t kinds = nauha_names_kinds(pipeline->names);
    for (uint32_t kind = 0; kind < kinds && status == NAUHA_OK; kind++) {
        uint64_t messages = 0, bytes = 0, more, more_bytes;
        const char *reason;
        uint32_t of_kind;
        for (size_t i = 0; i < count; i++)
            for (size_t j = 0;
                 nauha_trace_loss(traces[i], j, &of_kind, &reason, &more, &more_bytes); j++) {
                messages += of_kind == kind ? more : 0;
                bytes += of_kind == kind ? more_bytes : 0;
            }
        if (messages > 0)
            status = nauha_bus_tell_lost(pipeline->bus, kind, messages, bytes, err);
    }
    return status;
}

/* Whether this process only computes, and another one publishes. */
static bool is_helper(const struct feeding *feeding) {
    const struct nauha_processes *processes = feeding->pipeline->processes;
    return processes && processes->rank > 0 && !feeding->follow;
}

static enum nauha_status feed(struct feeding *feeding, struct nauha_trace *const *traces,
                              size_t count, struct nauha_error *err) {
    struct nauha_pipeline *pipeline = feeding->pipeline;
    enum nauha_status status = nauha__pipeline_check(pipeline, NAUHA__RUNNING, "replay", err);
    if (status != NAUHA_OK)
        return status;
    status = select_messages(feeding, traces, count, err);
    if (status == NAUHA_OK && !feeding->follow && !pipeline->recomputed)
        status = nauha__sharing_begin(pipeline, traces, count, feeding->narrowed,
                                      &feeding->parallel, err);
    if (status == NAUHA_OK && is_helper(feeding))
        status = nauha__parallel_serve(feeding->parallel, err);
    else if (status == NAUHA_OK)
        status = feeding->follow ? follow(feeding, err) : walk(feeding, err);
    if (status == NAUHA_OK && !is_helper(feeding))
        status = nauha__parallel_finish(feeding->parallel, err);
    if (status == NAUHA_OK && !is_helper(feeding))
        status = tell_lost(pipeline, traces, count, err);
    if (status != NAUHA_OK)
        pipeline->state = NAUHA__FAILED;
    nauha__sharing_end(pipeline, feeding->parallel);
    nauha__merge_free(feeding->merge);
    nauha_selector_free(feeding->narrowed);
    return status;
}

enum nauha_status nauha_pipeline_replay_ranks(struct nauha_pipeline *pipeline,
                                              struct nauha_trace *const *traces, size_t count,
                                              const struct nauha_selector *selector,
                                              nauha_progress_fn progress, void *context,
                                              struct nauha_error *err) {
    struct feeding feeding = {
        .pipeline = pipeline, .given = selector, .progress = progress, .context = context};
    return feed(&feeding, traces, count, err);
}

enum nauha_status nauha_pipeline_replay(struct nauha_pipeline *pipeline, struct nauha_trace *trace,
                                        const struct nauha_selector *selector,
                                        nauha_progress_fn progress, void *context,
                                        struct nauha_error *err) {
    return nauha_pipeline_replay_ranks(pipeline, &trace, 1, selector, progress, context, err);
}

enum nauha_status nauha_pipeline_follow(struct nauha_pipeline *pipeline,
                                        struct nauha_trace *const *traces, size_t count,
                                        const struct nauha_selector *selector,
                                        nauha_follow_fn callback, void *context,
                                        struct nauha_error *err) {
    struct feeding feeding = {
        .pipeline = pipeline, .given = selector, .follow = callback, .context = context};
    return feed(&feeding, traces, count, err);
}
