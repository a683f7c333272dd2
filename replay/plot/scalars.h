/* SPDX-License-Identifier: MIT */
/* Scalar series: what the ways to draw their lines share.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_REPLAY_PLOT_SCALARS_H
#define NAUHA_REPLAY_PLOT_SCALARS_H

#include "replay/plot/pieces.h"

/* Lines of the style "top" that have a colour. */
#define NAUHA__TOP_LINES 7u
/* More runs than this in each panel are drawn as their band. */
#define NAUHA__PANEL_RUNS 12u

struct nauha__scalars {
    struct nauha__gnuplot_frame frame;
    enum nauha__style style;          /* LINES, TOP, PANELS or BAND */
    const struct nauha__line **lines; /* the ones to draw; TOP: the coloured ones first */
    size_t count;
    size_t all;     /* lines there are */
    size_t runs;    /* different ones */
    bool by_run;    /* a panel has a line for each run */
    bool run_bands; /* or their band */
    size_t panels;
    uint64_t most_rows; /* of a line */
    uint64_t window;    /* steps averaged into one point */
    uint64_t band_step; /* steps in one slice of a band */
    struct nauha__axis axis;
    bool shared; /* panels have the same y axis */
};

/* `csv skip 1 using ...` of one line: its means, or its values themselves. */
void nauha__scalars_using(FILE *out, const struct nauha__scalars *scalars,
                          const struct nauha__line *line, bool means);
/* "with lines" of a look, and marks where there are few points. */
void nauha__scalars_with(FILE *out, const struct nauha__scalars *scalars, const char *look,
                         const char *mark);
/* Crosses in this colour where a line, NULL for all, is nan, infinite or huge; nothing where it
 * never is. Goes behind another element of a plot command. */
void nauha__scalars_marks(FILE *out, const struct nauha__scalars *scalars,
                          const struct nauha__line *line, const char *colour);
/* Which of the runs, in the order in which they come, a line is of. */
size_t nauha__scalars_run(const struct nauha__series_summary *summary,
                          const struct nauha__line *line);
/* Behind the last line of the panel that begins with this one. */
size_t nauha__scalars_panel_end(const struct nauha__scalars *scalars, size_t first);

/* ---- the ways, each as the plot commands of one picture ---- */

void nauha__scalars_single(FILE *out, const struct nauha__scalars *scalars);
void nauha__scalars_together(FILE *out, const struct nauha__scalars *scalars);
void nauha__scalars_top(FILE *out, const struct nauha__scalars *scalars);
void nauha__scalars_panels(FILE *out, const struct nauha__scalars *scalars);
/* Steps to a slice of a band: a round number of messages' strides, for about so many slices. */
uint64_t nauha__band_step(const struct nauha__series_summary *summary, uint64_t slices);
/* Functions and arrays of bands; once, before the picture. */
void nauha__band_define(FILE *out, uint64_t first, uint64_t last, uint64_t step, bool log);
/* Reads `csv` into them: all rows, or those of a line and of what differs from it in the run. */
void nauha__band_read(FILE *out, const char *indent, const struct nauha__series_summary *summary,
                      const struct nauha__line *line);
/* The plot elements, filled, and as lines for a terminal of characters. */
void nauha__band_plot(FILE *out, const char *indent, size_t lines, const char *noun, bool keys);
void nauha__band_plot_lines(FILE *out, const char *indent, size_t lines, const char *noun);

#endif
