/* SPDX-License-Identifier: MIT */
/* From values to places in a picture, and the axes that say so.
 *
 * Threads: any thread; a stream has one owner.
 */
#ifndef NAUHA_TOOLS_REPORT_AXES_H
#define NAUHA_TOOLS_REPORT_AXES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Values low to high lie at from to to. */
struct scale {
    double low, high;
    bool log;
    double from, to;
};

double scale_place(const struct scale *scale, double value);

/* A scale that shows low to high with some room; log falls back to linear where low is not
 * positive. */
struct scale scale_of(double low, double high, bool log, double from, double to);

/* Whether values from low (the smallest above 0) to high are better read on a log axis. */
bool scale_spans_decades(double low_positive, double high);

#define TICKS_MAX 16u

/* Where round values lie, at most about `wanted`. Returns how many. whole: no fractions. */
size_t scale_ticks(const struct scale *scale, size_t wanted, bool whole, double ticks[TICKS_MAX]);

/* The frame of x and y, ticks with their values, and what is on the axes. `id` names the clip path
 * ID-clip of the frame's inside. */
void axes_write(FILE *out, const char *id, const struct scale *x, const struct scale *y,
                const char *xlabel, const char *ylabel, bool small);

#endif
