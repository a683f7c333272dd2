/* SPDX-License-Identifier: MIT */
/* Histograms as ridges: the oldest at the back and on top, the newest before all others. */
#include <inttypes.h>
#include <math.h>

#include "replay/plot/histograms.h"

/* How many slices a ridge that has the fullest bin is high. */
#define HEIGHT 2.5

void nauha__ridges_panel(FILE *out, const struct nauha__histograms *histograms,
                         const struct nauha__line *line, size_t panel) {
    const struct nauha__series_summary *summary = histograms->frame.summary;
    const struct nauha_plot *plot = &histograms->frame.picture->plot;
    const uint64_t slice = histograms->frame.slice;
    const uint64_t slices = (summary->last_step - summary->first_step) / slice;
    const double margin = line->high > line->low ? 0.02 * (line->high - line->low) : 1;
    fprintf(out, "    set xrange [%.6g:%.6g]\n",
            isnan(plot->y_low) ? line->low - margin : plot->y_low,
            isnan(plot->y_high) ? line->high + margin : plot->y_high);
    fprintf(out,
            "    set yrange [%" PRIu64 " + 0.3*every:first - %g*every]\n"
            "    unset colorbox\n"
            "    plot for [k = 0:%" PRIu64 "] $panel%zu using (int(($1 - first)/every) == k \\\n"
            "        ? ($2 + $3)/2.0 : NaN):($1 - %g*every*$4/%" PRIu64 ".0) \\\n"
            "        with filledcurves y=(first + k*every) fs solid 1.0 border lc rgb '#ffffff' "
            "fc rgb (k %% 2 ? 0x5b9bc8 : 0x2f6f9f)\n",
            summary->first_step + slices * slice, HEIGHT + 0.2, slices, panel, HEIGHT,
            line->fullest ? line->fullest : 1);
}
