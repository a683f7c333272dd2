/* SPDX-License-Identifier: MIT */
/* Scripts with a small frame for each line, or for all runs of a line. */
#include <string.h>

#include "replay/plot/scalars.h"

/* Whether the key of the first panel is enough for all panels. */
static bool first_has_all_runs(const struct nauha__scalars *scalars) {
    size_t last = 0;
    for (size_t i = 0; i < scalars->count; i++) {
        const size_t run = nauha__scalars_run(scalars->frame.summary, scalars->lines[i]);
        last = run > last ? run : last;
    }
    if (scalars->run_bands)
        return true;
    return nauha__scalars_panel_end(scalars, 0) > last;
}

/* Title and axes of a panel. */
static void begin_panel(FILE *out, const struct nauha__scalars *scalars, size_t panel,
                        size_t first) {
    struct nauha__series_summary naming = *scalars->frame.summary;
    char legend[512];
    naming.varies[NAUHA__KEY_RUN] = naming.varies[NAUHA__KEY_RUN] && !scalars->by_run;
    nauha__gnuplot_legend(&naming, scalars->lines[first], legend, sizeof legend);
    if (panel == 1)
        fprintf(out, "    unset label 8; unset label 9%s\n",
                scalars->by_run && first_has_all_runs(scalars) ? "; unset key" : "");
    if (scalars->shared && scalars->frame.columns > 1)
        fprintf(out, "    set format y %s\n", panel % scalars->frame.columns ? "''" : "'%g'");
    const bool bottom = panel + scalars->frame.columns >= scalars->panels;
    fprintf(out, "    set format x %s; set xlabel %s\n", bottom ? "'%g'" : "''",
            bottom ? "x_label" : "''");
    fputs("    set title ", out);
    nauha__gnuplot_quote(out, legend);
}

/* The line style of a run, the same in every panel. */
static void write_run(FILE *out, const struct nauha__scalars *scalars,
                      const struct nauha__line *line) {
    const size_t run = nauha__scalars_run(scalars->frame.summary, line);
    const char *colour = nauha__colours[run % NAUHA__COLOURS];
    char look[64];
    snprintf(look, sizeof look, "lc rgb '%s'%s lw 1.4", colour,
             run / NAUHA__COLOURS % 2 ? " dt (7,3)" : "");
    nauha__scalars_using(out, scalars, line, true);
    nauha__scalars_with(out, scalars, look, "pt 7 ps 0.3");
    if (scalars->by_run) {
        fputs(" title ", out);
        nauha__gnuplot_quote(out, line->text[NAUHA__KEY_RUN]);
    }
    nauha__scalars_marks(out, scalars, line, scalars->by_run ? colour : "#b00000");
}

/* The lines [first, end) of a panel. */
static void write_panel(FILE *out, const struct nauha__scalars *scalars, size_t first, size_t end) {
    uint64_t finite = 0;
    for (size_t i = first; i < end; i++)
        finite += scalars->lines[i]->finite;
    fprintf(out, "%s font ',9' offset 0,-0.7\n", finite ? "" : ".': no finite value'");
    if (scalars->run_bands) {
        nauha__band_read(out, "    ", scalars->frame.summary, scalars->lines[first]);
        nauha__band_plot(out, "    ", end - first, "runs", first == 0);
        putc('\n', out);
        return;
    }
    fputs("    plot ", out);
    for (size_t i = first; i < end; i++) {
        write_run(out, scalars, scalars->lines[i]);
        fputs(i + 1 < end ? ", \\\n         " : "\n", out);
    }
}

void nauha__scalars_panels(FILE *out, const struct nauha__scalars *scalars) {
    const double width = scalars->frame.width, height = scalars->frame.height;
    char more[64] = "";
    if (scalars->count < scalars->all)
        snprintf(more, sizeof more, ".' (the first %zu panels)'", scalars->panels);
    fprintf(out,
            "    set multiplot layout %u,%u title main_title%s font ',13' "
            "margins %.4f,%.4f,%.4f,%.4f spacing %.4f,%.4f\n"
            "    set label 8 y_label at screen %.4f, screen 0.5 rotate center\n"
            "    %s\n    set xlabel ''; set tics font ',9'\n",
            scalars->frame.rows, scalars->frame.columns, more, 90 / width, 1 - 25 / width,
            62 / height, 1 - 75 / height, (scalars->shared ? 18 : 62) / width, 32 / height,
            16 / width, scalars->by_run ? "set key top right font ',8' samplen 1.5" : "unset key");
    for (size_t i = 0, panel = 0, end; i < scalars->count; i = end, panel++) {
        end = nauha__scalars_panel_end(scalars, i);
        begin_panel(out, scalars, panel, i);
        write_panel(out, scalars, i, end);
    }
}
