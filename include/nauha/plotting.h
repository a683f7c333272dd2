/* SPDX-License-Identifier: MIT */
/* Pictures of series that a pipeline's csv sink wrote, through gnuplot.
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

/* How to draw. All zero: as nauha chooses, to SVG and PNG files. */
struct nauha_drawing {
    /* "svg", "png", "pdf": that one file; "dumb": with characters on standard output; "qt", "x11":
     * in a window that stays. NULL: DIR/SERIES.svg and DIR/SERIES.png. */
    const char *term;
    /* "lines" (all in one frame), "top" (the largest and smallest coloured, the others grey),
     * "panels" (a small frame each), "band" (mean, spread and range), "rows" (a heat map, a row
     * each); of histograms "map" (a heat map of steps and values); "auto". NULL: that of the script
     * that is there, or auto. */
    const char *style;
    const char *scale;       /* of the y axis: "linear", "log", "auto"; NULL likewise */
    unsigned columns, lines; /* of characters; 0: 80 and 24 */
    bool lenient;            /* a style that does not fit a series is passed over */
};

/* Draws the series in DIR/SERIES.csv.
 *
 * The script is DIR/SERIES.gp. One that somebody edited runs as it is, whatever the CSV holds. One
 * that nauha wrote is made anew from the CSV, with the title, the axis labels, the limits, the
 * scale and the style it had; without one, the series' name is the title. It is kept where files
 * are made and left as it was where the picture goes to the terminal or a window.
 *
 * END: the series has no rows, nothing was drawn. INVALID: the path does not end in ".csv"; there
 * is no such term, style or scale, naming those there are; or the style does not fit the series.
 * FORMAT: not a series. IO: a file cannot be read or written. UNAVAILABLE: gnuplot is not
 * installed, or cannot draw to this term, saying what to install; or it failed, in its own words.
 */
NAUHA_API enum nauha_status nauha_plot_csv_as(const char *csv_path,
                                              const struct nauha_drawing *drawing,
                                              struct nauha_error *err);
/* The same with a term alone, or NULL. */
NAUHA_API enum nauha_status nauha_plot_csv(const char *csv_path, const char *term,
                                           struct nauha_error *err);

/* Whether a term makes files, as NULL does, or a picture on the screen; false for no term. */
NAUHA_API bool nauha_plot_makes_files(const char *term);

/* Draws all series of a directory in one picture, DIR/overview.svg and the like, by
 * DIR/overview.gp. END: there are fewer than two with rows, or one is called "overview". Errors as
 * above; files that are no series are passed over. */
NAUHA_API enum nauha_status nauha_plot_overview(const char *directory,
                                                const struct nauha_drawing *drawing,
                                                struct nauha_error *err);

#ifdef __cplusplus
}
#endif
#endif
