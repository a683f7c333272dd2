/* SPDX-License-Identifier: MIT */
/* The y axis of a picture: linear, logarithmic, or symlog. Symlog is logarithmic on both sides of a
 * linear part around 0; it is used if the positive values span decades and other values are not
 * positive.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_REPLAY_PLOT_AXIS_H
#define NAUHA_REPLAY_PLOT_AXIS_H

#include <stdio.h>

#include "replay/plot/picture.h"
#include "replay/plot/series.h"

enum nauha__axis_kind { NAUHA__AXIS_LINEAR, NAUHA__AXIS_LOG, NAUHA__AXIS_SYMLOG };

struct nauha__axis {
    enum nauha__axis_kind kind;
    double low, high; /* range of the values; high < low: none can be drawn */
    double from, to;  /* the limits; NaN: gnuplot finds them */
    double threshold; /* SYMLOG: linear below */
};

/* Chooses the axis for the lines of a series. fixed: the limits are always set, for panels that
 * share the axis. */
void nauha__axis_choose(const struct nauha__picture *picture,
                        const struct nauha__series_summary *summary, bool fixed,
                        struct nauha__axis *axis);
/* Writes the gnuplot commands, with `indent` before each line. */
void nauha__axis_write(FILE *out, const struct nauha__axis *axis, const char *indent);
/* Writes the gnuplot functions good(v), whether a value can be drawn, and drawn(v), the value or
 * NaN. */
void nauha__axis_write_functions(FILE *out, const struct nauha__axis *axis);

#endif
