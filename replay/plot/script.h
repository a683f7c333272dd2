/* SPDX-License-Identifier: MIT */
/* The gnuplot script that draws the CSV of one series, or an overview of several. It is commented,
 * so that users can edit and rerun it.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_REPLAY_PLOT_SCRIPT_H
#define NAUHA_REPLAY_PLOT_SCRIPT_H

#include <stdio.h>

#include "replay/plot/picture.h"
#include "replay/plot/series.h"

/* If no style is asked for: more lines than the first number get a panel each; more than the second
 * become the rows of one heat map or, if the CSV is not regular, are mostly grey. */
#define NAUHA__LINES_TOGETHER 12u
#define NAUHA__PANELS_MAX 60u

/* Writes the script that draws NAME.csv, in its own directory, as NAME.svg and NAME.png. A style
 * that does not fit the series is taken as AUTO. Errors stay in the stream, for ferror. */
void nauha__gnuplot_script(FILE *out, const char *name, const struct nauha__picture *picture,
                           const struct nauha__series_summary *summary);

/* The name of the script and the pictures of an overview. */
#define NAUHA__OVERVIEW "overview"
#define NAUHA__OVERVIEW_SCRIPT "./" NAUHA__OVERVIEW ".gp"

/* One panel of an overview, drawn from NAME.csv. */
struct nauha__overview_topic {
    const char *name;
    struct nauha__picture picture;
    struct nauha__series_summary summary;
};
/* Writes the script that draws all topics in one picture. */
void nauha__gnuplot_overview(FILE *out, const char *name,
                             const struct nauha__overview_topic *topics, size_t count);

/* How many lines of the summary a script draws: those that gnuplot can distinguish. */
size_t nauha__gnuplot_drawable(const struct nauha__series_summary *summary);

/* ---- styles and scales ---- */

const char *nauha__style_name(enum nauha__style style);
const char *nauha__scale_name(enum nauha__scale scale);
/* They return false, and change nothing, if there is no such name. */
bool nauha__style_find(const char *name, enum nauha__style *style);
bool nauha__scale_find(const char *name, enum nauha__scale *scale);
bool nauha__style_fits(enum nauha__style style, const struct nauha__series_summary *summary);

#endif
