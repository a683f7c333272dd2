/* SPDX-License-Identifier: MIT */
/* Pictures of series that a pipeline's csv sink wrote, through gnuplot.
 *
 * Threads: one at a time per directory.
 */
#ifndef NAUHA_PLOTTING_H
#define NAUHA_PLOTTING_H

#include "nauha/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Draws the series in DIR/SERIES.csv.
 *
 * term NULL: makes DIR/SERIES.svg and DIR/SERIES.png; "svg", "png", "pdf": that one file; "dumb":
 * draws with characters on standard output; "qt", "x11", "wxt": in a window that stays. Others
 * are passed on to gnuplot.
 *
 * The script is DIR/SERIES.gp. One that somebody edited runs as it is, whatever the CSV holds. One
 * that nauha wrote is made anew from the CSV, with the title, the axis labels, the limits and the
 * log axis it had; without one, the series' name is the title. It is kept where files are made
 * and left as it was where the picture goes to the terminal or a window.
 *
 * END: the series has no rows, nothing was drawn. INVALID: the path does not end in ".csv", or
 * term is no name. FORMAT: not a series. IO: a file cannot be read or written. UNAVAILABLE:
 * gnuplot is not installed, or it cannot draw to this term; the message has its own words. */
NAUHA_API enum nauha_status nauha_plot_csv(const char *csv_path, const char *term,
                                           struct nauha_error *err);

#ifdef __cplusplus
}
#endif
#endif
