/* SPDX-License-Identifier: MIT */
/* The y axis of a picture; see axis.h. */
#include "replay/plot/axis.h"

#include <math.h>

/* The span of values from which an axis is logarithmic: the first for topics that prefer a log
 * axis, the second for others. */
#define SPAN_WANTED 10.0
#define SPAN_ANY 1000.0
/* Decades on each side of a symmetric log axis. */
#define DECADES_MAX 12.0
#define TICKS_MAX 8.0
/* Up to this span, 2 and 5 are labelled as well. */
#define SPAN_FINE 100.0

struct range {
    double low, high, low_positive, low_magnitude;
};

static struct range range_of(const struct nauha__series_summary *summary) {
    struct range range = {INFINITY, -INFINITY, INFINITY, INFINITY};
    for (size_t i = 0; i < summary->line_count; i++) {
        const struct nauha__line *line = &summary->lines[i];
        range.low = fmin(range.low, line->low);
        range.high = fmax(range.high, line->high);
        range.low_positive = fmin(range.low_positive, line->low_positive);
        range.low_magnitude = fmin(range.low_magnitude, line->low_magnitude);
    }
    return range;
}

static bool wants_log(const struct nauha__picture *picture, const struct range *range) {
    const double largest = fmax(fabs(range->low), fabs(range->high));
    if (!(range->high >= range->low) || !(largest > 0) || picture->scale == NAUHA__SCALE_LINEAR)
        return false;
    if (picture->scale == NAUHA__SCALE_LOG)
        return true;
    if (picture->plot.log_y)
        return range->low_magnitude * SPAN_WANTED <= largest || range->low <= 0;
    return range->low > 0 && range->low * SPAN_ANY <= range->high && !(picture->plot.y_low <= 0);
}

static void choose_symmetric(struct nauha__axis *axis, const struct range *range) {
    const double largest = fmax(fabs(range->low), fabs(range->high));
    const double smallest = fmax(range->low_magnitude, largest * pow(10, -DECADES_MAX));
    axis->kind = NAUHA__AXIS_SYMLOG;
    axis->threshold = pow(10, floor(log10(smallest)));
    axis->from = range->low < 0 ? 1.3 * range->low : -0.3 * axis->threshold;
    axis->to = range->high > 0 ? 1.3 * range->high : 0.3 * axis->threshold;
}

void nauha__axis_choose(const struct nauha__picture *picture,
                        const struct nauha__series_summary *summary, bool fixed,
                        struct nauha__axis *axis) {
    const struct range range = range_of(summary);
    const struct nauha_plot *plot = &picture->plot;
    *axis = (struct nauha__axis){.low = range.low, .high = range.high, .from = NAN, .to = NAN};
    if (wants_log(picture, &range) && range.low <= 0) {
        choose_symmetric(axis, &range);
    } else if (wants_log(picture, &range)) {
        axis->kind = NAUHA__AXIS_LOG;
        axis->from = range.low / 1.3;
        axis->to = range.high * 1.3;
    } else if (!(range.high >= range.low)) {
        axis->from = 0;
        axis->to = 1;
    } else if (fixed) {
        const double margin = range.high > range.low ? 0.05 * (range.high - range.low) : 1;
        axis->from = range.low - margin;
        axis->to = range.high + margin;
    }
    if (!isnan(plot->y_low) && (axis->kind != NAUHA__AXIS_LOG || plot->y_low > 0))
        axis->from = plot->y_low;
    if (!isnan(plot->y_high) && (axis->kind != NAUHA__AXIS_LOG || plot->y_high > 0))
        axis->to = plot->y_high;
}

/* Marks 1, 2, 5, 10, ... if powers of ten alone would be too few. */
static void write_fine_ticks(FILE *out, const struct nauha__axis *axis) {
    static const int steps[] = {1, 2, 5};
    const char *before = "set ytics (";
    for (double unit = pow(10, floor(log10(axis->from))); unit <= axis->to; unit *= 10) {
        for (size_t i = 0; i < 3; i++) {
            if (steps[i] * unit < axis->from || steps[i] * unit > axis->to)
                continue;
            fprintf(out, "%s%g", before, steps[i] * unit);
            before = ", ";
        }
    }
    fputs(")\n", out);
}

/* Marks 0, and powers of ten on the sides that have values. */
static void write_symmetric_ticks(FILE *out, const struct nauha__axis *axis) {
    const double largest = fmax(fabs(axis->from), fabs(axis->to));
    const int decades = (int)ceil(log10(largest / axis->threshold));
    const bool both = axis->from < -axis->threshold && axis->to > axis->threshold;
    const int step = (int)ceil(decades / (both ? TICKS_MAX / 2 : TICKS_MAX));
    fputs("set ytics (0", out);
    for (int i = decades > 4 ? step : 0; i <= decades && step > 0; i += step) {
        const double value = axis->threshold * pow(10, i);
        if (value <= axis->to)
            fprintf(out, ", %g", value);
        if (-value >= axis->from)
            fprintf(out, ", %g", -value);
    }
    fputs(")\n", out);
}

static void write_limit(FILE *out, double limit) {
    if (isnan(limit))
        putc('*', out);
    else
        fprintf(out, "%.6g", limit);
}

void nauha__axis_write(FILE *out, const struct nauha__axis *axis, const char *indent) {
    if (axis->kind == NAUHA__AXIS_LOG) {
        fprintf(out, "%sset logscale y\n", indent);
        if (axis->from > 0 && axis->to < SPAN_FINE * axis->from) {
            fputs(indent, out);
            write_fine_ticks(out, axis);
        }
    }
    if (axis->kind == NAUHA__AXIS_SYMLOG) {
        fprintf(out,
                "%sthreshold = %g # the axis is linear up to here on both sides of 0, and "
                "logarithmic beyond\n"
                "%sset nonlinear y via sgn(y)*log10(1 + abs(y)/threshold) "
                "inverse sgn(y)*threshold*(10**abs(y) - 1)\n%s",
                indent, axis->threshold, indent, indent);
        write_symmetric_ticks(out, axis);
    }
    fprintf(out, "%sset format y '%%g'\n%sset yrange [", indent, indent);
    write_limit(out, axis->from);
    putc(':', out);
    write_limit(out, axis->to);
    fputs("]\n", out);
}

void nauha__axis_write_functions(FILE *out, const struct nauha__axis *axis) {
    fprintf(out,
            "good(v)    = v > %s && v < 1e300 # whether a value can be drawn\n"
            "drawn(v)   = good(v) ? v : NaN\n",
            axis->kind == NAUHA__AXIS_LOG ? "0" : "-1e300");
}
