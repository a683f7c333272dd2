/* SPDX-License-Identifier: MIT */
/* Reading a trace: what is in it, and its messages in order of publication.
 *
 * Threads: one at a time per trace (a trace, its cursors and its messages together).
 */
#ifndef NAUHA_TRACE_H
#define NAUHA_TRACE_H

#include "nauha/selector.h"

#ifdef __cplusplus
extern "C" {
#endif

struct nauha_trace;
struct nauha_cursor;

/* Opens a finished trace, one that is being written, or one whose writer died. The trace's names
 * are added to `names`, borrowed until the trace is closed, and its messages carry those
 * numbers; several traces may share one names object. IO: cannot be opened. FORMAT: not a trace,
 * cut short, a table missing. VERSION. BUSY: being written in a way that cannot be read at the
 * same time. INVALID: a name that means something else in names. A damaged row of a table costs
 * only the messages that need it. Caller owns *trace, release with nauha_trace_close. */
NAUHA_API enum nauha_status nauha_trace_open(const char *path, struct nauha_names *names,
                                             struct nauha_trace **trace, struct nauha_error *err);
NAUHA_API void nauha_trace_close(struct nauha_trace *trace);

/* Takes in what a writer has added since the trace was opened or last refreshed: messages, which
 * cursors that came to NAUHA_END go on with, names, losses, and that it was closed. *live: more may
 * come; false where its writer closed the trace or died, and all that it left has been taken in. A
 * call is cheap where there is nothing new. FORMAT: cannot be read right now; what was there stays,
 * and a later call may succeed. */
NAUHA_API enum nauha_status nauha_trace_refresh(struct nauha_trace *trace, bool *live,
                                                struct nauha_error *err);

struct nauha_trace_info {
    const char *path;
    uint32_t format_major, format_minor;
    uint32_t rank, world_size;
    int64_t created_ns;  /* wall clock, since 1970-01-01 UTC */
    const char *codec;   /* as configured: "zstd" */
    bool complete;       /* closed by its writer, without a failure */
    bool closed;         /* closed by its writer */
    const char *failure; /* what made the writer stop storing; "" for nothing */
    uint64_t messages;   /* as replay publishes them, derived ones included */
    uint64_t steps;      /* distinct global steps: last - first + 1 of those present, 0 for none */
    uint64_t first_step;
    uint32_t epochs;
    uint64_t bytes_published; /* uncompressed bytes of all messages, derived ones included */
    uint64_t bytes_stored;    /* size of the file */
    uint64_t messages_lost;   /* published in the training and not kept */
    uint64_t bytes_lost;
    uint64_t duration_ns; /* stamp of the last message */
};

/* Strings are borrowed until close. The first call counts: it walks over all of the index. */
NAUHA_API void nauha_trace_get_info(const struct nauha_trace *trace, struct nauha_trace_info *info);

/* The same without what is counted: messages, steps, first_step, epochs, bytes_published and
 * duration_ns are 0. Takes no time, however many messages there are. */
NAUHA_API void nauha_trace_get_head(const struct nauha_trace *trace, struct nauha_trace_info *info);

/* Free-form facts given to the recorder, by position; false past the end. */
NAUHA_API bool nauha_trace_fact(const struct nauha_trace *trace, size_t position, const char **key,
                                const char **value);

/* How many messages of a kind (number in names) there are, and their uncompressed bytes. */
NAUHA_API void nauha_trace_kind_totals(const struct nauha_trace *trace, uint32_t kind,
                                       uint64_t *messages, uint64_t *bytes);

/* Bytes that the elements of a kind take in the file; those of kinds that share a stream are under
 * NAUHA_NONE. Updates take none: they are differences of weights. */
NAUHA_API uint64_t nauha_trace_kind_stored(const struct nauha_trace *trace, uint32_t kind);

/* Losses by kind and reason ("buffer full", "write failed", ...), by position; false past the
 * end. */
NAUHA_API bool nauha_trace_loss(const struct nauha_trace *trace, size_t position, uint32_t *kind,
                                const char **reason, uint64_t *messages, uint64_t *bytes);

/* A walk over the chosen messages in order of publication. selector is copied; NULL: everything.
 * Nothing is decoded until a message's tensor is asked for. Caller owns *cursor, release with
 * nauha_cursor_free before the trace. UNKNOWN: the selector names a kind, tag or module that the
 * trace does not have. */
NAUHA_API enum nauha_status nauha_cursor_new(struct nauha_trace *trace,
                                             const struct nauha_selector *selector,
                                             struct nauha_cursor **cursor, struct nauha_error *err);
NAUHA_API void nauha_cursor_free(struct nauha_cursor *cursor);

/* The next message, borrowed until the next call; NAUHA_END after the last, until a refresh of the
 * trace brings more. DAMAGED: a row of the
 * index, named in err, is damaged; the next call goes on behind it. */
NAUHA_API enum nauha_status nauha_cursor_next(struct nauha_cursor *cursor,
                                              struct nauha_message **message,
                                              struct nauha_error *err);

/* How far the walk is: rows passed and rows in all. */
NAUHA_API void nauha_cursor_progress(const struct nauha_cursor *cursor, uint64_t *done,
                                     uint64_t *total);

/* How far something long is. */
typedef void (*nauha_progress_fn)(void *context, uint64_t done, uint64_t total);

/* Checks every checksum and bound of the trace; calls finding for each thing damaged, and progress
 * for each chunk; both may be NULL. Returns NAUHA_OK where the check itself could be done;
 * *findings counts. */
NAUHA_API enum nauha_status nauha_trace_verify(struct nauha_trace *trace,
                                               void (*finding)(void *context, const char *text),
                                               nauha_progress_fn progress, void *context,
                                               uint64_t *findings, struct nauha_error *err);

#ifdef __cplusplus
}
#endif
#endif
