/* SPDX-License-Identifier: MIT */
/* Drawing one series from its CSV; see nauha/plotting.h. */
#include "nauha/plotting.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "replay/gnuplot_run.h"
#include "replay/sink.h"

/* "DIR/SERIES.csv" in its parts; release with free on both. */
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
        return nauha_error_set(err, NAUHA_NOMEM, "out of memory");
    return NAUHA_OK;
}

/* Whether gnuplot writes a file beside the CSV for this term. */
static bool makes_files(const char *term) {
    return !term || strcmp(term, "svg") == 0 || strcmp(term, "png") == 0 ||
           strcmp(term, "pdf") == 0;
}

/* Makes the script of a CSV and runs it; beside the CSV, or as a temporary file. */
static enum nauha_status draw_anew(const char *csv_path, const char *directory, const char *name,
                                   const char *script_path, const char *script_name,
                                   const struct nauha_plot *plot, const char *term,
                                   struct nauha_error *err) {
    struct nauha__series_summary summary;
    enum nauha_status status = nauha__series_scan(csv_path, &summary, err);
    if (status != NAUHA_OK)
        return status;
    char temporary[] = P_tmpdir "/nauha-XXXXXX";
    const bool keep = makes_files(term);
    if (summary.rows == 0) {
        status = nauha_error_set(err, NAUHA_END, "\"%s\" has no rows to draw", csv_path);
    } else if (keep) {
        status = nauha__script_write(script_path, name, plot, &summary, err);
        if (status == NAUHA_OK)
            status = nauha__gnuplot_run(directory, script_name, term, err);
    } else {
        const int descriptor = mkstemp(temporary);
        if (descriptor < 0) {
            status = nauha_error_set_errno(err, errno, "cannot make a temporary file");
        } else {
            close(descriptor);
            status = nauha__script_write(temporary, name, plot, &summary, err);
            if (status == NAUHA_OK)
                status = nauha__gnuplot_run(directory, temporary, term, err);
            unlink(temporary);
        }
    }
    nauha__series_fini(&summary);
    return status;
}

enum nauha_status nauha_plot_csv(const char *csv_path, const char *term, struct nauha_error *err) {
    char *directory = NULL, *name = NULL, *script_path = NULL, *script_name = NULL;
    enum nauha_status status = split_path(csv_path, &directory, &name, err);
    if (status != NAUHA_OK)
        goto out;
    script_path = nauha__path(directory, name, ".gp");
    script_name = nauha__path(".", name, ".gp");
    if (!script_path || !script_name) {
        status = nauha_error_set(err, NAUHA_NOMEM, "out of memory");
        goto out;
    }
    struct nauha__script_texts texts = {
        .plot = {.title = name, .xlabel = "step", .ylabel = "", .y_low = NAN, .y_high = NAN}};
    if (nauha__script_inspect(script_path, &texts) == NAUHA__SCRIPT_EDITED)
        status = nauha__gnuplot_run(directory, script_name, term, err);
    else
        status =
            draw_anew(csv_path, directory, name, script_path, script_name, &texts.plot, term, err);
out:
    free(directory);
    free(name);
    free(script_path);
    free(script_name);
    return status;
}
