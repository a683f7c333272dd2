/* SPDX-License-Identifier: MIT */
/* The overview: one picture with a small panel for each topic of a replay. Few lines are drawn as
 * they are, many as a band, runs as the means over their modules. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "replay/plot/scalars.h"

#define LINES_MAX 4u
#define RUNS_MAX 7u
#define SLICES 60u
#define EPOCHS_MAX 10u

struct page {
    const struct nauha__overview_topic *topics;
    size_t count;
    unsigned rows, columns;
};

/* The number of different runs, and one line of each, up to RUNS_MAX. */
static size_t find_runs(const struct nauha__series_summary *summary,
                        const struct nauha__line *runs[RUNS_MAX]) {
    size_t count = 0;
    for (size_t i = 0; i < summary->line_count; i++) {
        const size_t run = nauha__scalars_run(summary, &summary->lines[i]);
        if (run < count)
            continue;
        if (count < RUNS_MAX)
            runs[count] = &summary->lines[i];
        count++;
    }
    return count;
}

static void write_head(FILE *out, const char *name, const struct page *page) {
    fputs(
        "# Draws the CSVs of a replay in one picture. Written by nauha, made to be edited and run "
        "here:\n"
        "#   gnuplot THIS_FILE                      writes the .svg and the .png\n"
        "#   gnuplot -e \"term='pdf'\" THIS_FILE      also svg, png, dumb, qt, x11\n\n"
        "# ---- what you may want to change ----\n"
        "output     = ",
        out);
    nauha__gnuplot_quote(out, name);
    fprintf(out, "\nwidth      = %u\nheight     = %u\n", page->columns == 1 ? 900 : 1500,
            60 + 300 * page->rows);
    fputs("\n# ---- reading the CSVs: see the scripts of the single topics ----\n"
          "set datafile separator comma\n"
          "set datafile missing NaN\n"
          "set encoding utf8\n"
          "set border lc rgb '#606060'\n"
          "set tics nomirror font ',8'\n"
          "set key below center horizontal font ',8' samplen 1.5\n",
          out);
    nauha__gnuplot_define_marks(out);
}

/* What the panel of a topic needs: the CSV, the slices of steps, the values that can be drawn. */
static void write_topic(FILE *out, const struct nauha__overview_topic *topic,
                        const struct nauha__axis *axis) {
    const struct nauha__series_summary *summary = &topic->summary;
    const struct nauha_plot *plot = &topic->picture.plot;
    const uint64_t range = summary->last_step - summary->first_step;
    const bool log = axis->kind == NAUHA__AXIS_LOG;
    const uint64_t unit = nauha__gnuplot_stride(summary);
    const uint64_t per = unit * ((range / unit + SLICES) / SLICES);
    fputs("\n    csv = ", out);
    nauha__gnuplot_quote(out, topic->name);
    fprintf(out,
            ".'.csv'\n    first = %" PRIu64 "; last = %" PRIu64 "; per = %" PRIu64
            "; slices = int((last - first)/per) + 1\n"
            "    good(v) = v > %s && v < 1e300\n"
            "    to(v) = %s; back(v) = %s\n"
            "    set title ",
            summary->first_step, summary->last_step, per, log ? "0" : "-1e300",
            log ? "log10(v)" : "v", log ? "10**v" : "v");
    nauha__gnuplot_quote(out, plot->title ? plot->title : topic->name);
    fputs(" font ',10'\n    set xlabel ", out);
    nauha__gnuplot_quote(out, plot->xlabel ? plot->xlabel : "step");
    fputs(" font ',8' offset 0,0.7; set ylabel ", out);
    nauha__gnuplot_quote(out, plot->ylabel ? plot->ylabel : "");
    fputs(" font ',8' offset 1\n"
          "    unset logscale; unset nonlinear y; unset arrow; set ytics autofreq\n"
          "    set xrange [first:last > first ? last : first + 1]\n",
          out);
}

static void write_epochs(FILE *out, const struct nauha__series_summary *summary) {
    for (size_t i = 0; i < summary->epoch_count; i++) {
        if (nauha__gnuplot_draws_epoch(summary, i, EPOCHS_MAX))
            fprintf(out,
                    "    set arrow from %" PRIu64 ", graph 0 to %" PRIu64
                    ", graph 1 nohead back dt (6,4) lw 0.8 lc rgb '#b8b8b8'\n",
                    summary->epochs[i].step, summary->epochs[i].step);
    }
}

/* "X smooth unique": means over the slices of steps, of all rows or those of one line. */
static void write_line(FILE *out, const struct nauha__series_summary *summary,
                       const struct nauha__line *line, bool run, size_t colour) {
    fputs("csv skip 1 using (middle(slice($1))):(", out);
    if (run) {
        fprintf(out, "strcol(%d) eq ", nauha__key_column(summary, NAUHA__KEY_RUN));
        nauha__gnuplot_quote(out, line->text[NAUHA__KEY_RUN]);
    } else if (summary->line_count > 1) {
        const char *before = "";
        for (size_t k = 0; k < NAUHA__KEY_COLUMNS; k++) {
            if (!summary->varies[k])
                continue;
            fprintf(out, "%sstrcol(%d) eq ", before, nauha__key_column(summary, k));
            nauha__gnuplot_quote(out, line->text[k]);
            before = " && ";
        }
    } else {
        putc('1', out);
    }
    fprintf(out, " && good($9) ? $9 : NaN) smooth unique with lines lc rgb '%s' lw 1.6 ",
            nauha__colours[colour % NAUHA__COLOURS]);
}

static void write_lines(FILE *out, const struct nauha__series_summary *summary) {
    fputs("    plot ", out);
    for (size_t i = 0; i < summary->line_count; i++) {
        char legend[512];
        nauha__gnuplot_legend(summary, &summary->lines[i], legend, sizeof legend);
        fputs(i ? ", \\\n         " : "", out);
        write_line(out, summary, &summary->lines[i], false, i);
        fputs(legend[0] ? "title " : "no", out);
        if (legend[0])
            nauha__gnuplot_quote(out, legend);
        else
            fputs("title", out);
    }
}

static void write_runs(FILE *out, const struct nauha__series_summary *summary,
                       const struct nauha__line *const *runs, size_t count) {
    fputs("    plot ", out);
    for (size_t i = 0; i < count; i++) {
        fputs(i ? ", \\\n         " : "", out);
        write_line(out, summary, runs[i], true, i);
        fputs("title ", out);
        nauha__gnuplot_quote(out, runs[i]->text[NAUHA__KEY_RUN]);
    }
}

/* Draws crosses at the edge for values of any line that are not finite. */
static void write_marks(FILE *out, const struct nauha__series_summary *summary) {
    if (summary->not_finite && !summary->histogram)
        fputs(", \\\n         csv skip 1 using (gone(strcol(9)) ? $1 : NaN):(edge(strcol(9))) "
              "axes x1y2 with points pt 2 ps 0.6 lc rgb '#b00020' title 'nan or infinite'",
              out);
    putc('\n', out);
}

static void write_panel(FILE *out, const struct nauha__overview_topic *topic) {
    const struct nauha__series_summary *summary = &topic->summary;
    const struct nauha__line *runs[RUNS_MAX];
    struct nauha__axis axis;
    nauha__axis_choose(&topic->picture, summary, summary->histogram, &axis);
    write_topic(out, topic, &axis);
    nauha__axis_write(out, &axis, "    ");
    write_epochs(out, summary);
    const size_t count = summary->varies[NAUHA__KEY_RUN] ? find_runs(summary, runs) : 0;
    if (!(axis.high >= axis.low)) {
        fputs("    set yrange [0:1]\n    plot NaN title 'no finite value'", out);
    } else if (!summary->histogram && summary->line_count <= LINES_MAX) {
        write_lines(out, summary);
    } else if (!summary->histogram && count > 0 && count <= RUNS_MAX) {
        write_runs(out, summary, runs, count);
    } else {
        char noun[96];
        snprintf(noun, sizeof noun, "%s%s", nauha__gnuplot_noun(summary),
                 summary->histogram ? ", all elements" : "");
        nauha__band_read(out, "    ", summary, NULL);
        nauha__band_plot(out, "    ", summary->line_count, noun, true);
    }
    write_marks(out, summary);
}

void nauha__gnuplot_overview(FILE *out, const char *name,
                             const struct nauha__overview_topic *topics, size_t count) {
    struct page page = {.topics = topics, .count = count};
    page.columns = count <= 1 ? 1 : count <= 4 ? 2 : 3;
    page.rows = (unsigned)((count + page.columns - 1) / page.columns);
    write_head(out, name, &page);
    nauha__band_define(out, 0, SLICES - 1, 1, false);
    nauha__gnuplot_begin_picture(out);
    fprintf(out,
            "    set multiplot layout (target eq 'dumb' ? %zu : %u),(target eq 'dumb' ? 1 : %u)\n",
            count, page.rows, page.columns);
    for (size_t i = 0; i < count; i++)
        write_panel(out, &topics[i]);
    fputs("    unset multiplot\n", out);
    nauha__gnuplot_end_picture(out);
}
