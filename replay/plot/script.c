/* SPDX-License-Identifier: MIT */
/* The script of a series: choosing how it is drawn. */
#include "replay/plot/pieces.h"

void nauha__gnuplot_script(FILE *out, const char *name, const struct nauha__picture *picture,
                           const struct nauha__series_summary *summary) {
    if (summary->histogram)
        nauha__gnuplot_histograms(out, name, picture, summary);
    else
        nauha__gnuplot_scalars(out, name, picture, summary);
}
