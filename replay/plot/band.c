/* SPDX-License-Identifier: MIT */
/* Bands: mean, spread and range of many lines, found by gnuplot in one pass over the CSV. */
#include <inttypes.h>

#include "replay/plot/scalars.h"

uint64_t nauha__band_step(const struct nauha__series_summary *summary, uint64_t slices) {
    const uint64_t unit = nauha__gnuplot_stride(summary);
    const uint64_t units = (summary->last_step - summary->first_step) / unit;
    return unit * nauha__round_up((units + slices) / slices);
}

void nauha__band_define(FILE *out, uint64_t first, uint64_t last, uint64_t step, bool log) {
    fprintf(out,
            "\n# ---- bands: all lines together, in slices of steps ----\n"
            "first      = %" PRIu64 "\n"
            "per        = %" PRIu64 " # steps in a slice\n"
            "slices     = %" PRIu64 "\n",
            first, step, (last - first) / step + 1);
    fputs("array least[slices]; array most[slices]; array total[slices]; array squares[slices]\n"
          "array number[slices]\n"
          "forget     = 'do for [i = 1:|least|] { least[i] = 1e308; most[i] = -1e308; "
          "total[i] = 0; squares[i] = 0; number[i] = 0 }'\n"
          "slice(step) = int((step - first)/per) + 1\n"
          "middle(i)  = per > 1 ? first + (i - 0.5)*per : first + i - 1\n",
          out);
    fprintf(out,
            "to(v)      = %s\n"
            "back(v)    = %s\n",
            log ? "log10(v) # means and deviations are those of the logarithms" : "v",
            log ? "10**v" : "v");
    fputs("# Takes a value, or a bin from a to b, with its weight.\n"
          "take(i, a, b, w) = (least[i] = a < least[i] ? a : least[i], \\\n"
          "    most[i] = b > most[i] ? b : most[i], total[i] = total[i] + w*to((a + b)/2.0), \\\n"
          "    squares[i] = squares[i] + w*to((a + b)/2.0)**2, number[i] = number[i] + w, i)\n"
          "mean(i)    = total[i]/number[i]\n"
          "spread(i)  = sqrt(squares[i]/number[i] > mean(i)**2 ? squares[i]/number[i] - mean(i)**2 "
          ": 0)\n"
          "there(i, v) = number[i] > 0 ? v : NaN\n",
          out);
}

void nauha__band_read(FILE *out, const char *indent, const struct nauha__series_summary *summary,
                      const struct nauha__line *line) {
    fprintf(out,
            "%seval forget\n"
            "%sset table $taken\n"
            "%splot csv skip 1 using (",
            indent, indent, indent);
    if (line) {
        nauha__gnuplot_call_is(out, summary, line, true);
        fputs(" && ", out);
    }
    fputs(summary->histogram ? "$11 > 0 && good($9) && good($10) ? take(slice($1), $9, $10, $11)"
                             : "good($9) ? take(slice($1), $9, $9, 1)",
          out);
    fprintf(out, " : NaN) with table\n%sunset table\n", indent);
}

void nauha__band_plot(FILE *out, const char *indent, size_t lines, const char *noun, bool keys) {
    char titles[3][96] = {"notitle", "notitle", "notitle"};
    if (keys) {
        snprintf(titles[0], sizeof titles[0], "title 'range of %zu %s'", lines, noun);
        snprintf(titles[1], sizeof titles[1], "title 'standard deviation'");
        snprintf(titles[2], sizeof titles[2], "title 'mean'");
    }
    fprintf(out,
            "%splot least using (middle($1)):(there($1, least[$1])):(there($1, most[$1])) \\\n"
            "%s        with filledcurves fc rgb '#dce9f5' fs solid noborder %s, \\\n"
            "%s    least using (middle($1)):(there($1, back(mean($1) - spread($1)))):"
            "(there($1, back(mean($1) + spread($1)))) \\\n"
            "%s        with filledcurves fc rgb '#9ec4e3' fs solid noborder %s, \\\n"
            "%s    least using (middle($1)):(there($1, back(mean($1)))) with lines "
            "lc rgb '#0072B2' lw 1.8 %s",
            indent, indent, titles[0], indent, indent, titles[1], indent, titles[2]);
}

void nauha__band_plot_lines(FILE *out, const char *indent, size_t lines, const char *noun) {
    fprintf(out,
            "%splot least using (middle($1)):(there($1, most[$1])) with lines "
            "title 'largest of %zu %s', \\\n"
            "%s    least using (middle($1)):(there($1, back(mean($1)))) with lines title 'mean', "
            "\\\n"
            "%s    least using (middle($1)):(there($1, least[$1])) with lines title 'smallest'\n",
            indent, lines, noun, indent, indent);
}
