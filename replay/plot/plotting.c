/* SPDX-License-Identifier: MIT */
/* Drawing one series from its CSV; see nauha/plotting.h. */
#include "nauha/plotting.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nauha/internal/path.h"
#include "nauha/nearest.h"
#include "replay/plot/gnuplot.h"
#include "replay/plot/terminal.h"

/* "DIR/SERIES.csv" split into its parts; release both with free. */
static enum nauha_status split_path(const char *path, char **directory, char **name,
                                    struct nauha_error *err) {
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    const size_t length = strlen(base);
    if (length < 5 || strcmp(base + length - 4, ".csv") != 0)
        return nauha_error_set(err, NAUHA_INVALID, "\"%s\" does not end in \".csv\"", path);
    *name = strndup(base, length - 4);
    *directory = !slash          ? strdup(".")
                 : slash == path ? strdup("/")
                                 : strndup(path, (size_t)(slash - path));
    if (!*name || !*directory)
        return nauha_error_nomem(err);
    return NAUHA_OK;
}

/* The style and scale that the user asked for, which replace those of the picture. */
static enum nauha_status apply(const struct nauha_drawing *drawing, struct nauha__picture *picture,
                               struct nauha_error *err) {
    if (drawing->style && !nauha__style_find(drawing->style, &picture->style)) {
        struct nauha_nearest nearest = {.typed = drawing->style};
        for (int style = NAUHA__STYLE_AUTO; style <= NAUHA__STYLE_MAP; style++)
            nauha_nearest_try(&nearest, nauha__style_name((enum nauha__style)style));
        return nauha_error_set(err, NAUHA_INVALID,
                               "there is no style \"%.64s\"%s; styles: auto, lines, top, panels, "
                               "band, rows; for histograms map",
                               drawing->style, nauha_did_you_mean(&nearest));
    }
    if (drawing->scale && !nauha__scale_find(drawing->scale, &picture->scale))
        return nauha_error_set(err, NAUHA_INVALID,
                               "there is no scale \"%.64s\"; scales: auto, linear, log",
                               drawing->scale);
    return NAUHA_OK;
}

static enum nauha_status check_style(const char *csv_path, const struct nauha_drawing *drawing,
                                     const struct nauha__picture *picture,
                                     const struct nauha__series_summary *summary,
                                     struct nauha_error *err) {
    if (!drawing->style || drawing->lenient || nauha__style_fits(picture->style, summary))
        return NAUHA_OK;
    return nauha_error_set(err, NAUHA_INVALID, "style \"%s\" does not fit \"%s\": %s",
                           drawing->style, csv_path,
                           summary->histogram ? "it holds histograms, drawn as map"
                           : picture->style == NAUHA__STYLE_ROWS
                               ? "its steps do not all have the same modules"
                               : "it holds scalars, drawn as lines, top, panels, band or rows");
}

struct script {
    const char *directory, *path, *run_as; /* the last one is the path that gnuplot uses */
    const char *name;
    const struct nauha_drawing *drawing;
};

typedef enum nauha_status write_function(const void *what, const char *path, const char *name,
                                         struct nauha_error *err);

/* Writes a script and runs it; the script is kept beside the CSV, or is a temporary file. */
static enum nauha_status write_and_run(const struct script *script, write_function *write,
                                       const void *what, struct nauha_error *err) {
    if (nauha_plot_makes_files(script->drawing->term)) {
        enum nauha_status status = write(what, script->path, script->name, err);
        return status == NAUHA_OK
                   ? nauha__gnuplot_run(script->directory, script->run_as, script->drawing, err)
                   : status;
    }
    char temporary[] = P_tmpdir "/nauha-XXXXXX";
    const int descriptor = mkstemp(temporary);
    if (descriptor < 0)
        return nauha_error_set_errno(err, errno, "cannot make a temporary file");
    close(descriptor);
    enum nauha_status status = write(what, temporary, script->name, err);
    if (status == NAUHA_OK)
        status = nauha__gnuplot_run(script->directory, temporary, script->drawing, err);
    unlink(temporary);
    return status;
}

/* ---- one series ---- */

struct series {
    const struct nauha__picture *picture;
    const struct nauha__series_summary *summary;
};

static enum nauha_status write_series(const void *what, const char *path, const char *name,
                                      struct nauha_error *err) {
    const struct series *series = what;
    return nauha__script_write(path, name, series->picture, series->summary, err);
}

static enum nauha_status draw_anew(const char *csv_path, const struct script *script,
                                   const struct nauha__picture *picture, struct nauha_error *err) {
    struct nauha__series_summary summary;
    enum nauha_status status = nauha__series_scan(csv_path, &summary, err);
    if (status != NAUHA_OK)
        return status;
    if (summary.rows == 0)
        status = nauha_error_set(err, NAUHA_END, "\"%s\" has no rows to draw", csv_path);
    if (status == NAUHA_OK)
        status = check_style(csv_path, script->drawing, picture, &summary, err);
    if (status == NAUHA_OK)
        status = write_and_run(script, write_series, &(struct series){picture, &summary}, err);
    nauha__series_fini(&summary);
    return status;
}

enum nauha_status nauha_plot_csv_as(const char *csv_path, const struct nauha_drawing *drawing,
                                    struct nauha_error *err) {
    char *directory = NULL, *name = NULL, *script_path = NULL, *script_name = NULL;
    enum nauha_status status = split_path(csv_path, &directory, &name, err);
    if (status != NAUHA_OK)
        goto out;
    if (drawing->term && (status = nauha__terminal_check(drawing->term, err)) != NAUHA_OK)
        goto out;
    script_path = nauha__path(directory, "%s.gp", name);
    script_name = nauha__path(".", "%s.gp", name);
    if (!script_path || !script_name) {
        status = nauha_error_nomem(err);
        goto out;
    }
    struct nauha__script_texts texts = {
        .picture = {
            .plot = {.title = name, .xlabel = "step", .ylabel = "", .y_low = NAN, .y_high = NAN}}};
    const struct script script = {directory, script_path, script_name, name, drawing};
    const bool edited = nauha__script_inspect(script_path, &texts) == NAUHA__SCRIPT_EDITED;
    status = apply(drawing, &texts.picture, err);
    if (status == NAUHA_OK)
        status = edited ? nauha__gnuplot_run(directory, script_name, drawing, err)
                        : draw_anew(csv_path, &script, &texts.picture, err);
out:
    free(directory);
    free(name);
    free(script_path);
    free(script_name);
    return status;
}

enum nauha_status nauha_plot_csv(const char *csv_path, const char *term, struct nauha_error *err) {
    return nauha_plot_csv_as(csv_path, &(struct nauha_drawing){.term = term}, err);
}

/* ---- all series of a directory ---- */

struct topics {
    struct nauha__overview_topic *list;
    struct nauha__script_texts *texts; /* what the topics' plots point into */
    char **names;
    size_t count;
};

static enum nauha_status write_topics(const void *what, const char *path, const char *name,
                                      struct nauha_error *err) {
    const struct topics *topics = what;
    return nauha__overview_write(path, name, topics->list, topics->count, err);
}

static void topics_fini(struct topics *topics) {
    for (size_t i = 0; i < topics->count; i++) {
        nauha__series_fini(&topics->list[i].summary);
        free(topics->names[i]);
    }
    free(topics->list);
    free(topics->texts);
    free(topics->names);
}

/* Adds a series that has rows; skips files that are not series. */
static enum nauha_status take_series(struct topics *topics, const char *directory, const char *file,
                                     struct nauha_error *err) {
    const size_t at = topics->count;
    struct nauha__overview_topic *topic = &topics->list[at];
    struct nauha__script_texts *texts = &topics->texts[at];
    char *name = strndup(file, strlen(file) - 4);
    char *csv = name ? nauha__path(directory, "%s.csv", name) : NULL;
    char *script = name ? nauha__path(directory, "%s.gp", name) : NULL;
    enum nauha_status status = NAUHA_NOMEM;
    struct nauha_error own = NAUHA_ERROR_INIT;
    if (!csv || !script) {
        nauha_error_nomem(err);
    } else if ((status = nauha__series_scan(csv, &topic->summary, &own)) == NAUHA_OK &&
               topic->summary.rows > 0) {
        texts->picture = (struct nauha__picture){
            .plot = {.title = name, .xlabel = "step", .ylabel = "", .y_low = NAN, .y_high = NAN}};
        nauha__script_inspect(script, texts);
        topic->picture = texts->picture;
        topic->name = topics->names[at] = name;
        topics->count++;
        name = NULL;
    } else if (status == NAUHA_OK) {
        nauha__series_fini(&topic->summary);
    } else if (status == NAUHA_NOMEM) {
        nauha_error_nomem(err);
    } else {
        status = NAUHA_OK;
    }
    free(name);
    free(csv);
    free(script);
    return status;
}

static int is_csv(const struct dirent *entry) {
    const size_t length = strlen(entry->d_name);
    return length > 4 && strcmp(entry->d_name + length - 4, ".csv") == 0;
}

static enum nauha_status take_directory(struct topics *topics, const char *directory,
                                        struct nauha_error *err) {
    struct dirent **entries;
    const int count = scandir(directory, &entries, is_csv, alphasort);
    if (count < 0)
        return nauha_error_set_errno(err, errno, "cannot read directory \"%s\"", directory);
    enum nauha_status status = NAUHA_OK;
    topics->list = calloc((size_t)count + 1, sizeof *topics->list);
    topics->texts = calloc((size_t)count + 1, sizeof *topics->texts);
    topics->names = calloc((size_t)count + 1, sizeof *topics->names);
    if (!topics->list || !topics->texts || !topics->names)
        status = nauha_error_nomem(err);
    for (int i = 0; i < count; i++) {
        if (status == NAUHA_OK)
            status = take_series(topics, directory, entries[i]->d_name, err);
        free(entries[i]);
    }
    free(entries);
    return status;
}

static bool has_overview(const struct topics *topics) {
    for (size_t i = 0; i < topics->count; i++) {
        if (strcmp(topics->names[i], NAUHA__OVERVIEW) == 0)
            return true;
    }
    return false;
}

/* Reads the series of a directory. END: they have no overview. */
static enum nauha_status take_topics(struct topics *topics, const char *directory,
                                     struct nauha_error *err) {
    enum nauha_status status = take_directory(topics, directory, err);
    if (status == NAUHA_OK && has_overview(topics))
        return nauha_error_set(err, NAUHA_END, "a series is called \"" NAUHA__OVERVIEW "\"");
    if (status == NAUHA_OK && topics->count < 2)
        return nauha_error_set(err, NAUHA_END, "\"%s\" has fewer than two series to draw",
                               directory);
    return status;
}

enum nauha_status nauha__overview_prepare(const char *directory, struct nauha_error *err) {
    struct topics topics = {0};
    char *path = nauha__path(directory, NAUHA__OVERVIEW ".gp");
    enum nauha_status status = path ? take_topics(&topics, directory, err) : nauha_error_nomem(err);
    if (status == NAUHA_OK && nauha__script_inspect(path, NULL) != NAUHA__SCRIPT_EDITED)
        status = write_topics(&topics, path, NAUHA__OVERVIEW, err);
    topics_fini(&topics);
    free(path);
    return status;
}

enum nauha_status nauha_plot_overview(const char *directory, const struct nauha_drawing *drawing,
                                      struct nauha_error *err) {
    struct topics topics = {0};
    char *path = nauha__path(directory, NAUHA__OVERVIEW ".gp");
    const struct script script = {directory, path, NAUHA__OVERVIEW_SCRIPT, NAUHA__OVERVIEW,
                                  drawing};
    enum nauha_status status = path ? take_topics(&topics, directory, err) : nauha_error_nomem(err);
    if (status == NAUHA_OK && nauha__script_inspect(path, NULL) == NAUHA__SCRIPT_EDITED)
        status = nauha__gnuplot_run(directory, script.run_as, drawing, err);
    else if (status == NAUHA_OK)
        status = write_and_run(&script, write_topics, &topics, err);
    topics_fini(&topics);
    free(path);
    return status;
}
