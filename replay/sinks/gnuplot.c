/* SPDX-License-Identifier: MIT */
/* The gnuplot sink: when the csv sink has finished its files, this one writes a script for each and
 * draws two pictures with it. It takes no messages itself.
 *
 * Threads: one at a time.
 */
#include "replay/sinks/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nauha/array.h"
#include "nauha/internal/path.h"
#include "nauha/plotting.h"
#include "replay/plot/gnuplot.h"
#include "replay/plot/script.h"

struct picture {
    const struct nauha__series *series; /* borrowed */
    bool drawn;
    bool empty;       /* no rows */
    char *kept_edits; /* the name that an edited script was given; NULL: there was none */
    size_t left_out;  /* number of lines that gnuplot cannot distinguish from others */
};

struct gnuplot_sink {
    char *directory;
    struct picture *pictures;
    size_t count, capacity;
    bool overview; /* drawn */
    nauha_progress_fn watch;
    void *watch_context;
};

static void gnuplot_watch(void *self, nauha_progress_fn watch, void *context) {
    struct gnuplot_sink *sink = self;
    sink->watch = watch;
    sink->watch_context = context;
}

static void gnuplot_free(void *self) {
    struct gnuplot_sink *sink = self;
    for (size_t i = 0; i < sink->count; i++)
        free(sink->pictures[i].kept_edits);
    free(sink->directory);
    free(sink->pictures);
    free(sink);
}

static enum nauha_status gnuplot_create(const char *directory, void **self,
                                        struct nauha_error *err) {
    if (!directory)
        return nauha_error_set(err, NAUHA_INVALID,
                               "sink \"gnuplot\" needs a directory to write to");
    struct gnuplot_sink *sink = calloc(1, sizeof *sink);
    if (!sink || !(sink->directory = strdup(directory))) {
        free(sink);
        return nauha_error_nomem(err);
    }
    *self = sink;
    return NAUHA_OK;
}

static enum nauha_status gnuplot_add_series(void *self, const struct nauha__series *series,
                                            struct nauha_error *err) {
    struct gnuplot_sink *sink = self;
    if (!NAUHA_GROW(sink->pictures, sink->capacity, sink->count + 1))
        return nauha_error_nomem(err);
    sink->pictures[sink->count++] = (struct picture){.series = series};
    return NAUHA_OK;
}

static enum nauha_status gnuplot_start(void *self, struct nauha_error *err) {
    (void)self;
    (void)err;
    return NAUHA_OK;
}

/* The first free name of NAME.edited.gp, NAME.edited.2.gp, ... NULL when out of memory. */
static char *free_name(const struct gnuplot_sink *sink, const char *name) {
    char *path = nauha__path(sink->directory, "%s.edited.gp", name);
    for (unsigned number = 2; path && faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
         number++) {
        char ending[32];
        free(path);
        snprintf(ending, sizeof ending, ".edited.%u.gp", number);
        path = nauha__path(sink->directory, "%s%s", name, ending);
    }
    return path;
}

/* Renames an edited script, so that it is not overwritten. */
static enum nauha_status keep_edits(const struct gnuplot_sink *sink, struct picture *picture,
                                    const char *path, struct nauha_error *err) {
    if (nauha__script_inspect(path, NULL) != NAUHA__SCRIPT_EDITED)
        return NAUHA_OK;
    picture->kept_edits = free_name(sink, picture->series->name);
    if (!picture->kept_edits)
        return nauha_error_nomem(err);
    if (rename(path, picture->kept_edits) == 0)
        return NAUHA_OK;
    enum nauha_status status = nauha_error_set_errno(err, errno, "cannot rename \"%s\" to \"%s\"",
                                                     path, picture->kept_edits);
    free(picture->kept_edits);
    picture->kept_edits = NULL;
    return status;
}

static enum nauha_status write_script(const struct gnuplot_sink *sink, struct picture *picture,
                                      struct nauha_error *err) {
    const struct nauha__series *series = picture->series;
    const char *name = series->name;
    char *csv = nauha__path(sink->directory, "%s.csv", name);
    char *script = nauha__path(sink->directory, "%s.gp", name);
    struct nauha__series_summary summary;
    enum nauha_status status = NAUHA_NOMEM;
    if (!csv || !script)
        nauha_error_nomem(err);
    else
        status = nauha__series_scan(csv, &summary, err);
    if (status == NAUHA_OK) {
        picture->empty = summary.rows == 0;
        picture->left_out = summary.line_count - nauha__gnuplot_drawable(&summary);
        if (!picture->empty)
            status = keep_edits(sink, picture, script, err);
        if (!picture->empty && status == NAUHA_OK)
            status = nauha__script_write(script, name,
                                         &(struct nauha__picture){series->plot, series->scale, 0},
                                         &summary, err);
        nauha__series_fini(&summary);
    }
    free(csv);
    free(script);
    return status;
}

/* Runs the scripts of all pictures, and of the overview if there is one. */
static enum nauha_status draw(struct gnuplot_sink *sink, bool overview, struct nauha_error *err) {
    enum nauha_status status = NAUHA_OK;
    size_t count = 0;
    struct nauha__gnuplot_job *jobs = calloc(sink->count + 1, sizeof *jobs);
    char **scripts = calloc(sink->count + 1, sizeof *scripts);
    if (!jobs || !scripts)
        status = nauha_error_nomem(err);
    for (size_t i = 0; i < sink->count && status == NAUHA_OK; i++) {
        struct picture *picture = &sink->pictures[i];
        if (picture->empty)
            continue;
        scripts[count] = nauha__path(".", "%s.gp", picture->series->name);
        if (!scripts[count])
            status = nauha_error_nomem(err);
        jobs[count] = (struct nauha__gnuplot_job){scripts[count], &picture->drawn};
        count++;
    }
    if (status == NAUHA_OK && overview)
        jobs[count] = (struct nauha__gnuplot_job){NAUHA__OVERVIEW_SCRIPT, &sink->overview};
    if (status == NAUHA_OK)
        status = nauha__gnuplot_run_all(sink->directory, jobs, count + overview, sink->watch,
                                        sink->watch_context, err);
    for (size_t i = 0; i < count; i++)
        free(scripts[i]);
    free(scripts);
    free(jobs);
    return status;
}

/* All scripts are written first, because they are useful even if gnuplot is missing. */
static enum nauha_status gnuplot_finish(void *self, struct nauha_error *err) {
    struct gnuplot_sink *sink = self;
    enum nauha_status status = NAUHA_OK;
    for (size_t i = 0; i < sink->count && status == NAUHA_OK; i++)
        status = write_script(sink, &sink->pictures[i], err);
    if (status != NAUHA_OK)
        return status;
    status = nauha__overview_prepare(sink->directory, err);
    return status == NAUHA_OK || status == NAUHA_END ? draw(sink, status == NAUHA_OK, err) : status;
}

static void gnuplot_report(const void *self, void (*line)(void *context, const char *text),
                           void *context) {
    const struct gnuplot_sink *sink = self;
    char text[4608];
    for (size_t i = 0; i < sink->count; i++) {
        const struct picture *picture = &sink->pictures[i];
        const char *name = picture->series->name;
        if (picture->drawn) {
            snprintf(text, sizeof text, "%s/%s.svg, .png and .gp", sink->directory, name);
            line(context, text);
        }
        if (picture->empty) {
            snprintf(text, sizeof text, "%s: nothing to draw", name);
            line(context, text);
        }
        if (picture->kept_edits) {
            snprintf(text, sizeof text, "%s: the script you had edited", picture->kept_edits);
            line(context, text);
        }
        if (picture->left_out) {
            snprintf(text, sizeof text,
                     "%s: %zu modules are not drawn, gnuplot cannot tell their names apart", name,
                     picture->left_out);
            line(context, text);
        }
    }
    if (sink->overview) {
        snprintf(text, sizeof text, "%s/%s.svg, .png and .gp: all of them in one picture",
                 sink->directory, NAUHA__OVERVIEW);
        line(context, text);
    }
}

const struct nauha__sink_ops nauha__sink_gnuplot = {
    .name = "gnuplot",
    .create = gnuplot_create,
    .add_series = gnuplot_add_series,
    .begin_run = NULL,
    .start = gnuplot_start,
    .take = NULL,
    .flush = NULL,
    .watch = gnuplot_watch,
    .finish = gnuplot_finish,
    .report = gnuplot_report,
    .free = gnuplot_free,
};
