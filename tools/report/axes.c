/* SPDX-License-Identifier: MIT */
/* Scales and axes; see axes.h.
 *
 * Threads: any thread; a stream has one owner.
 */
#include "tools/report/axes.h"

#include <math.h>

#include "tools/report/html.h"

double scale_place(const struct scale *scale, double value) {
    const double part =
        scale->log ? (log10(value) - log10(scale->low)) / (log10(scale->high) - log10(scale->low))
                   : (value / 2 - scale->low / 2) / (scale->high / 2 - scale->low / 2);
    return scale->from + part * (scale->to - scale->from);
}

bool scale_spans_decades(double low_positive, double high) {
    return low_positive > 0 && isfinite(low_positive) && high / low_positive > 300;
}

struct scale scale_of(double low, double high, bool log, double from, double to) {
    struct scale scale = {low, high, log && low > 0, from, to};
    if (!(low <= high))
        return (struct scale){0, 1, false, from, to};
    if (scale.log) {
        const double room = fmax(0.02, 0.04 * (log10(high) - log10(low)));
        scale.low = fmax(low * pow(10, -room), 1e-307);
        scale.high = fmin(high * pow(10, room), 1e308);
        return scale;
    }
    double room = 0.04 * (high / 2 - low / 2) * 2;
    if (!(room > 1e-12 * fmax(fabs(low), fabs(high))))
        room = low == 0 ? 0.5 : 0.05 * fabs(low);
    scale.low = fmax(low - room, -1e308);
    scale.high = fmin(high + room, 1e308);
    return scale;
}

/* 1, 2 or 5 times a power of ten. */
static double round_step(double step) {
    const double power = pow(10, floor(log10(step)));
    const double part = step / power;
    return power * (part <= 1 ? 1 : part <= 2 ? 2 : part <= 5 ? 5 : 10);
}

static size_t linear_ticks(const struct scale *scale, size_t wanted, bool whole,
                           double ticks[TICKS_MAX]) {
    double step = round_step((scale->high / 2 - scale->low / 2) * 2 / (double)wanted);
    if (whole && step < 1)
        step = 1;
    size_t count = 0;
    for (double k = ceil(scale->low / step); k * step <= scale->high && count < TICKS_MAX; k++)
        ticks[count++] = k == 0 ? 0 : k * step;
    return count;
}

static size_t log_ticks(const struct scale *scale, size_t wanted, double ticks[TICKS_MAX]) {
    static const double parts[] = {1, 2, 5};
    const double first = ceil(log10(scale->low)), last = floor(log10(scale->high));
    size_t count = 0;
    if (last - first >= 1) {
        const double step = ceil((last - first + 1) / (double)wanted);
        for (double k = ceil(first / step) * step; k <= last && count < TICKS_MAX; k += step)
            ticks[count++] = pow(10, k);
        if (count > 1)
            return count;
        count = 0;
    }
    for (double k = floor(log10(scale->low)); k <= last + 1; k++)
        for (size_t i = 0; i < 3; i++) {
            const double tick = parts[i] * pow(10, k);
            if (tick >= scale->low && tick <= scale->high && count < TICKS_MAX)
                ticks[count++] = tick;
        }
    return count > 1 ? count : linear_ticks(scale, wanted, false, ticks);
}

size_t scale_ticks(const struct scale *scale, size_t wanted, bool whole, double ticks[TICKS_MAX]) {
    return scale->log ? log_ticks(scale, wanted, ticks) : linear_ticks(scale, wanted, whole, ticks);
}

/* The number of digits that distinguishes the ticks. */
static void write_tick(FILE *out, double value) {
    const double size = fabs(value);
    if (size != 0 && (size < 1e-3 || size >= 1e6))
        fprintf(out, "%.4g", value);
    else
        fprintf(out, "%.10g", value);
}

void axes_write(FILE *out, const char *id, const struct scale *x, const struct scale *y,
                const char *xlabel, const char *ylabel, bool small) {
    double ticks[TICKS_MAX];
    fprintf(out,
            "<clipPath id=%s-clip><rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\""
            " height=\"%.1f\"/></clipPath><g class=axes>",
            id, x->from, y->to, x->to - x->from, y->from - y->to);
    size_t count = scale_ticks(y, small ? 4 : 6, false, ticks);
    for (size_t i = 0; i < count; i++) {
        const double place = scale_place(y, ticks[i]);
        fprintf(out, "<path d=\"M%.1f %.1fH%.1f\"/><text x=\"%.1f\" y=\"%.1f\" class=y>", x->from,
                place, x->to, x->from - 5, place + 4);
        write_tick(out, ticks[i]);
        fputs("</text>", out);
    }
    count = scale_ticks(x, small ? 3 : 6, true, ticks);
    for (size_t i = 0; i < count; i++) {
        const double place = scale_place(x, ticks[i]);
        fprintf(out, "<path d=\"M%.1f %.1fv4\" class=t /><text x=\"%.1f\" y=\"%.1f\" class=x>",
                place, y->from, place, y->from + (small ? 14 : 17));
        write_tick(out, ticks[i]);
        fputs("</text>", out);
    }
    fprintf(out, "<path class=t d=\"M%.1f %.1fV%.1fH%.1f\"/>", x->from, y->to, y->from, x->to);
    if (xlabel) {
        fprintf(out, "<text class=\"x l\" x=\"%.1f\" y=\"%.1f\">", (x->from + x->to) / 2,
                y->from + 34);
        html_text(out, xlabel);
        fputs("</text>", out);
    }
    if (ylabel) {
        fprintf(out, "<text class=l x=\"2\" y=\"%.1f\">", y->to - 8);
        html_format(out, "%s%s", ylabel, y->log ? " (log axis)" : "");
        fputs("</text>", out);
    }
    fputs("</g>\n", out);
}
