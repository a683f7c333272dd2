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

/* What stands at a script's path. */
enum nauha__script_state {
    NAUHA__SCRIPT_NONE,
    NAUHA__SCRIPT_OURS,  /* as nauha wrote it */
    NAUHA__SCRIPT_EDITED /* by somebody since, or never nauha's */
};

/* What a script was made for, as far as it tells. */
struct nauha__script_texts {
    char title[512], xlabel[512], ylabel[512];
    struct nauha__picture picture; /* points into the texts */
};

/* Looks at a script; texts is filled for OURS and may be NULL. A file that cannot be read counts
 * as EDITED. */
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

/* Runs gnuplot over a script with `directory` as its working directory; script is relative to
 * that, or absolute. drawing NULL: svg and png. UNAVAILABLE: no gnuplot, or it failed, with its
 * words; otherwise as nauha__terminal_check. */
enum nauha_status nauha__gnuplot_run(const char *directory, const char *script,
                                     const struct nauha_drawing *drawing, struct nauha_error *err);

/* A script to run, relative to the directory, and whether that went well. */
struct nauha__gnuplot_job {
    const char *script;
    bool *drawn;
};

/* Runs gnuplot over all of them, as many at a time as there are processors, for svg and png. The
 * first failure is returned, and nothing more begun. progress may be NULL; it is called some fifty
 * times a second. As nauha__gnuplot_run. */
enum nauha_status nauha__gnuplot_run_all(const char *directory,
                                         const struct nauha__gnuplot_job *jobs, size_t count,
                                         nauha_progress_fn progress, void *context,
                                         struct nauha_error *err);

/* Writes the script of the overview of a directory's series, unless somebody edited it. END: there
 * is none to draw, as nauha_plot_overview. */
enum nauha_status nauha__overview_prepare(const char *directory, struct nauha_error *err);

/* What an expression is to this machine's gnuplot, cut to size. UNAVAILABLE. */
enum nauha_status nauha__gnuplot_ask(const char *expression, char *text, size_t size,
                                     struct nauha_error *err);

#endif
