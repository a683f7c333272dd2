/* SPDX-License-Identifier: MIT */
/* Reading a trace: its metadata, and its messages in the order of publication.
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

/* Opens a trace that is finished or is being written, or whose writer died. The names in the trace
 * are added to `names` (borrowed until nauha_trace_close), and messages carry the numbers in it;
 * several traces may share one names object. Damaged rows of a table are no error: only the
 * messages that refer to them are lost. IO: the file cannot be opened or read. FORMAT: not a trace,
 * truncated, or without a table. VERSION: another major version. BUSY: its recorder is still
 * creating it. INVALID: `names` has an entry with another scope, form or class. NOMEM. Caller owns
 * *trace, release with nauha_trace_close. */
NAUHA_API enum nauha_status nauha_trace_open(const char *path, struct nauha_names *names,
                                             struct nauha_trace **trace, struct nauha_error *err);
NAUHA_API void nauha_trace_close(struct nauha_trace *trace);

/* Takes in what the writer has added since the trace was opened or last refreshed: names, losses,
 * the end of the recording, and messages, with which cursors at NAUHA_END go on. *live becomes
 * false if the writer has closed the trace or died and everything that it wrote has been taken in;
 * else, also on failure, true. A call without anything new is cheap. FORMAT: the file cannot be
 * read at this moment; nothing has changed, and a later call may succeed. */
NAUHA_API enum nauha_status nauha_trace_refresh(struct nauha_trace *trace, bool *live,
                                                struct nauha_error *err);

/* Says that traces are those of one training that was interrupted and resumed, each rank with any
 * number of traces in the order in which they were created. A step that was repeated is that of the
 * latest trace that has it: cursors that read an earlier one end before the first step of a later
 * one. Also lets nauha_pipeline_check_ranks accept several traces of a rank. INVALID: a later trace
 * begins with step 0, as if the training had begun anew; err names it. */
NAUHA_API enum nauha_status nauha_trace_join(struct nauha_trace *const *traces, size_t count,
                                             struct nauha_error *err);

struct nauha_trace_info {
    const char *path;
    uint32_t format_major, format_minor;
    uint32_t rank, world_size;
    int64_t created_ns;  /* wall clock, since 1970-01-01 UTC */
    const char *codec;   /* as configured: "zstd" */
    bool complete;       /* closed by its writer, without a failure and without lost messages */
    bool closed;         /* closed by its writer */
    const char *failure; /* why the writer stopped storing; "" if it did not */
    uint64_t messages;   /* that replay publishes, weight updates included */
    uint64_t steps;      /* last - first + 1 of the global steps; 0 without messages */
    uint64_t first_step;
    uint32_t epochs;          /* last - first + 1; 0 without messages */
    uint64_t bytes_published; /* uncompressed bytes of all messages, weight updates included */
    uint64_t bytes_stored;    /* size of the file */
    uint64_t messages_lost;   /* selected in the training, but not stored */
    uint64_t bytes_lost;
    uint64_t duration_ns; /* time_ns of the last message */
};

/* Fills in info; its strings are borrowed until nauha_trace_close. The first call, and the first
 * after a refresh that brought messages, reads the whole index. */
NAUHA_API void nauha_trace_get_info(const struct nauha_trace *trace, struct nauha_trace_info *info);

/* The same without reading the index: messages, steps, first_step, epochs, bytes_published and
 * duration_ns are 0. */
NAUHA_API void nauha_trace_get_head(const struct nauha_trace *trace, struct nauha_trace_info *info);

/* The facts that the recorder was given, by position; false past the end. Strings are borrowed
 * until nauha_trace_close. */
NAUHA_API bool nauha_trace_fact(const struct nauha_trace *trace, size_t position, const char **key,
                                const char **value);

/* The number of messages of a kind (its number in names), and their uncompressed bytes. Reads the
 * index as nauha_trace_get_info does. */
NAUHA_API void nauha_trace_kind_totals(const struct nauha_trace *trace, uint32_t kind,
                                       uint64_t *messages, uint64_t *bytes);

/* How many messages of a kind are shards of tensors that several ranks hold together. Reads the
 * index as nauha_trace_get_info does. */
NAUHA_API uint64_t nauha_trace_kind_shards(const struct nauha_trace *trace, uint32_t kind);

/* How many tensors of a kind are kept in each way, an enum nauha_kept. Reads the index as
 * nauha_trace_get_info does. */
NAUHA_API void nauha_trace_kind_kept(const struct nauha_trace *trace, uint32_t kind,
                                     uint64_t kept[NAUHA_KEPT_COUNT]);

/* The bytes that the elements of a kind take in the file; for NAUHA_NONE, those in streams that
 * several kinds share. Weight and bias updates take none: they are differences of stored values. */
NAUHA_API uint64_t nauha_trace_kind_stored(const struct nauha_trace *trace, uint32_t kind);

/* What was done to a chunk of elements before it was stored. */
enum nauha_coding {
    NAUHA_CODING_RAW,        /* nothing */
    NAUHA_CODING_COMPRESSED, /* compressed, byte plane by byte plane */
    NAUHA_CODING_SPARSE,     /* its zeros were taken out; mostly compressed, too */
    NAUHA_CODING_TEMPORAL,   /* predicted from earlier steps; mostly compressed, too */
    NAUHA_CODING_COUNT
};

struct nauha_trace_chunks {
    uint64_t chunks[NAUHA_CODING_COUNT];
    uint64_t bytes[NAUHA_CODING_COUNT]; /* stored */
    /* About how many bytes of the file were written past the page cache, up to a MiB more; only if
     * it is known, for which the writer has to have closed the trace. */
    uint64_t direct_bytes;
    bool direct_known;
};

/* How the elements were written. */
NAUHA_API void nauha_trace_get_chunks(const struct nauha_trace *trace,
                                      struct nauha_trace_chunks *chunks);

/* The messages that the recorder lost, counted for each kind and reason, such as "buffer full", by
 * position; false past the end. *reason is borrowed until nauha_trace_close. */
NAUHA_API bool nauha_trace_loss(const struct nauha_trace *trace, size_t position, uint32_t *kind,
                                const char **reason, uint64_t *messages, uint64_t *bytes);

/* A dump of a flight recorder: elements of steps that were held in memory, written later. */
struct nauha_trace_dump {
    uint64_t step;       /* in which it was asked for */
    uint64_t first_step; /* that was held; more than `step` if none was */
    uint64_t
        last_step; /* up to which the following steps are in full, if the training came there */
    const char *reason;
};

/* The dumps in order, by position; false past the end. dump->reason is borrowed until
 * nauha_trace_close or nauha_trace_refresh. */
NAUHA_API bool nauha_trace_get_dump(const struct nauha_trace *trace, size_t position,
                                    struct nauha_trace_dump *dump);

/* Creates a cursor over the selected messages in the order of publication. selector is copied;
 * NULL selects everything. Elements are not decoded until they are asked for. UNKNOWN: names does
 * not have a kind, tag or module of the selector. NOMEM. Caller owns *cursor, release with
 * nauha_cursor_free before the trace is closed. */
NAUHA_API enum nauha_status nauha_cursor_new(struct nauha_trace *trace,
                                             const struct nauha_selector *selector,
                                             struct nauha_cursor **cursor, struct nauha_error *err);
NAUHA_API void nauha_cursor_free(struct nauha_cursor *cursor);

/* The same over the traces of the ranks of one training, which share a names object: by step,
 * within a step by rank, and of each rank in the order of publication. Shards become one message of
 * the whole tensor, with the stamps of the lowest rank, in the place of its shard. If not all of
 * its shards are there, nauha_cursor_next returns DAMAGED. If selector selects one rank, its shards
 * stay shards. A message of a whole can be read until the second step after it begins. The traces
 * are borrowed until nauha_cursor_free. INVALID: two traces have the same rank, or different
 * numbers of ranks. */
NAUHA_API enum nauha_status nauha_cursor_new_ranks(struct nauha_trace *const *traces, size_t count,
                                                   const struct nauha_selector *selector,
                                                   struct nauha_cursor **cursor,
                                                   struct nauha_error *err);

/* The next message, borrowed until the next call; NAUHA_END after the last one, until
 * nauha_trace_refresh brings more. DAMAGED: rows of the index, which err names, are damaged; the
 * next call goes on after them. */
NAUHA_API enum nauha_status nauha_cursor_next(struct nauha_cursor *cursor,
                                              struct nauha_message **message,
                                              struct nauha_error *err);

/* The number of index rows that the cursor has passed, and of all. */
NAUHA_API void nauha_cursor_progress(const struct nauha_cursor *cursor, uint64_t *done,
                                     uint64_t *total);

/* Reports the progress of a long operation: `done` of `total` units. */
typedef void (*nauha_progress_fn)(void *context, uint64_t done, uint64_t total);

/* Checks all checksums and references in the trace. Calls finding with a text for each damage, and
 * progress for each chunk; both may be NULL. *findings becomes the number of damages. Returns
 * NAUHA_OK if the check could be done, whatever it found. */
NAUHA_API enum nauha_status nauha_trace_verify(struct nauha_trace *trace,
                                               void (*finding)(void *context, const char *text),
                                               nauha_progress_fn progress, void *context,
                                               uint64_t *findings, struct nauha_error *err);
/* How many messages the last nauha_trace_verify has found equal to their hash or fingerprint, of
 * those whose elements a flight recorder wrote later. */
NAUHA_API uint64_t nauha_trace_later_verified(const struct nauha_trace *trace);

#ifdef __cplusplus
}
#endif
#endif
