/* SPDX-License-Identifier: MIT */
/* A worker of a parallel replay; see worker.h. */
#include "replay/parallel/worker.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "replay/bus/parts.h"
#include "replay/trace/merge.h"
#include "replay/trace/parts.h"

/* Decoded chunks that all workers keep, in all their traces. */
#define CACHES_BYTES (2 * NAUHA__CHUNK_CACHE_BYTES)

struct nauha__worker {
    const struct nauha__work *work;
    const struct nauha__shares *shares;
    uint32_t part;
    struct nauha_trace **traces;
    size_t trace_count;
    void *metrics; /* created for the work */
    struct nauha_bus *bus;
    struct nauha__merge *merge;
    struct nauha__channel *channel;
    struct nauha__outcome_writer writer;
    pthread_t thread;
    bool started;
};

/* ---- making ---- */

static bool same_file(const struct nauha_trace *a, const struct nauha_trace *b) {
    struct stat of_a, of_b;
    return fstat(a->fd, &of_a) == 0 && fstat(b->fd, &of_b) == 0 && of_a.st_dev == of_b.st_dev &&
           of_a.st_ino == of_b.st_ino;
}

static enum nauha_status open_traces(struct nauha__worker *worker, uint32_t workers,
                                     struct nauha_error *err) {
    const struct nauha__work *work = worker->work;
    worker->traces = calloc(work->trace_count + 1, sizeof *worker->traces);
    if (!worker->traces)
        return nauha_error_nomem(err);
    for (size_t i = 0; i < work->trace_count; i++) {
        const struct nauha_trace *trace = work->traces[i];
        enum nauha_status status =
            nauha_trace_open(trace->path, trace->names, &worker->traces[i], err);
        if (status != NAUHA_OK)
            return status;
        worker->trace_count++;
        /* Rows that a writer has added since then are left to a later replay. */
        if (!same_file(trace, worker->traces[i]) ||
            nauha__index_rows(trace->index) != nauha__index_rows(worker->traces[i]->index))
            return nauha_error_set(err, NAUHA_IO, "trace \"%s\" has changed", trace->path);
        nauha__trace_join_as(worker->traces[i], trace);
        nauha__chunks_limit_cache(worker->traces[i]->chunks,
                                  CACHES_BYTES / (workers + 1) / work->trace_count);
    }
    return NAUHA_OK;
}

enum nauha_status nauha__worker_new(const struct nauha__work *work,
                                    const struct nauha__shares *shares, uint32_t part,
                                    uint32_t workers, struct nauha__worker **out,
                                    struct nauha_error *err) {
    struct nauha__worker *worker = calloc(1, sizeof *worker);
    if (!worker)
        return nauha_error_nomem(err);
    worker->work = work;
    worker->shares = shares;
    worker->part = part;
    worker->channel = nauha__channel_new();
    worker->writer.channel = worker->channel;
    enum nauha_status status = worker->channel ? NAUHA_OK : nauha_error_nomem(err);
    if (status == NAUHA_OK)
        status = open_traces(worker, workers, err);
    if (status == NAUHA_OK)
        status = work->make(work->context, &worker->writer, &worker->metrics, &worker->bus, err);
    if (status == NAUHA_OK)
        status = nauha__merge_new(worker->traces, worker->trace_count, work->selector,
                                  &worker->merge, err);
    if (status != NAUHA_OK)
        nauha__worker_free(worker);
    else
        *out = worker;
    return status;
}

void nauha__worker_free(struct nauha__worker *worker) {
    if (!worker)
        return;
    if (worker->started) {
        nauha__channel_leave(worker->channel);
        pthread_join(worker->thread, NULL);
    }
    nauha__merge_free(worker->merge);
    if (worker->metrics)
        worker->work->free(worker->metrics);
    for (size_t i = 0; i < worker->trace_count; i++)
        nauha_trace_close(worker->traces[i]);
    free(worker->traces);
    nauha__outcome_writer_fini(&worker->writer);
    nauha__channel_free(worker->channel);
    free(worker);
}

struct nauha__channel *nauha__worker_channel(struct nauha__worker *worker) {
    return worker->channel;
}

/* ---- running ---- */

/* Takes one message: computes it if it belongs to this part, otherwise only notes it, because it
 * may end a step. */
static enum nauha_status take(struct nauha__worker *worker, struct nauha_message *message,
                              struct nauha_error *err) {
    const struct nauha_message_info *info = nauha_message_info(message);
    const uint32_t part = nauha__shares_part(worker->shares, info->kind, info->module);
    return part == worker->part ? nauha_bus_publish(worker->bus, message, err)
                                : nauha__bus_pass(worker->bus, info, err);
}

/* Damaged rows, and errors that end the walk, are reported by the pipeline, which meets them at the
 * same positions. The bus of a worker is never strict: it passes on damage like other outcomes. */
static void *run(void *context) {
    struct nauha__worker *worker = context;
    struct nauha_error err = NAUHA_ERROR_INIT;
    enum nauha_status status = NAUHA_OK;
    while (status == NAUHA_OK && !nauha__channel_left(worker->channel)) {
        struct nauha_message *message = NULL;
        status = nauha__merge_next(worker->merge, &message, &err);
        if (status == NAUHA_OK)
            status = take(worker, message, &err);
        else if (status == NAUHA_DAMAGED)
            status = NAUHA_OK;
    }
    if (status != NAUHA_OK && status != NAUHA_END)
        nauha__outcome_give_up(&worker->writer, &err);
    nauha__channel_end(worker->channel);
    return NULL;
}

enum nauha_status nauha__worker_start(struct nauha__worker *worker, struct nauha_error *err) {
    const int failed = pthread_create(&worker->thread, NULL, run, worker);
    if (failed)
        return nauha_error_set_errno(err, failed, "cannot start a thread");
    worker->started = true;
    return NAUHA_OK;
}
