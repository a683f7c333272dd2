/* SPDX-License-Identifier: MIT */
/* The csv sink: one file per series, or one stream on standard output.
 *
 * In a directory, SERIES.csv has the header
 *   global_step,train_step,epoch,rank,tag,module,slot,call,value
 * or, for histograms, one row per bin and
 *   global_step,train_step,epoch,rank,tag,module,slot,call,bin_low,bin_high,count
 * On standard output there is one header and one table:
 *   metric,global_step,train_step,epoch,rank,tag,module,slot,call,value
 * and, where any metric publishes histograms, bin_low,bin_high,count behind that on every row:
 * empty for scalars, while `value` is empty for bins.
 * Where several runs are told apart, every header and row ends with a column `run`.
 */
#include "replay/sinks/sink.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nauha/array.h"
#include "nauha/internal/path.h"
#include "nauha/internal/streams.h"
#include "nauha/output.h"
#include "replay/plot/csv.h"
#include "replay/plot/series.h"

#define BUFFER_BYTES (256u * 1024u)

static const struct nauha_output_form csv_form = {.noun = "a series of nauha",
                                                  .start = NAUHA__CSV_KEY_COLUMNS ",",
                                                  .start_bytes = sizeof NAUHA__CSV_KEY_COLUMNS};

struct csv_series {
    char *name;
    enum nauha_form form;
    uint64_t messages;
    uint64_t rows;
    char *path;                 /* of its file; unused on standard output, as the rest */
    struct nauha_output output; /* open while the stream of the series is open */
};

struct csv_sink {
    char *directory; /* NULL: standard output */
    struct csv_series *series;
    size_t count, capacity;
    const char *run; /* borrowed; NULL if there is only one run */
    bool any_histogram;
    bool finished;
    FILE *output; /* standard output */
    locale_t c_locale;
};

/* ---- files ---- */

static enum nauha_status write_failed(const char *name, int saved_errno, struct nauha_error *err) {
    return nauha_error_set_errno(err, saved_errno, "cannot write \"%s\"", name);
}

static enum nauha_status open_file(const struct csv_sink *sink, struct csv_series *series,
                                   struct nauha_error *err) {
    series->path = nauha__path(sink->directory, "%s.csv", series->name);
    if (!series->path)
        return nauha_error_nomem(err);
    const struct nauha_output_request request = {
        .path = series->path, .form = &csv_form, .named_by_us = true};
    enum nauha_status status = nauha_output_open(&series->output, &request, err);
    if (status == NAUHA_OK)
        setvbuf(series->output.stream, NULL, _IOFBF, BUFFER_BYTES);
    return status;
}

/* A second stream on the same descriptor, so that the program's stdout keeps its state. */
static enum nauha_status open_output(struct csv_sink *sink, struct nauha_error *err) {
    fflush(stdout);
    const int descriptor = nauha__above_streams(dup(STDOUT_FILENO));
    sink->output = descriptor < 0 ? NULL : fdopen(descriptor, "w");
    if (!sink->output) {
        const int saved_errno = errno;
        if (descriptor >= 0)
            close(descriptor);
        return write_failed("standard output", saved_errno, err);
    }
    setvbuf(sink->output, NULL, _IOFBF, BUFFER_BYTES);
    return NAUHA_OK;
}

static enum nauha_status finish_output(struct csv_sink *sink, struct nauha_error *err) {
    FILE *stream = sink->output;
    sink->output = NULL;
    int failed = nauha_output_flush(stream);
    if (fclose(stream) != 0 && !failed)
        failed = errno;
    return failed ? write_failed("standard output", failed, err) : NAUHA_OK;
}

/* ---- the sink ---- */

static void csv_free(void *self) {
    struct csv_sink *sink = self;
    for (size_t i = 0; i < sink->count; i++) {
        nauha_output_leave(&sink->series[i].output);
        free(sink->series[i].path);
        free(sink->series[i].name);
    }
    if (sink->output)
        fclose(sink->output);
    if (sink->c_locale)
        freelocale(sink->c_locale);
    free(sink->series);
    free(sink->directory);
    free(sink);
}

static enum nauha_status csv_create(const char *directory, void **self, struct nauha_error *err) {
    struct csv_sink *sink = calloc(1, sizeof *sink);
    if (!sink)
        return nauha_error_nomem(err);
    sink->c_locale = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0);
    sink->directory = directory ? strdup(directory) : NULL;
    if (!sink->c_locale || (directory && !sink->directory)) {
        csv_free(sink);
        return nauha_error_nomem(err);
    }
    *self = sink;
    return NAUHA_OK;
}

static enum nauha_status csv_add_series(void *self, const struct nauha__series *series,
                                        struct nauha_error *err) {
    struct csv_sink *sink = self;
    char *name = strdup(series->name);
    if (!name || !NAUHA_GROW(sink->series, sink->capacity, sink->count + 1)) {
        free(name);
        return nauha_error_nomem(err);
    }
    sink->series[sink->count++] = (struct csv_series){.name = name, .form = series->form};
    sink->any_histogram |= series->form == NAUHA_FORM_HISTOGRAM;
    return NAUHA_OK;
}

static enum nauha_status csv_begin_run(void *self, const struct nauha__training *run,
                                       struct nauha_error *err) {
    struct csv_sink *sink = self;
    (void)err;
    sink->run = run->name;
    return NAUHA_OK;
}

static enum nauha_status csv_start(void *self, struct nauha_error *err) {
    struct csv_sink *sink = self;
    const char *run_column = sink->run ? "," NAUHA__CSV_RUN_COLUMN : "";
    if (!sink->directory) {
        enum nauha_status status = open_output(sink, err);
        if (status == NAUHA_OK)
            fprintf(sink->output, "metric,%s,%s%s%s\n", NAUHA__CSV_KEY_COLUMNS,
                    NAUHA__CSV_SCALAR_COLUMNS,
                    sink->any_histogram ? "," NAUHA__CSV_HISTOGRAM_COLUMNS : "", run_column);
        return status;
    }
    enum nauha_status status = nauha__make_directory(sink->directory, err);
    for (size_t i = 0; i < sink->count && status == NAUHA_OK; i++) {
        struct csv_series *series = &sink->series[i];
        status = open_file(sink, series, err);
        if (status == NAUHA_OK)
            fprintf(series->output.stream, "%s,%s%s\n", NAUHA__CSV_KEY_COLUMNS,
                    series->form == NAUHA_FORM_HISTOGRAM ? NAUHA__CSV_HISTOGRAM_COLUMNS
                                                         : NAUHA__CSV_SCALAR_COLUMNS,
                    run_column);
    }
    return status;
}

/* Writes the fields up to `call`, and the comma after it. */
static void write_key(const struct csv_sink *sink, const struct csv_series *series, FILE *file,
                      const struct nauha_message_info *info) {
    if (!sink->directory)
        fprintf(file, "%s,", series->name);
    fprintf(file, "%" PRIu64 ",%" PRIu32 ",%" PRIu32 ",%" PRIu32 ",", info->global_step,
            info->train_step, info->epoch, info->rank);
    nauha__csv_field(file, info->tag_name);
    putc(',', file);
    nauha__csv_field(file, info->module_name);
    putc(',', file);
    nauha__csv_field(file, info->slot_name);
    fprintf(file, ",%" PRIu32 ",", info->call);
}

static void write_double(const struct csv_sink *sink, FILE *file, double value) {
    char text[NAUHA__DOUBLE_MAX];
    fwrite(text, 1, nauha__double_text(value, sink->c_locale, text), file);
}

/* Writes what follows the value: the run, and the end of the row. */
static void write_end(const struct csv_sink *sink, FILE *file) {
    if (sink->run) {
        putc(',', file);
        nauha__csv_field(file, sink->run);
    }
    putc('\n', file);
}

static void write_message(const struct csv_sink *sink, struct csv_series *series, FILE *file,
                          const struct nauha_message_info *info, const double *data) {
    if (series->form != NAUHA_FORM_HISTOGRAM) {
        write_key(sink, series, file, info);
        write_double(sink, file, data[0]);
        if (!sink->directory && sink->any_histogram)
            fputs(",,,", file);
        write_end(sink, file);
        series->rows++;
        return;
    }
    for (int64_t bin = 0; bin < info->shape[0]; bin++, data += 3) {
        write_key(sink, series, file, info);
        if (!sink->directory)
            putc(',', file);
        write_double(sink, file, data[0]);
        putc(',', file);
        write_double(sink, file, data[1]);
        putc(',', file);
        write_double(sink, file, data[2]);
        write_end(sink, file);
        series->rows++;
    }
}

/* Whether everything that was written to the file of a series, or to standard output, has
 * arrived. */
static enum nauha_status flush_file(const struct csv_sink *sink, const struct csv_series *series,
                                    struct nauha_error *err) {
    FILE *file = sink->directory ? series->output.stream : sink->output;
    const int failed = file ? nauha_output_flush(file) : 0;
    return failed ? write_failed(sink->directory ? series->output.partial : "standard output",
                                 failed, err)
                  : NAUHA_OK;
}

static enum nauha_status csv_take(void *self, size_t position, struct nauha_message *message,
                                  struct nauha_error *err) {
    struct csv_sink *sink = self;
    struct csv_series *series = &sink->series[position];
    const struct nauha_message_info *info = nauha_message_info(message);
    struct nauha_tensor tensor;
    enum nauha_status status = nauha_message_tensor(message, &tensor, err);
    if (status != NAUHA_OK)
        return status;
    status = nauha__series_check(series->name, series->form, &tensor, err);
    if (status != NAUHA_OK)
        return status;
    FILE *file = sink->directory ? series->output.stream : sink->output;
    write_message(sink, series, file, info, tensor.data);
    series->messages++;
    return ferror(file) ? flush_file(sink, series, err) : NAUHA_OK;
}

static enum nauha_status csv_flush(void *self, struct nauha_error *err) {
    const struct csv_sink *sink = self;
    enum nauha_status status = NAUHA_OK;
    for (size_t i = 0; i < sink->count && status == NAUHA_OK; i++)
        status = flush_file(sink, &sink->series[i], err);
    return status;
}

/* Gives every file that is complete its final name, and reports the first one that is not. */
static enum nauha_status csv_finish(void *self, struct nauha_error *err) {
    struct csv_sink *sink = self;
    if (!sink->directory)
        return finish_output(sink, err);
    enum nauha_status first = NAUHA_OK;
    for (size_t i = 0; i < sink->count; i++) {
        enum nauha_status status =
            nauha_output_finish(&sink->series[i].output, first == NAUHA_OK ? err : NULL);
        if (first == NAUHA_OK)
            first = status;
    }
    sink->finished = first == NAUHA_OK;
    return first;
}

static void csv_report(const void *self, void (*line)(void *context, const char *text),
                       void *context) {
    const struct csv_sink *sink = self;
    char text[4608];
    for (size_t i = 0; i < sink->count; i++) {
        const struct csv_series *series = &sink->series[i];
        if (sink->finished) {
            snprintf(text, sizeof text, "%s: %" PRIu64 " row%s", series->path, series->rows,
                     series->rows == 1 ? "" : "s");
            line(context, text);
        } else if (series->output.partial) {
            snprintf(text, sizeof text, "%s: not finished", series->output.partial);
            line(context, text);
        }
        if (series->messages == 0) {
            snprintf(text, sizeof text, "%s: no messages", series->name);
            line(context, text);
        }
    }
}

const struct nauha__sink_ops nauha__sink_csv = {
    .name = "csv",
    .create = csv_create,
    .add_series = csv_add_series,
    .begin_run = csv_begin_run,
    .start = csv_start,
    .take = csv_take,
    .flush = csv_flush,
    .finish = csv_finish,
    .report = csv_report,
    .free = csv_free,
};
