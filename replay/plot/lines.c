/* SPDX-License-Identifier: MIT */
/* Lines in one frame: a single one, all of them, or the extreme ones in front of the others. */
#include <string.h>

#include "replay/plot/scalars.h"

/* ---- one line ---- */

static void write_means(FILE *out, const struct nauha__scalars *scalars,
                        const struct nauha__line *line) {
    nauha__scalars_using(out, scalars, line, true);
    fputs(" with lines lc rgb '#0072B2' lw 2.2 title sprintf('mean of %d steps', window)", out);
    nauha__scalars_marks(out, scalars, line, "#b00000");
    putc('\n', out);
}

/* Draws all values in pale colours below their means; characters cannot be pale. */
static void write_values_and_means(FILE *out, const struct nauha__scalars *scalars,
                                   const struct nauha__line *line) {
    fputs("    if (target eq 'dumb') {\n        plot ", out);
    write_means(out, scalars, line);
    fputs("    } else {\n        plot ", out);
    nauha__scalars_using(out, scalars, line, false);
    fputs(" with lines lc rgb '#a6cee3' lw 0.7 title 'every value', \\\n             ", out);
    write_means(out, scalars, line);
    fputs("    }\n", out);
}

void nauha__scalars_single(FILE *out, const struct nauha__scalars *scalars) {
    const struct nauha__line *line = scalars->lines[0];
    char legend[512];
    nauha__gnuplot_legend(scalars->frame.summary, line, legend, sizeof legend);
    if (scalars->window > 1) {
        write_values_and_means(out, scalars, line);
        return;
    }
    fputs("    plot ", out);
    nauha__scalars_using(out, scalars, line, true);
    nauha__scalars_with(out, scalars, "lc rgb '#0072B2' lw 1.8", "pt 7 ps 0.6");
    if (legend[0]) {
        fputs(" title ", out);
        nauha__gnuplot_quote(out, legend);
    } else {
        fputs(" notitle", out);
    }
    nauha__scalars_marks(out, scalars, line, "#b00000");
    putc('\n', out);
}

/* ---- many lines ---- */

/* Up to so many rows in all, reading the CSV once for each grey line is fast. */
#define GREY_ROWS_MAX 5000000u

/* Colours that colour-blind people can distinguish, and other dashes each time they are used
 * again. */
static void write_look(FILE *out, size_t i) {
    static const char *const dashes[] = {"solid", "(7,3)", "(2,2)", "(10,3,2,3)"};
    fprintf(out, "lc rgb '%s' dt %s lw 1.6 pt %zu ps 0.6", nauha__colours[i % NAUHA__COLOURS],
            dashes[i / NAUHA__COLOURS % 4], i % 12 + 4);
}

static void write_coloured(FILE *out, const struct nauha__scalars *scalars, size_t count) {
    for (size_t i = 0; i < count; i++) {
        char legend[512];
        nauha__gnuplot_legend(scalars->frame.summary, scalars->lines[i], legend, sizeof legend);
        if (i)
            fputs(", \\\n         ", out);
        nauha__scalars_using(out, scalars, scalars->lines[i], true);
        nauha__scalars_with(out, scalars, "", "");
        write_look(out, i);
        fputs(" title ", out);
        nauha__gnuplot_quote(out, legend);
        nauha__scalars_marks(out, scalars, scalars->lines[i], nauha__colours[i % NAUHA__COLOURS]);
    }
    putc('\n', out);
}

void nauha__scalars_together(FILE *out, const struct nauha__scalars *scalars) {
    fputs("    plot ", out);
    write_coloured(out, scalars, scalars->count);
}

void nauha__scalars_top(FILE *out, const struct nauha__scalars *scalars) {
    const struct nauha__series_summary *summary = scalars->frame.summary;
    const size_t coloured = scalars->count < NAUHA__TOP_LINES ? scalars->count : NAUHA__TOP_LINES;
    const size_t others = scalars->count - coloured;
    fputs("    plot ", out);
    if (others * summary->rows > GREY_ROWS_MAX) {
        fprintf(out,
                "csv skip 1 using 1:(drawn($9)) with points pt 7 ps 0.15 lc rgb '#b8b8b8' title "
                "'%zu other %s', \\\n         ",
                others, nauha__gnuplot_noun(summary));
        write_coloured(out, scalars, coloured);
        return;
    }
    for (size_t i = coloured; i < scalars->count; i++) {
        nauha__scalars_using(out, scalars, scalars->lines[i], true);
        fputs(" with lines lc rgb '#c8c8c8' lw 0.8 ", out);
        if (i == coloured)
            fprintf(out, "title '%zu other %s'", others, nauha__gnuplot_noun(summary));
        else
            fputs("notitle", out);
        nauha__scalars_marks(out, scalars, scalars->lines[i], "#909090");
        fputs(", \\\n         ", out);
    }
    write_coloured(out, scalars, coloured);
}
