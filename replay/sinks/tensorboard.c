/* SPDX-License-Identifier: MIT */
/* The tensorboard sink: an event file for each run and rank, which TensorBoard can show while it is
 * being written. The tag of a value is SERIES/MODULE, followed by what else distinguishes it:
 * "loss", "weights_norm2/features.0", "weights_norm2/lstm.weight_hh_l0", "activations_mean/relu
 * call 1". Facts about the run become a text card. */
#include "replay/sinks/sink.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uthash.h>

#include "nauha/array.h"
#include "nauha/internal/clock.h"
#include "nauha/internal/path.h"
#include "replay/sinks/tensorboard_event.h"

/* What distinguishes the values of one tag from those of others. It is hashed, so it has no
 * padding. */
struct tag_key {
    uint32_t series, module, slot, call;
};

struct tag {
    struct tag_key key;
    struct nauha__event_tag event;
    char *name;
    UT_hash_handle hh;
};

/* The event file of one rank of the run. */
struct writer {
    uint32_t rank;
    struct nauha__event_file *file;
    struct tag *tags;
};

struct topic {
    const struct nauha__series *series; /* borrowed */
    uint64_t taken;
};

struct tensorboard_sink {
    char *directory;
    struct topic *topics;
    size_t count, capacity;
    /* Of the present run: */
    const struct nauha__training *run; /* borrowed */
    int64_t started_ns; /* wall-clock time at which the time of messages is 0; 0: not known yet */
    char *run_directory;
    struct writer *writers;
    size_t writer_count, writer_capacity;
    /* Of all runs: */
    uint64_t scalars, histograms, tags;
    bool finished;
};

/* ---- directories ---- */

/* Names of runs are made of paths, which may lead out of the directory: "../a" becomes "_/a". */
static char *path_of_run(const char *directory, const char *run) {
    char *path = NULL;
    size_t bytes;
    FILE *text = open_memstream(&path, &bytes);
    if (!text)
        return NULL;
    fputs(directory, text);
    for (size_t length; run; run = run[length] ? run + length + 1 : NULL) {
        length = strcspn(run, "/");
        const bool leads_out = length == strspn(run, ".");
        fprintf(text, "/%.*s", leads_out ? 1 : (int)length, leads_out ? "_" : run);
    }
    const bool failed = ferror(text) != 0;
    if (fclose(text) == 0 && !failed)
        return path;
    free(path);
    return NULL;
}

/* Each rank of a distributed training has a directory, so that TensorBoard distinguishes them. */
static char *path_of_rank(const struct tensorboard_sink *sink, uint32_t rank) {
    if (sink->run->ranks <= 1 && rank == 0)
        return strdup(sink->run_directory);
    return nauha__path(sink->run_directory, "rank%" PRIu32, rank);
}

/* ---- the card ---- */

/* Characters that have a meaning in Markdown or HTML are written as numbers. */
static void put_cell(FILE *text, const char *cell) {
    for (; *cell; cell++) {
        if (strchr("&<>|\\`*_[]~", *cell))
            fprintf(text, "&#%d;", *cell);
        else
            putc(strchr("\r\n", *cell) ? ' ' : *cell, text);
    }
}

static enum nauha_status write_card(const struct nauha__training *run,
                                    struct nauha__event_file *file,
                                    const struct nauha__moment *moment, struct nauha_error *err) {
    struct nauha__event_tag tag = {.name = "configuration", .description = ""};
    char *markdown = NULL;
    size_t bytes;
    FILE *text = open_memstream(&markdown, &bytes);
    if (!text)
        return nauha_error_nomem(err);
    fputs("| | |\n|---|---|\n", text);
    for (size_t i = 0; i < run->fact_count; i++) {
        fputs("| ", text);
        put_cell(text, run->facts[i].key);
        fputs(" | ", text);
        put_cell(text, run->facts[i].value);
        fputs(" |\n", text);
    }
    const bool failed = ferror(text) != 0;
    enum nauha_status status = fclose(text) == 0 && !failed
                                   ? nauha__event_text(file, moment, &tag, markdown, err)
                                   : nauha_error_nomem(err);
    free(markdown);
    return status;
}

/* ---- writers ---- */

static void writer_free_tags(struct writer *writer) {
    struct tag *tag, *next;
    HASH_ITER(hh, writer->tags, tag, next) {
        HASH_DEL(writer->tags, tag);
        free(tag->name);
        free(tag);
    }
}

/* Closes all files, and reports the first one that cannot be closed. */
static enum nauha_status close_writers(struct tensorboard_sink *sink, struct nauha_error *err) {
    enum nauha_status first = NAUHA_OK;
    for (size_t i = 0; i < sink->writer_count; i++) {
        enum nauha_status status =
            nauha__event_file_close(sink->writers[i].file, first == NAUHA_OK ? err : NULL);
        if (first == NAUHA_OK)
            first = status;
        writer_free_tags(&sink->writers[i]);
    }
    free(sink->writers);
    sink->writers = NULL;
    sink->writer_count = sink->writer_capacity = 0;
    return first;
}

static enum nauha_status open_writer(struct tensorboard_sink *sink, uint32_t rank,
                                     const struct nauha__moment *moment, struct nauha_error *err) {
    if (!NAUHA_GROW(sink->writers, sink->writer_capacity, sink->writer_count + 1))
        return nauha_error_nomem(err);
    struct writer *writer = &sink->writers[sink->writer_count];
    *writer = (struct writer){.rank = rank};
    char *directory = path_of_rank(sink, rank);
    if (!directory)
        return nauha_error_nomem(err);
    enum nauha_status status = nauha__make_directory(directory, err);
    if (status == NAUHA_OK)
        status = nauha__event_file_create(directory, &writer->file, err);
    free(directory);
    if (status != NAUHA_OK)
        return status;
    sink->writer_count++;
    status = nauha__event_begin(writer->file, moment->wall_time, err);
    if (status == NAUHA_OK && sink->run->fact_count > 0)
        status = write_card(sink->run, writer->file, moment, err);
    return status;
}

/* Opens the rank's file when its first message comes. */
static enum nauha_status find_writer(struct tensorboard_sink *sink, uint32_t rank,
                                     const struct nauha__moment *moment, struct writer **writer,
                                     struct nauha_error *err) {
    for (size_t i = 0; i < sink->writer_count; i++) {
        *writer = &sink->writers[i];
        if ((*writer)->rank == rank)
            return NAUHA_OK;
    }
    enum nauha_status status = open_writer(sink, rank, moment, err);
    if (status == NAUHA_OK)
        *writer = &sink->writers[sink->writer_count - 1];
    return status;
}

/* ---- tags ---- */

/* The slot is left out if it is the only output, the weight or the bias of a module. */
static char *tag_name(const struct nauha__series *series, const struct nauha_message_info *info,
                      bool with_slot) {
    char *name = NULL, call[32] = "";
    const char *module = info->module_name, *slot = with_slot ? info->slot_name : "";
    if (info->call > 0)
        snprintf(call, sizeof call, " call %" PRIu32, info->call);
    if (info->module == NAUHA_NONE)
        return asprintf(&name, "%s%s%s%s", series->name, *slot ? "/" : "", slot, call) < 0 ? NULL
                                                                                           : name;
    const char *dot = *module && *slot ? "." : "";
    return asprintf(&name, "%s/%s%s%s%s", series->name, *module || *slot ? module : "(root)", dot,
                    slot, call) < 0
               ? NULL
               : name;
}

static bool is_taken(struct writer *writer, const char *name) {
    for (const struct tag *tag = writer->tags; tag; tag = tag->hh.next) {
        if (strcmp(tag->name, name) == 0)
            return true;
    }
    return false;
}

static struct tag *find_tag(struct tensorboard_sink *sink, struct writer *writer, size_t position,
                            const struct nauha_message_info *info) {
    const struct nauha__series *series = sink->topics[position].series;
    const struct tag_key key = {(uint32_t)position, info->module, info->slot, info->call};
    struct tag *tag = NULL;
    HASH_FIND(hh, writer->tags, &key, sizeof key, tag);
    if (tag)
        return tag;
    const bool plain =
        strcmp(info->slot_name, "weight") == 0 || strcmp(info->slot_name, "bias") == 0;
    tag = calloc(1, sizeof *tag);
    char *name = tag ? tag_name(series, info, !plain) : NULL;
    if (name && plain && is_taken(writer, name)) {
        free(name);
        name = tag_name(series, info, true);
    }
    if (!name) {
        free(tag);
        return NULL;
    }
    tag->key = key;
    tag->name = name;
    tag->event.name = name;
    tag->event.description = series->plot.title;
    HASH_ADD(hh, writer->tags, key, sizeof tag->key, tag);
    sink->tags++;
    return tag;
}

/* ---- the sink ---- */

static void tensorboard_free(void *self) {
    struct tensorboard_sink *sink = self;
    close_writers(sink, NULL);
    free(sink->run_directory);
    free(sink->topics);
    free(sink->directory);
    free(sink);
}

static enum nauha_status tensorboard_create(const char *directory, void **self,
                                            struct nauha_error *err) {
    if (!directory)
        return nauha_error_set(err, NAUHA_INVALID,
                               "sink \"tensorboard\" needs a directory to write to");
    struct tensorboard_sink *sink = calloc(1, sizeof *sink);
    if (!sink || !(sink->directory = strdup(directory))) {
        free(sink);
        return nauha_error_nomem(err);
    }
    *self = sink;
    return NAUHA_OK;
}

/* Files are created when the first messages come, because they replace others. Whether they can be
 * created is checked before. */
static enum nauha_status tensorboard_begin_run(void *self, const struct nauha__training *run,
                                               struct nauha_error *err) {
    struct tensorboard_sink *sink = self;
    enum nauha_status status = close_writers(sink, err);
    if (status != NAUHA_OK)
        return status;
    sink->run = run;
    sink->started_ns = run->started_ns;
    free(sink->run_directory);
    sink->run_directory = path_of_run(sink->directory, run->name);
    if (!sink->run_directory)
        return nauha_error_nomem(err);
    status = nauha__make_directory(sink->run_directory, err);
    if (status == NAUHA_OK && access(sink->run_directory, W_OK | X_OK) != 0)
        status = nauha_error_set_errno(err, errno, "cannot write to directory \"%s\"",
                                       sink->run_directory);
    return status;
}

static enum nauha_status tensorboard_add_series(void *self, const struct nauha__series *series,
                                                struct nauha_error *err) {
    struct tensorboard_sink *sink = self;
    if (!NAUHA_GROW(sink->topics, sink->capacity, sink->count + 1))
        return nauha_error_nomem(err);
    sink->topics[sink->count++] = (struct topic){.series = series};
    return NAUHA_OK;
}

static enum nauha_status tensorboard_start(void *self, struct nauha_error *err) {
    (void)self;
    (void)err;
    return NAUHA_OK;
}

static struct nauha__moment moment_of(struct tensorboard_sink *sink,
                                      const struct nauha_message_info *info) {
    if (sink->started_ns == 0)
        sink->started_ns = nauha__wall_ns() - (int64_t)info->time_ns;
    return (struct nauha__moment){
        .wall_time = (double)(sink->started_ns + (int64_t)info->time_ns) / 1e9,
        .step = info->global_step,
    };
}

/* Whether anything was counted. For a tensor without finite elements, TensorBoard would draw empty
 * bins at 0 in place of a gap. */
static bool counts_any(const double *bins, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (bins[3 * i + 2] > 0)
            return true;
    return false;
}

static enum nauha_status tensorboard_take(void *self, size_t position,
                                          struct nauha_message *message, struct nauha_error *err) {
    struct tensorboard_sink *sink = self;
    const struct nauha__series *series = sink->topics[position].series;
    const struct nauha_message_info *info = nauha_message_info(message);
    const struct nauha__moment moment = moment_of(sink, info);
    struct nauha_tensor tensor;
    enum nauha_status status = nauha_message_tensor(message, &tensor, err);
    if (status == NAUHA_OK)
        status = nauha__series_check(series->name, series->form, &tensor, err);
    if (status == NAUHA_OK && series->form == NAUHA_FORM_HISTOGRAM &&
        !counts_any(tensor.data, (size_t)tensor.shape[0]))
        return NAUHA_OK;
    struct writer *writer = NULL;
    if (status == NAUHA_OK)
        status = find_writer(sink, info->rank, &moment, &writer, err);
    if (status != NAUHA_OK)
        return status;
    struct tag *tag = find_tag(sink, writer, position, info);
    if (!tag)
        return nauha_error_nomem(err);
    const double *elements = tensor.data;
    sink->topics[position].taken++;
    if (series->form != NAUHA_FORM_HISTOGRAM) {
        sink->scalars++;
        return nauha__event_scalar(writer->file, &moment, &tag->event, elements[0], err);
    }
    sink->histograms++;
    return nauha__event_histogram(writer->file, &moment, &tag->event, elements,
                                  (size_t)tensor.shape[0], err);
}

static enum nauha_status tensorboard_flush(void *self, struct nauha_error *err) {
    struct tensorboard_sink *sink = self;
    enum nauha_status status = NAUHA_OK;
    for (size_t i = 0; i < sink->writer_count && status == NAUHA_OK; i++)
        status = nauha__event_file_flush(sink->writers[i].file, err);
    return status;
}

static enum nauha_status tensorboard_finish(void *self, struct nauha_error *err) {
    struct tensorboard_sink *sink = self;
    enum nauha_status status = close_writers(sink, err);
    sink->finished = status == NAUHA_OK;
    return status;
}

static void tensorboard_report(const void *self, void (*line)(void *context, const char *text),
                               void *context) {
    const struct tensorboard_sink *sink = self;
    char text[4608];
    if (sink->finished)
        snprintf(text, sizeof text,
                 "%s: %" PRIu64 " value%s and %" PRIu64 " histogram%s under %" PRIu64
                 " tag%s; tensorboard --logdir shows them",
                 sink->directory, sink->scalars, sink->scalars == 1 ? "" : "s", sink->histograms,
                 sink->histograms == 1 ? "" : "s", sink->tags, sink->tags == 1 ? "" : "s");
    else
        snprintf(text, sizeof text, "%s: the event files are not finished", sink->directory);
    line(context, text);
    for (size_t i = 0; i < sink->count; i++) {
        if (sink->topics[i].taken > 0)
            continue;
        snprintf(text, sizeof text, "%s: no messages", sink->topics[i].series->name);
        line(context, text);
    }
}

const struct nauha__sink_ops nauha__sink_tensorboard = {
    .name = "tensorboard",
    .create = tensorboard_create,
    .begin_run = tensorboard_begin_run,
    .add_series = tensorboard_add_series,
    .start = tensorboard_start,
    .take = tensorboard_take,
    .flush = tensorboard_flush,
    .finish = tensorboard_finish,
    .report = tensorboard_report,
    .free = tensorboard_free,
};
