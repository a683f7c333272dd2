/* SPDX-License-Identifier: MIT */
/* How a topic is to be plotted. */
#ifndef NAUHA_PLOT_H
#define NAUHA_PLOT_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

struct nauha_plot {
    const char *series; /* name of the files and in the column metric; NULL: the topic's name */
    const char *title;  /* "Norm of layer_gradients (p = 2)" */
    const char *xlabel; /* label of the step axis, "step"; also of histograms */
    const char *ylabel; /* the quantity, with its unit if it has one */
    double y_low;       /* NaN: automatic */
    double y_high;      /* NaN: automatic */
    bool log_y;
};

#ifdef __cplusplus
}
#endif
#endif
