/* SPDX-License-Identifier: MIT */
/* Drawing the series that the csv sink of a pipeline wrote, with gnuplot.
 *
 * Threads: one at a time per directory.
 */
#ifndef NAUHA_PLOTTING_H
#define NAUHA_PLOTTING_H

#include <stdbool.h>

#include "nauha/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How to draw. If all is zero, nauha chooses the style and writes SVG and PNG files. */
struct nauha_drawing {
    /* The terminal of gnuplot. "svg", "png" and "pdf" write that file; "dumb" draws with characters
     * on standard output; "qt" and "x11" open a window that stays. NULL: DIR/SERIES.svg and
     * DIR/SERIES.png. */
    const char *term;
    /* "lines": all lines in one frame; "top": the largest and smallest lines in color, the others
     * grey; "panels": a small frame for each line; "band": mean, spread and range; "rows": a heat
     * map with a row for each line; for histograms "map": a heat map over steps and values; "auto":
     * nauha chooses. NULL: the style of the existing script, else auto. */
    const char *style;
    const char *scale;       /* of the y axis: "linear", "log", "auto"; NULL: as for style */
    unsigned columns, lines; /* size of a "dumb" picture in characters; 0: 80 and 24 */
    bool lenient;            /* ignore the style if it does not fit a series */
};

/* Draws the series in DIR/SERIES.csv.
 *
 * The script is DIR/SERIES.gp. If somebody edited it, it is run unchanged. If nauha wrote it, it is
 * written anew for the present CSV, with its title, axis labels, limits, scale and style; if there
 * is none, the name of the series becomes the title. A picture on the terminal or in a window
 * leaves the script as it was.
 *
 * END: the series has no rows, and nothing was drawn. INVALID: the path does not end in ".csv";
 * there is no such term, style or scale (err lists those there are); or the style does not fit the
 * series. FORMAT: the file is not a series. IO: a file cannot be read or written. UNAVAILABLE:
 * gnuplot is not installed or cannot draw to this term (err says what to install), or it failed.
 */
NAUHA_API enum nauha_status nauha_plot_csv_as(const char *csv_path,
                                              const struct nauha_drawing *drawing,
                                              struct nauha_error *err);
/* The same with only a term, which may be NULL. */
NAUHA_API enum nauha_status nauha_plot_csv(const char *csv_path, const char *term,
                                           struct nauha_error *err);

/* Whether a term writes files; true for NULL, false for a name that is not a term. */
NAUHA_API bool nauha_plot_makes_files(const char *term);

/* Draws all series of a directory in one picture, DIR/overview.svg and so on, with the script
 * DIR/overview.gp. CSV files that are not series are ignored. END: fewer than two series have rows,
 * or one is called "overview". Else fails as nauha_plot_csv_as. */
NAUHA_API enum nauha_status nauha_plot_overview(const char *directory,
                                                const struct nauha_drawing *drawing,
                                                struct nauha_error *err);

#ifdef __cplusplus
}
#endif
#endif
