/* SPDX-License-Identifier: MIT */
/* The gnuplot script that draws the CSV of one series: plain, commented, to be edited and rerun.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_REPLAY_GNUPLOT_SCRIPT_H
#define NAUHA_REPLAY_GNUPLOT_SCRIPT_H

#include <stdio.h>

#include "nauha/plot.h"
#include "replay/series.h"

/* More lines than this go into panels, one each; more than the second number become the rows of
 * one heat map or, where the CSV is not regular, only the largest are drawn before the others. */
#define NAUHA__LINES_TOGETHER 12u
#define NAUHA__PANELS_MAX 60u

/* Writes the script that draws NAME.csv, in its own directory, as NAME.svg and NAME.png.
 * Errors stay in the stream, for ferror. */
void nauha__gnuplot_script(FILE *out, const char *name, const struct nauha_plot *plot,
                           const struct nauha__series_summary *summary);

/* How many lines of the summary a script draws at all: those gnuplot can tell apart. */
size_t nauha__gnuplot_drawable(const struct nauha__series_summary *summary);

/* ---- pieces, shared by the sources that write scripts ---- */

/* 'text' as gnuplot quotes it; control characters become '?'. */
void nauha__gnuplot_quote(FILE *out, const char *text);
/* The legend of a line: what tells it from the others. "" where there is nothing to tell. */
void nauha__gnuplot_legend(const struct nauha__series_summary *summary,
                           const struct nauha__line *line, char *text, size_t size);
/* is(...) of the key columns that vary, as a definition and as a call; nothing where none does. */
void nauha__gnuplot_define_is(FILE *out, const struct nauha__series_summary *summary);
void nauha__gnuplot_call_is(FILE *out, const struct nauha__series_summary *summary,
                            const struct nauha__line *line);
/* The parts before and after the picture itself. `rows` and `columns` of panels, 1 and 1: none. */
struct nauha__gnuplot_frame {
    const char *name;
    const struct nauha_plot *plot;
    const struct nauha__series_summary *summary;
    unsigned rows, columns;
    unsigned width, height;
    uint64_t slice; /* heat maps: steps from one slice drawn to the next, `every` in the script */
};
void nauha__gnuplot_head(FILE *out, const struct nauha__gnuplot_frame *frame);
void nauha__gnuplot_axes(FILE *out, const struct nauha__gnuplot_frame *frame);
void nauha__gnuplot_begin_picture(FILE *out, const struct nauha__gnuplot_frame *frame);
void nauha__gnuplot_end_picture(FILE *out, const struct nauha__gnuplot_frame *frame);

/* Scripts of histograms, and of many lines in a regular CSV; called by nauha__gnuplot_script. */
void nauha__gnuplot_heat_map(FILE *out, const char *name, const struct nauha_plot *plot,
                             const struct nauha__series_summary *summary);
void nauha__gnuplot_matrix(FILE *out, const char *name, const struct nauha_plot *plot,
                           const struct nauha__series_summary *summary);
/* `set palette` of both: light for little, dark for much. */
void nauha__gnuplot_palette(FILE *out);

#endif
