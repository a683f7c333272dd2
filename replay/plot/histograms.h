/* SPDX-License-Identifier: MIT */
/* Histograms: what their two ways of drawing share.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_REPLAY_PLOT_HISTOGRAMS_H
#define NAUHA_REPLAY_PLOT_HISTOGRAMS_H

#include "replay/plot/pieces.h"

struct nauha__histograms {
    struct nauha__gnuplot_frame frame;
    bool ridges;
    const char *xlabel, *ylabel; /* the variables of the script that have the labels */
    size_t count;                /* panels */
    double share_max;            /* of the fullest bin */
    double share_min;            /* where the colours end */
    bool log;
};

/* The plot command of a panel of ridges, of the bins in $panelN. */
void nauha__ridges_panel(FILE *out, const struct nauha__histograms *histograms,
                         const struct nauha__line *line, size_t panel);

#endif
