/* SPDX-License-Identifier: MIT */
/* What the styles of scalar series share.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_REPLAY_PLOT_SCALARS_H
#define NAUHA_REPLAY_PLOT_SCALARS_H

#include "replay/plot/pieces.h"

/* The number of coloured lines in the style "top". */
#define NAUHA__TOP_LINES 7u
/* If a panel has more runs than this, they are drawn as a band. */
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

/* Writes `csv skip 1 using ...` for one line: its means, or its values. */
void nauha__scalars_using(FILE *out, const struct nauha__scalars *scalars,
                          const struct nauha__line *line, bool means);
/* Writes "with lines" and its look, and marks if there are few points. */
void nauha__scalars_with(FILE *out, const struct nauha__scalars *scalars, const char *look,
                         const char *mark);
/* Writes a further element of a plot command: crosses of this colour at the steps where a line
 * (NULL: any line) is nan, infinite or huge. Writes nothing if it never is. */
void nauha__scalars_marks(FILE *out, const struct nauha__scalars *scalars,
                          const struct nauha__line *line, const char *colour);
/* The number of the run that a line belongs to, in the order in which runs first appear. */
size_t nauha__scalars_run(const struct nauha__series_summary *summary,
                          const struct nauha__line *line);
/* The end of the panel that begins with this line: one past its last line. */
size_t nauha__scalars_panel_end(const struct nauha__scalars *scalars, size_t first);

/* ---- the ways, each as the plot commands of one picture ---- */

void nauha__scalars_single(FILE *out, const struct nauha__scalars *scalars);
void nauha__scalars_together(FILE *out, const struct nauha__scalars *scalars);
void nauha__scalars_top(FILE *out, const struct nauha__scalars *scalars);
void nauha__scalars_panels(FILE *out, const struct nauha__scalars *scalars);
/* How many steps are in a slice of a band: a multiple of the stride of messages, so that there are
 * about `slices` slices. */
uint64_t nauha__band_step(const struct nauha__series_summary *summary, uint64_t slices);
/* Writes the functions and arrays of bands; once, before the picture. */
void nauha__band_define(FILE *out, uint64_t first, uint64_t last, uint64_t step, bool log);
/* Writes the commands that read `csv` into them: all rows, or (line not NULL) those of this line in
 * all runs. */
void nauha__band_read(FILE *out, const char *indent, const struct nauha__series_summary *summary,
                      const struct nauha__line *line);
/* Write the elements of a plot command: filled areas, and lines for a terminal of characters. */
void nauha__band_plot(FILE *out, const char *indent, size_t lines, const char *noun, bool keys);
void nauha__band_plot_lines(FILE *out, const char *indent, size_t lines, const char *noun);

#endif
