/* SPDX-License-Identifier: MIT */
/* Script files on disk, and running gnuplot over them.
 *
 * Threads: one at a time per directory.
 */
#ifndef NAUHA_REPLAY_PLOT_GNUPLOT_H
#define NAUHA_REPLAY_PLOT_GNUPLOT_H

#include "nauha/plotting.h"
#include "nauha/trace.h"
#include "replay/plot/script.h"

/* What is at the path of a script. */
enum nauha__script_state {
    NAUHA__SCRIPT_NONE,
    NAUHA__SCRIPT_OURS,  /* as nauha wrote it */
    NAUHA__SCRIPT_EDITED /* edited since, or not written by nauha */
};

/* What a script says about the series that it was made for. */
struct nauha__script_texts {
    char title[512], xlabel[512], ylabel[512];
    struct nauha__picture picture; /* points into the texts */
};

/* Examines the script at path. texts is filled in for OURS; it may be NULL. A file that cannot be
 * read counts as EDITED. */
enum nauha__script_state nauha__script_inspect(const char *path, struct nauha__script_texts *texts);

/* Writes the script of a series to path. IO, NOMEM. */
enum nauha_status nauha__script_write(const char *path, const char *name,
                                      const struct nauha__picture *picture,
                                      const struct nauha__series_summary *summary,
                                      struct nauha_error *err);

/* Writes the script of an overview to path. IO, NOMEM. */
enum nauha_status nauha__overview_write(const char *path, const char *name,
                                        const struct nauha__overview_topic *topics, size_t count,
                                        struct nauha_error *err);

/* Runs gnuplot on a script, with `directory` as its working directory; script is relative to that,
 * or absolute. drawing NULL: svg and png. UNAVAILABLE: there is no gnuplot, or it failed; the error
 * has its message. Otherwise as nauha__terminal_check. */
enum nauha_status nauha__gnuplot_run(const char *directory, const char *script,
                                     const struct nauha_drawing *drawing, struct nauha_error *err);

/* A script to run, relative to the directory, and where to store whether it succeeded. */
struct nauha__gnuplot_job {
    const char *script;
    bool *drawn;
};

/* Runs gnuplot on all scripts for svg and png, as many at a time as there are processors. The first
 * failure is returned, and no further script is begun. progress may be NULL; it is called about
 * fifty times a second. Errors as nauha__gnuplot_run. */
enum nauha_status nauha__gnuplot_run_all(const char *directory,
                                         const struct nauha__gnuplot_job *jobs, size_t count,
                                         nauha_progress_fn progress, void *context,
                                         struct nauha_error *err);

/* Writes the script of the overview of a directory's series, unless it has been edited. END: there
 * is no series to draw, as in nauha_plot_overview. */
enum nauha_status nauha__overview_prepare(const char *directory, struct nauha_error *err);

/* Evaluates an expression with the installed gnuplot and puts the result, cut to size, into text.
 * UNAVAILABLE. */
enum nauha_status nauha__gnuplot_ask(const char *expression, char *text, size_t size,
                                     struct nauha_error *err);

#endif
