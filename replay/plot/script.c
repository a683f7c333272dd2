/* SPDX-License-Identifier: MIT */
/* The script of a series: which of the ways to draw it is taken. */
#include "replay/plot/pieces.h"

void nauha__gnuplot_script(FILE *out, const char *name, const struct nauha__picture *picture,
                           const struct nauha__series_summary *summary) {
    if (summary->histogram)
        nauha__gnuplot_histograms(out, name, picture, summary);
    else
        nauha__gnuplot_scalars(out, name, picture, summary);
}
