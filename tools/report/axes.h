/* SPDX-License-Identifier: MIT */
/* Mapping values to positions in a picture, and drawing axes.
 *
 * Threads: any thread; a stream has one owner.
 */
#ifndef NAUHA_TOOLS_REPORT_AXES_H
#define NAUHA_TOOLS_REPORT_AXES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Maps the values low to high to the positions `from` to `to`. */
struct scale {
    double low, high;
    bool log;
    double from, to;
};

double scale_place(const struct scale *scale, double value);

/* A scale that shows low to high with a margin; a log scale becomes linear if low is not positive.
 */
struct scale scale_of(double low, double high, bool log, double from, double to);

/* Whether values from low_positive (the smallest above 0) to high are easier to read on a log axis.
 */
bool scale_spans_decades(double low_positive, double high);

#define TICKS_MAX 16u

/* Finds round values for ticks, about `wanted` and at most TICKS_MAX. Returns how many. whole: only
 * whole numbers. */
size_t scale_ticks(const struct scale *scale, size_t wanted, bool whole, double ticks[TICKS_MAX]);

/* Writes a frame with ticks, their values and the labels of both axes. `id` names ID-clip, the clip
 * path of the inside of the frame. */
void axes_write(FILE *out, const char *id, const struct scale *x, const struct scale *y,
                const char *xlabel, const char *ylabel, bool small);

#endif
