/* SPDX-License-Identifier: MIT */
/* How a topic wants to be plotted. */
#ifndef NAUHA_PLOT_H
#define NAUHA_PLOT_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

struct nauha_plot {
    const char *series; /* name of files and of the metric column; NULL: the topic's name */
    const char *title;  /* "Norm of layer_gradients (p = 2)" */
    const char *xlabel; /* "step"; histograms: the step axis as well */
    const char *ylabel; /* quantity with its unit where it has one */
    double y_low;       /* NaN: automatic */
    double y_high;      /* NaN: automatic */
    bool log_y;
};

#ifdef __cplusplus
}
#endif
#endif
