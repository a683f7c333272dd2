/* SPDX-License-Identifier: MIT */
/* The y axis of a picture: linear, logarithmic or, where values above 0 span decades and others are
 * not above 0, logarithmic on both sides of a linear stretch around 0.
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
    double low, high; /* of the values; high < low: there is none to draw */
    double from, to;  /* the limits; NaN: gnuplot finds them */
    double threshold; /* SYMLOG: linear below */
};

/* The axis for the lines of a series. `fixed`: with limits in any case, for panels that share it.
 */
void nauha__axis_choose(const struct nauha__picture *picture,
                        const struct nauha__series_summary *summary, bool fixed,
                        struct nauha__axis *axis);
/* The commands, each line behind `indent`. */
void nauha__axis_write(FILE *out, const struct nauha__axis *axis, const char *indent);
/* good(v): whether a value can be drawn; drawn(v): it or NaN. */
void nauha__axis_write_functions(FILE *out, const struct nauha__axis *axis);

#endif
