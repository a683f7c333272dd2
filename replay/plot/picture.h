/* SPDX-License-Identifier: MIT */
/* How a picture of a series is drawn.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_REPLAY_PLOT_PICTURE_H
#define NAUHA_REPLAY_PLOT_PICTURE_H

#include "nauha/plot.h"

/* The y axis. AUTO is logarithmic if the topic asks for it (plot.log_y) and the values span a
 * decade, or if all values are positive and span three decades. */
enum nauha__scale { NAUHA__SCALE_AUTO, NAUHA__SCALE_LINEAR, NAUHA__SCALE_LOG };

/* How lines or histograms are drawn; style.c has the names. */
enum nauha__style {
    NAUHA__STYLE_AUTO,
    NAUHA__STYLE_LINES,  /* all in one frame, each with its colour */
    NAUHA__STYLE_TOP,    /* the extreme ones coloured, the others grey */
    NAUHA__STYLE_PANELS, /* a small frame for each */
    NAUHA__STYLE_BAND,   /* their mean, spread and range */
    NAUHA__STYLE_ROWS,   /* a heat map, a row for each */
    NAUHA__STYLE_MAP     /* histograms: a heat map of steps and values */
};

struct nauha__picture {
    struct nauha_plot plot;
    enum nauha__scale scale;
    enum nauha__style style;
};

#endif
