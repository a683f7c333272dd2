/* SPDX-License-Identifier: MIT */
/* The writer thread, which writes chunks as they come and flushes; see writer.h.
 *
 * Threads: `run` and the functions that it calls are the writer thread's; writer.h names the locks
 * of the others.
 */
#include "recorder/writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nauha/array.h"
#include "nauha/internal/clock.h"
#include "recorder/flush.h"
#include "recorder/thread.h"

/* Time that the writer waits before it tries to take the publish lock again. */
#define RETRY_NS 1000000
/* Time for which a flush leaves the encoding to workers of idle priority. */
#define PATIENCE_NS NAUHA__SECOND_NS

/* ---- shared with publishers ---- */

void nauha__writer_lose(struct nauha__writer *writer, uint32_t kind, enum nauha__loss_reason reason,
                        uint64_t bytes) {
    pthread_mutex_lock(&writer->lock);
    struct nauha__loss *loss = NULL;
    for (size_t i = 0; i < writer->loss_count && !loss; i++) {
        if (writer->losses[i].kind == kind && writer->losses[i].reason == reason)
            loss = &writer->losses[i];
    }
    if (!loss && NAUHA_GROW(writer->losses, writer->loss_capacity, writer->loss_count + 1)) {
        loss = &writer->losses[writer->loss_count++];
        *loss = (struct nauha__loss){.kind = kind, .reason = reason};
    }
    if (loss) {
        loss->messages++;
        loss->bytes += bytes;
        loss->changed = true;
    }
    pthread_mutex_unlock(&writer->lock);
}

enum nauha__loss_reason nauha__writer_loss_reason(struct nauha__writer *writer) {
    pthread_mutex_lock(&writer->lock);
    enum nauha_status code = writer->failure.code;
    pthread_mutex_unlock(&writer->lock);
    return code == NAUHA_LIMIT ? NAUHA__LOSS_LIMIT : NAUHA__LOSS_WRITE_FAILED;
}

static void request_flush(struct nauha__writer *writer, uint64_t *number) {
    pthread_mutex_lock(&writer->lock);
    *number = ++writer->requested;
    pthread_mutex_unlock(&writer->lock);
    nauha__buffer_wake_writer(&writer->buffer);
}

void nauha__writer_flush(struct nauha__writer *writer) {
    uint64_t number;
    request_flush(writer, &number);
    pthread_mutex_lock(&writer->lock);
    while (writer->done < number)
        pthread_cond_wait(&writer->flushed, &writer->lock);
    pthread_mutex_unlock(&writer->lock);
}

enum nauha_status nauha__writer_reserve_row(struct nauha__writer *writer) {
    struct nauha__rows *rows = &writer->rows;
    uint64_t number;
    if (rows->count == NAUHA__ROWS_FLUSH)
        request_flush(writer, &number);
    while (rows->count >= NAUHA__ROWS_MAX)
        pthread_cond_wait(&writer->answered, &writer->publish);
    return NAUHA_GROW(rows->list, rows->capacity, rows->count + 1) ? NAUHA_OK : NAUHA_NOMEM;
}

void nauha__writer_add_row(struct nauha__writer *writer, const struct nauha__index_row *row) {
    writer->rows.list[writer->rows.count++] = *row;
    atomic_fetch_add_explicit(&writer->rows_added, 1, memory_order_relaxed);
}

enum nauha_status nauha__writer_add_alias(struct nauha__writer *writer,
                                          const struct nauha__alias_row *row) {
    struct nauha__aliases *aliases = &writer->aliases;
    if (!NAUHA_GROW(aliases->list, aliases->capacity, aliases->count + 1))
        return NAUHA_NOMEM;
    aliases->list[aliases->count++] = *row;
    return NAUHA_OK;
}

void nauha__writer_add_elements(struct nauha__writer *writer,
                                const struct nauha__elements_row *row) {
    struct nauha__elements *elements = &writer->elements;
    if (!NAUHA_GROW(elements->list, elements->capacity, elements->count + 1))
        return;
    elements->list[elements->count++] = *row;
    atomic_fetch_add_explicit(&writer->elements_added, 1, memory_order_relaxed);
}

void nauha__writer_add_dump(struct nauha__writer *writer, const struct nauha__dump_row *row) {
    struct nauha__dumps *dumps = &writer->dumps;
    if (NAUHA_GROW(dumps->list, dumps->capacity, dumps->count + 1))
        dumps->list[dumps->count++] = *row;
}

/* ---- the thread ---- */

void nauha__writer_fail(struct nauha__writer *writer, const struct nauha_error *err) {
    pthread_mutex_lock(&writer->lock);
    if (writer->failure.code == NAUHA_OK)
        writer->failure = *err;
    pthread_mutex_unlock(&writer->lock);
    atomic_store(&writer->failed, true);
}

enum nauha_status nauha__writer_limit_error(const struct nauha__writer *writer,
                                            struct nauha_error *err) {
    return nauha_error_set(err, NAUHA_LIMIT, "recording stopped at its limit of %llu bytes",
                           (unsigned long long)writer->config->limit_bytes);
}

/* Whether the file, with this block and the tables of all that was published, stays within the
 * limit. */
static enum nauha_status check_limit(const struct nauha__writer *writer,
                                     const struct nauha__block *block, struct nauha_error *err) {
    return block->stored <= nauha__flush_room(writer) ? NAUHA_OK
                                                      : nauha__writer_limit_error(writer, err);
}

static void write_block(struct nauha__writer *writer, struct nauha__block *block) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    writer->file.disk.late = nauha__buffer_writer_is_late(&writer->buffer);
    if (!atomic_load(&writer->failed)) {
        enum nauha_status status = check_limit(writer, block, &err);
        if (status == NAUHA_OK)
            status = nauha__file_write_chunk(&writer->file, block, &err);
        if (status == NAUHA_OK)
            status = nauha__flush_note_chunk(writer, block, &err);
        if (status != NAUHA_OK)
            nauha__writer_fail(writer, &err);
    }
    writer->blocks_written++;
    if (writer->flush.active && block->ticket < writer->flush.target)
        writer->flush.written++;
    nauha__buffer_give_free(&writer->buffer, block);
}

static bool flush_is_asked_for(struct nauha__writer *writer) {
    pthread_mutex_lock(&writer->lock);
    bool asked = writer->requested > writer->done;
    pthread_mutex_unlock(&writer->lock);
    return asked;
}

static void set_next_flush(struct nauha__writer *writer) {
    writer->next_flush = nauha__now_ns() + (uint64_t)(writer->config->flush_seconds * 1e9);
}

/* Starts a flush when one is due, and ends it when all its chunks have been written. Returns the
 * time until which the writer may sleep. */
static uint64_t tend_flush(struct nauha__writer *writer) {
    struct nauha__flush *flush = &writer->flush;
    if (!flush->active && (flush_is_asked_for(writer) || nauha__now_ns() >= writer->next_flush)) {
        if (pthread_mutex_trylock(&writer->publish) != 0)
            return nauha__now_ns() + RETRY_NS;
        nauha__flush_begin(writer);
        pthread_mutex_unlock(&writer->publish);
        flush->late = nauha__now_ns() + PATIENCE_NS;
    }
    if (flush->active && flush->written >= flush->target) {
        nauha__flush_commit(writer);
        set_next_flush(writer);
    }
    if (!flush->active)
        return writer->next_flush;
    const uint64_t now = nauha__now_ns();
    if (now >= flush->late)
        nauha__buffer_hurry(&writer->buffer, flush->target);
    return now + PATIENCE_NS;
}

static void enter_hdf5(struct nauha__h5_quiet *quiet) {
    nauha__fork_hold();
    nauha__h5_quiet_begin(quiet);
}

static void leave_hdf5(struct nauha__h5_quiet *quiet) {
    nauha__h5_quiet_end(quiet);
    nauha__fork_release();
}

static void *run(void *context) {
    struct nauha__writer *writer = context;
    struct nauha__h5_quiet quiet;
    struct nauha_error err = NAUHA_ERROR_INIT;
    enter_hdf5(&quiet);
    enum nauha_status status =
        nauha__file_create(&writer->file, writer->naming, writer->config, &err);
    leave_hdf5(&quiet);
    pthread_mutex_lock(&writer->lock);
    writer->failure = err;
    writer->opened = true;
    pthread_cond_broadcast(&writer->flushed);
    pthread_mutex_unlock(&writer->lock);
    if (status != NAUHA_OK)
        return NULL;

    set_next_flush(writer);
    uint64_t wake = writer->next_flush;
    for (;;) {
        bool stopping = atomic_load(&writer->stopping);
        const struct timespec until = nauha__timespec(wake);
        struct nauha__block *block = nauha__buffer_take_encoded(&writer->buffer, &until);
        enter_hdf5(&quiet);
        if (block)
            write_block(writer, block);
        wake = tend_flush(writer);
        leave_hdf5(&quiet);
        if (!block && stopping && !writer->flush.active && !flush_is_asked_for(writer))
            break;
        if (atomic_load(&writer->stopping))
            wake = 0;
    }
    enter_hdf5(&quiet);
    nauha__flush_end(writer);
    leave_hdf5(&quiet);
    return NULL;
}

/* ---- starting and stopping ---- */

static void fini(struct nauha__writer *writer) {
    nauha__buffer_fini(&writer->buffer);
    free(writer->rows.list);
    free(writer->aliases.list);
    free(writer->elements.list);
    free(writer->dumps.list);
    free(writer->flush.rows.list);
    free(writer->flush.aliases.list);
    free(writer->flush.elements.list);
    free(writer->flush.dumps.list);
    free(writer->losses);
    free(writer->chunk_rows);
    free(writer->ahead);
    pthread_mutex_destroy(&writer->publish);
    pthread_mutex_destroy(&writer->lock);
    pthread_cond_destroy(&writer->answered);
    pthread_cond_destroy(&writer->flushed);
}

enum nauha_status nauha__writer_start(struct nauha__writer *writer, struct nauha__naming *naming,
                                      const struct nauha_recorder_config *config,
                                      struct nauha_names *names, struct nauha_error *err) {
    enum nauha_status status = nauha__buffer_init(&writer->buffer, config->buffer_bytes, err);
    if (status != NAUHA_OK)
        return status;
    writer->config = config;
    writer->names = names;
    writer->naming = naming;
    writer->path = naming->path;
    pthread_mutex_init(&writer->publish, NULL);
    pthread_mutex_init(&writer->lock, NULL);
    pthread_cond_init(&writer->answered, NULL);
    pthread_cond_init(&writer->flushed, NULL);
    int failed = nauha__thread_start(&writer->thread, "nauha-writer", run, writer);
    if (failed) {
        fini(writer);
        return nauha_error_set_errno(err, failed, "cannot start the writer thread");
    }
    pthread_mutex_lock(&writer->lock);
    while (!writer->opened)
        pthread_cond_wait(&writer->flushed, &writer->lock);
    struct nauha_error opened = writer->failure;
    pthread_mutex_unlock(&writer->lock);
    if (opened.code != NAUHA_OK) {
        pthread_join(writer->thread, NULL);
        fini(writer);
        if (err)
            *err = opened;
        return opened.code;
    }
    status = nauha__workers_start(&writer->workers, &writer->buffer, &config->codec,
                                  nauha__workers_plan(), err);
    if (status != NAUHA_OK)
        nauha__writer_stop(writer, 0, 0, NULL);
    return status;
}

enum nauha_status nauha__writer_stop(struct nauha__writer *writer, uint64_t messages,
                                     uint64_t time_ns, struct nauha_error *err) {
    pthread_mutex_lock(&writer->publish);
    nauha__buffer_seal_all(&writer->buffer);
    pthread_mutex_unlock(&writer->publish);
    nauha__buffer_close(&writer->buffer);
    nauha__workers_join(&writer->workers);
    /* All blocks are encoded by now. The writer takes those that are left, and does one last
     * flush. */
    pthread_mutex_lock(&writer->lock);
    writer->requested++;
    pthread_mutex_unlock(&writer->lock);
    writer->end_messages = messages;
    writer->end_time_ns = time_ns;
    atomic_store(&writer->stopping, true);
    nauha__buffer_wake_writer(&writer->buffer);
    pthread_join(writer->thread, NULL);

    enum nauha_status status = writer->failure.code;
    if (status != NAUHA_OK && err)
        *err = writer->failure;
    fini(writer);
    return status;
}
