/* SPDX-License-Identifier: MIT */
/* The writer: the thread that owns the file, and the state that it shares with publishers.
 *
 * The order of a flush keeps the file of a killed recording readable: open blocks are sealed, then
 * all chunks are written, then the tables, then the index rows that refer to them, and each is made
 * visible to readers before the next. So the file never has a row without its data.
 *
 * Threads: each field names its lock. The writer only *tries* to take the publish lock, because a
 * publisher may hold it while it waits for the writer.
 */
#ifndef NAUHA_RECORDER_WRITER_H
#define NAUHA_RECORDER_WRITER_H

#include <stdatomic.h>

#include "recorder/buffer.h"
#include "recorder/config.h"
#include "recorder/file.h"
#include "recorder/workers.h"

/* How many rows may wait; then publishers wait for the writer. */
#define NAUHA__ROWS_MAX (128u * 1024u)
/* With this many waiting rows, a flush begins before its time. */
#define NAUHA__ROWS_FLUSH (64u * 1024u)

enum nauha__loss_reason {
    NAUHA__LOSS_BUFFER_FULL,
    NAUHA__LOSS_LIMIT,
    NAUHA__LOSS_WRITE_FAILED,
    NAUHA__LOSS_NO_MEMORY,
    NAUHA__LOSS_REASONS
};

struct nauha__rows {
    struct nauha__index_row *list;
    size_t count, capacity;
};

struct nauha__aliases {
    struct nauha__alias_row *list;
    size_t count, capacity;
};

struct nauha__elements {
    struct nauha__elements_row *list;
    size_t count, capacity;
};

struct nauha__dumps {
    struct nauha__dump_row *list;
    size_t count, capacity;
};

struct nauha__loss {
    uint32_t kind;
    enum nauha__loss_reason reason;
    uint64_t messages, bytes;
    bool changed; /* since it was last written */
};

/* What one flush has taken over from the publishers; only the writer thread uses it. */
struct nauha__flush {
    bool active;
    uint64_t target;  /* tickets below this must be written first */
    uint64_t written; /* how many of those are written */
    uint64_t request; /* the latest request it answers */
    uint64_t late;    /* the time from which its blocks are urgent */
    struct nauha__rows rows;
    struct nauha__aliases aliases;
    struct nauha__elements elements;
    struct nauha__dumps dumps;
    uint16_t stream_kinds[NAUHA__STREAMS]; /* as at the start of the flush */
    bool stream_used[NAUHA__STREAMS];
};

struct nauha__writer {
    const struct nauha_recorder_config *config;
    struct nauha_names *names;
    struct nauha__naming *naming;
    const char *path; /* what the recording is to be called */

    pthread_mutex_t publish;         /* the publish lock */
    pthread_cond_t answered;         /* with it: rows were taken, or a flush has ended */
    struct nauha__buffer buffer;     /* see buffer.h */
    struct nauha__rows rows;         /* publish lock */
    struct nauha__aliases aliases;   /* publish lock */
    struct nauha__elements elements; /* publish lock */
    struct nauha__dumps dumps;       /* publish lock */

    pthread_mutex_t lock;       /* the state lock: everything to the next blank line */
    struct nauha_error failure; /* the first */
    struct nauha__loss *losses;
    size_t loss_count, loss_capacity;
    uint64_t rows_lost, rows_lost_bytes; /* of those losses, rows that had been taken over */
    uint64_t requested;                  /* flushes asked for */
    uint64_t done;                       /* flushes answered; waited for with `flushed` */
    pthread_cond_t flushed;
    bool opened; /* the file has been created, or could not be */

    atomic_bool failed; /* nothing is stored any more; `failure` says why */
    atomic_bool stopping;
    atomic_ullong bytes_stored;   /* of chunks, at the last flush */
    atomic_ullong rows_added;     /* to `rows`, ever */
    atomic_ullong elements_added; /* to `elements`, ever */

    /* the writer thread's own */
    struct nauha__file file;
    struct nauha__workers workers;
    pthread_t thread;
    uint64_t end_messages, end_time_ns; /* for /end; set before `stopping` */
    struct nauha__flush flush;
    uint64_t next_flush; /* its time, in nanoseconds of nauha__now_ns */
    uint64_t blocks_written;
    uint64_t rows_done;                  /* of those added, written or lost */
    uint64_t elements_done;              /* of those added, written or lost */
    uint64_t contiguous[NAUHA__STREAMS]; /* all chunks below this number are written */
    struct nauha__chunk_row *chunk_rows; /* written, not yet in /chunks */
    size_t chunk_count, chunk_capacity;
    uint64_t chunk_bytes; /* written since the last flush */
    uint64_t *ahead;      /* chunk numbers written out of turn, as stream << 48 | number */
    size_t ahead_count, ahead_capacity;
    uint32_t written_names[5];   /* kinds, modules, slots, tags, shapes in the file */
    uint32_t written_placements; /* shapes whose placement, if they have one, is in the file */
    uint16_t written_kinds[NAUHA__STREAMS];
    bool written_used[NAUHA__STREAMS];
};

/* Creates the file and starts the threads. config, names and naming are borrowed until stop. */
enum nauha_status nauha__writer_start(struct nauha__writer *writer, struct nauha__naming *naming,
                                      const struct nauha_recorder_config *config,
                                      struct nauha_names *names, struct nauha_error *err);

/* Writes what is left, closes the file and ends the threads. No publishing call may be running.
 * Returns the first failure of the recording. */
enum nauha_status nauha__writer_stop(struct nauha__writer *writer, uint64_t messages,
                                     uint64_t time_ns, struct nauha_error *err);

/* Makes room for one more row; publish lock held. May wait for the writer. NOMEM. */
enum nauha_status nauha__writer_reserve_row(struct nauha__writer *writer);
/* Adds a row in the reserved room; publish lock held. */
void nauha__writer_add_row(struct nauha__writer *writer, const struct nauha__index_row *row);
enum nauha_status nauha__writer_add_alias(struct nauha__writer *writer,
                                          const struct nauha__alias_row *row);

/* Add a row of /elements and of /dumps; publish lock held. Left out when out of memory: the message
 * then has its fingerprint alone. */
void nauha__writer_add_elements(struct nauha__writer *writer,
                                const struct nauha__elements_row *row);
void nauha__writer_add_dump(struct nauha__writer *writer, const struct nauha__dump_row *row);

/* Counts a message that was not kept. Any thread. */
void nauha__writer_lose(struct nauha__writer *writer, uint32_t kind, enum nauha__loss_reason reason,
                        uint64_t bytes);
/* Why messages are not kept once `failed` is set. Any thread. */
enum nauha__loss_reason nauha__writer_loss_reason(struct nauha__writer *writer);

/* Waits until a flush that began after this call has ended; publish lock not held. */
void nauha__writer_flush(struct nauha__writer *writer);

#endif
