/* SPDX-License-Identifier: MIT */
/* Scripts of scalar series: lines together, a panel each, or the largest before the others. */
#include "replay/gnuplot_script.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Rows of a line up to which every point is marked, and beyond which means are drawn. */
#define MARKED_ROWS 60u
#define RAW_ROWS 150u
/* Means across the width of a picture, and of a panel. */
#define MEANS 100u
#define PANEL_MEANS 80u

/* Okabe and Ito's colours (2008), without the yellow that a white ground swallows. */
static const char *const colours[] = {"#0072B2", "#D55E00", "#009E73", "#CC79A7",
                                      "#E69F00", "#56B4E9", "#000000"};
#define COLOURS (sizeof colours / sizeof *colours)

struct scalar_plot {
    struct nauha__gnuplot_frame frame;
    const struct nauha__line **lines; /* the ones to draw */
    size_t count;
    size_t all;  /* lines there are */
    bool by_run; /* a panel has a line for each run */
    size_t panels;
    uint64_t most_rows;  /* of a line */
    uint64_t window;     /* steps averaged into one point */
    double low, high;    /* of what is drawn */
    double low_positive; /* of what is drawn */
    bool log;
};

/* The next of 1, 2, 5, 10, 20, ... */
static uint64_t round_up(uint64_t n) {
    uint64_t unit = 1;
    while (unit < n && unit < UINT64_MAX / 10) {
        if (unit * 2 >= n)
            return unit * 2;
        if (unit * 5 >= n)
            return unit * 5;
        unit *= 10;
    }
    return unit;
}

static int by_size(const void *a, const void *b) {
    const struct nauha__line *x = *(const struct nauha__line *const *)a;
    const struct nauha__line *y = *(const struct nauha__line *const *)b;
    const double mean_x = x->finite ? x->sum_abs / (double)x->finite : 0;
    const double mean_y = y->finite ? y->sum_abs / (double)y->finite : 0;
    if (mean_x != mean_y)
        return mean_x < mean_y ? 1 : -1;
    return x < y ? -1 : x > y;
}

/* ---- panels of several runs ---- */

static bool same_but_run(const struct nauha__line *a, const struct nauha__line *b) {
    for (size_t k = 0; k < NAUHA__KEY_COLUMNS; k++) {
        if (k != NAUHA__KEY_RUN && strcmp(a->text[k], b->text[k]) != 0)
            return false;
    }
    return true;
}

/* Behind the last line of the panel that begins with this one. */
static size_t end_of_panel(const struct scalar_plot *plot, size_t first) {
    size_t end = first + 1;
    while (plot->by_run && end < plot->count && same_but_run(plot->lines[first], plot->lines[end]))
        end++;
    return end;
}

/* The lines that differ in their run alone, side by side. */
static void gather_runs(struct scalar_plot *plot) {
    const struct nauha__line **lines = plot->lines;
    for (size_t first = 0, end; first < plot->count; first = end) {
        end = first + 1;
        for (size_t i = end; i < plot->count; i++) {
            const struct nauha__line *line = lines[i];
            if (!same_but_run(lines[first], line))
                continue;
            memmove(&lines[end + 1], &lines[end], (i - end) * sizeof *lines);
            lines[end++] = line;
        }
        if (++plot->panels == NAUHA__PANELS_MAX)
            plot->count = end;
    }
}

static bool several_panels(const struct nauha__series_summary *summary) {
    bool others = false;
    for (size_t k = 0; k < NAUHA__KEY_COLUMNS; k++)
        others = others || (k != NAUHA__KEY_RUN && summary->varies[k]);
    return others && summary->varies[NAUHA__KEY_RUN];
}

/* Which of the runs, in the order in which they come, a line is of. */
static size_t run_of(const struct nauha__series_summary *summary, const struct nauha__line *line) {
    const char *before = "";
    size_t run = 0;
    for (size_t i = 0; i < summary->line_count; i++) {
        const char *text = summary->lines[i].text[NAUHA__KEY_RUN];
        if (strcmp(text, line->text[NAUHA__KEY_RUN]) == 0)
            break;
        run += strcmp(text, before) != 0; /* the rows of a run come together */
        before = text;
    }
    return run;
}

/* Chooses the lines to draw and takes their ranges. */
static void choose_lines(struct scalar_plot *plot, const struct nauha__series_summary *summary) {
    plot->low = plot->low_positive = INFINITY;
    plot->high = -INFINITY;
    for (size_t i = 0; i < summary->line_count; i++) {
        if (!summary->lines[i].unreadable)
            plot->lines[plot->count++] = &summary->lines[i];
    }
    plot->all = plot->count;
    plot->by_run = several_panels(summary);
    if (plot->by_run) {
        gather_runs(plot);
    } else if (plot->count > NAUHA__PANELS_MAX) {
        qsort(plot->lines, plot->count, sizeof *plot->lines, by_size);
        plot->count = NAUHA__LINES_TOGETHER;
    }
    for (size_t i = 0; i < plot->all; i++) {
        const struct nauha__line *line = plot->lines[i];
        plot->low = fmin(plot->low, line->low);
        plot->high = fmax(plot->high, line->high);
        plot->low_positive = fmin(plot->low_positive, line->low_positive);
        if (line->rows > plot->most_rows)
            plot->most_rows = line->rows;
    }
}

static void write_columns(FILE *out, const struct scalar_plot *plot) {
    fputs(
        "\n# ---- reading the CSV: 1 global_step, 2 train_step, 3 epoch, 4 rank, 5 tag, 6 module, "
        "7 slot, 8 call, 9 value",
        out);
    fputs(plot->frame.summary->runs ? ", 10 run ----\n" : " ----\n", out);
    fputs("set datafile separator comma\n"
          "set datafile missing NaN\n",
          out);
    nauha__gnuplot_define_is(out, plot->frame.summary);
    if (plot->frame.summary->regular && plot->frame.summary->line_count > 1)
        fputs(
            "# Every step has the same rows in the same order: \"every\" below makes gnuplot pass "
            "over\n# those of other lines quickly, and may be left out.\n",
            out);
    fprintf(out, "drawn(v) = %s && v < 1e300 ? v : NaN\n", plot->log ? "v > 0" : "v > -1e300");
    fputs("mean_step(step) = window > 1 ? window*floor(step/window) + window/2.0 : step\n", out);
}

static void write_note(FILE *out, const struct scalar_plot *plot) {
    const struct nauha__series_summary *summary = plot->frame.summary;
    const uint64_t dropped = plot->log ? summary->not_positive : 0;
    char text[256];
    int length = 0;
    text[0] = 0;
    if (dropped)
        length = snprintf(text, sizeof text, "%" PRIu64 " values that are not above 0%s", dropped,
                          summary->not_finite ? " and " : "");
    if (summary->not_finite)
        length += snprintf(text + length, sizeof text - (size_t)length,
                           "%" PRIu64 " nan, infinite or huge values", summary->not_finite);
    if (length)
        fprintf(out,
                "set label 9 'not drawn: %s' at screen 0.995, screen 0.012 right "
                "font ',8' tc rgb '#806000'\n",
                text);
}

static void write_y_axis(FILE *out, const struct scalar_plot *plot, bool shared) {
    double low = plot->frame.plot->y_low, high = plot->frame.plot->y_high;
    const bool any = plot->high >= plot->low;
    if (plot->log && !(low > 0))
        low = NAN;
    if (shared && any) {
        const double margin = plot->high > plot->low ? 0.05 * (plot->high - plot->low) : 1;
        if (isnan(low))
            low = plot->log ? plot->low_positive / 1.3 : plot->low - margin;
        if (isnan(high))
            high = plot->log ? plot->high * 1.3 : plot->high + margin;
    }
    fputs(plot->log ? "set logscale y\nset format y '%.0e'\n" : "set format y '%g'\n", out);
    if (plot->log && plot->low_positive > 1e-4 && plot->high < 1e5)
        fputs("set format y '%g'\n", out);
    fputs("set yrange [", out);
    if (!isnan(low))
        fprintf(out, "%.6g", low);
    else
        fputs(any ? "*" : "0", out);
    putc(':', out);
    if (!isnan(high))
        fprintf(out, "%.6g", high);
    else
        fputs(any ? "*" : "1", out);
    fputs("]\n", out);
}

/* `csv skip 1 using ... ` of one line: its means, or its values themselves. */
static void write_using(FILE *out, const struct scalar_plot *plot, const struct nauha__line *line,
                        bool means) {
    const struct nauha__series_summary *summary = plot->frame.summary;
    fputs("csv skip 1 ", out);
    if (summary->regular && summary->line_count > 1)
        fprintf(out, "every %zu::%zu ", summary->line_count, (size_t)(line - summary->lines));
    fprintf(out, "using (%s):(", means ? "mean_step($1)" : "$1");
    bool filtered = false;
    for (size_t k = 0; k < NAUHA__KEY_COLUMNS; k++)
        filtered = filtered || summary->varies[k];
    if (filtered) {
        nauha__gnuplot_call_is(out, summary, line);
        fputs(" ? drawn($9) : NaN)", out);
    } else {
        fputs("drawn($9))", out);
    }
    fputs(means ? " smooth unique" : "", out);
}

/* "with lines" of a look, and marks where there are few points. */
static void write_with(FILE *out, const struct scalar_plot *plot, const char *look,
                       const char *mark) {
    if (plot->most_rows <= MARKED_ROWS)
        fprintf(out, " with linespoints %s %s", look, mark);
    else
        fprintf(out, " with lines %s", look);
}

/* ---- one line ---- */

static void write_means(FILE *out, const struct scalar_plot *plot, const struct nauha__line *line) {
    write_using(out, plot, line, true);
    fputs(" with lines lc rgb '#0072B2' lw 2.2 title sprintf('mean of %d steps', window)\n", out);
}

/* Every value, pale, under their means; characters cannot be pale. */
static void write_values_and_means(FILE *out, const struct scalar_plot *plot,
                                   const struct nauha__line *line) {
    fputs("    if (target eq 'dumb') {\n        plot ", out);
    write_means(out, plot, line);
    fputs("    } else {\n        plot ", out);
    write_using(out, plot, line, false);
    fputs(" with lines lc rgb '#a6cee3' lw 0.7 title 'every value', \\\n             ", out);
    write_means(out, plot, line);
    fputs("    }\n", out);
}

static void write_single(FILE *out, const struct scalar_plot *plot) {
    const struct nauha__line *line = plot->lines[0];
    char legend[512];
    nauha__gnuplot_legend(plot->frame.summary, line, legend, sizeof legend);
    if (plot->window > 1) {
        write_values_and_means(out, plot, line);
        return;
    }
    fputs("    plot ", out);
    write_using(out, plot, line, true);
    write_with(out, plot, "lc rgb '#0072B2' lw 1.8", "pt 7 ps 0.6");
    if (legend[0]) {
        fputs(" title ", out);
        nauha__gnuplot_quote(out, legend);
        putc('\n', out);
    } else {
        fputs(" notitle\n", out);
    }
}

/* ---- lines together ---- */

static void write_styles(FILE *out, const struct scalar_plot *plot) {
    fputs("\n# Colours that the colour-blind can tell apart; dashes where they come round again.\n",
          out);
    for (size_t i = 0; i < plot->count; i++)
        fprintf(out, "set style line %zu lc rgb '%s' dt %s lw 1.6 pt %zu ps 0.6\n", i + 1,
                colours[i % COLOURS], i < COLOURS ? "solid" : "(7,3)", i + 4);
}

static void write_together(FILE *out, const struct scalar_plot *plot) {
    fputs("    plot ", out);
    if (plot->all > plot->count)
        fprintf(out,
                "csv skip 1 using 1:(drawn($9)) with dots lc rgb '#a0a0a0' title "
                "'%zu others', \\\n         ",
                plot->all - plot->count);
    for (size_t i = 0; i < plot->count; i++) {
        char legend[512];
        nauha__gnuplot_legend(plot->frame.summary, plot->lines[i], legend, sizeof legend);
        if (i)
            fputs(", \\\n         ", out);
        write_using(out, plot, plot->lines[i], true);
        fprintf(out, " with %s ls %zu title ",
                plot->most_rows <= MARKED_ROWS ? "linespoints" : "lines", i + 1);
        nauha__gnuplot_quote(out, legend);
    }
    putc('\n', out);
}

/* ---- panels ---- */

/* Panels share their y axis where that leaves something to see in each. */
static bool share_axis(const struct scalar_plot *plot) {
    if (plot->log)
        return true;
    for (size_t i = 0; i < plot->count; i++) {
        if (plot->lines[i]->finite &&
            plot->lines[i]->high - plot->lines[i]->low < 0.05 * (plot->high - plot->low))
            return false;
    }
    return true;
}

static bool has_drawn(const struct scalar_plot *plot, const struct nauha__line *line) {
    return plot->log ? line->positive > 0 : line->finite > 0;
}

/* Whether the key of the first panel says it for all. */
static bool first_has_all_runs(const struct scalar_plot *plot) {
    size_t last = 0;
    for (size_t i = 0; i < plot->count; i++) {
        const size_t run = run_of(plot->frame.summary, plot->lines[i]);
        last = run > last ? run : last;
    }
    return end_of_panel(plot, 0) > last;
}

/* Title and axes of a panel. */
static void begin_panel(FILE *out, const struct scalar_plot *plot, size_t panel, size_t first,
                        bool shared) {
    struct nauha__series_summary naming = *plot->frame.summary;
    char legend[512];
    naming.varies[NAUHA__KEY_RUN] = naming.varies[NAUHA__KEY_RUN] && !plot->by_run;
    nauha__gnuplot_legend(&naming, plot->lines[first], legend, sizeof legend);
    if (panel == 1)
        fprintf(out, "    unset label 8; unset label 9%s\n",
                plot->by_run && first_has_all_runs(plot) ? "; unset key" : "");
    if (shared && plot->frame.columns > 1)
        fprintf(out, "    set format y %s\n", panel % plot->frame.columns ? "''" : "y_format");
    const bool bottom = panel + plot->frame.columns >= plot->panels;
    fprintf(out, "    set format x %s; set xlabel %s\n", bottom ? "'%g'" : "''",
            bottom ? "x_label" : "''");
    fputs("    set title ", out);
    nauha__gnuplot_quote(out, legend);
}

/* The lines [first, end) of a panel. */
static void write_panel(FILE *out, const struct scalar_plot *plot, size_t first, size_t end) {
    size_t drawn = 0;
    for (size_t i = first; i < end; i++)
        drawn += has_drawn(plot, plot->lines[i]);
    fprintf(out, "%s font ',9' offset 0,-0.7\n    plot ", drawn ? "" : ".': nothing to draw'");
    if (drawn == 0)
        fputs("[][0.5:1] NaN notitle\n", out);
    for (size_t i = first; drawn > 0 && i < end; i++) {
        const size_t run = run_of(plot->frame.summary, plot->lines[i]);
        char look[64];
        if (!has_drawn(plot, plot->lines[i]))
            continue;
        snprintf(look, sizeof look, "lc rgb '%s'%s lw 1.4", colours[run % COLOURS],
                 run / COLOURS % 2 ? " dt (7,3)" : "");
        write_using(out, plot, plot->lines[i], true);
        write_with(out, plot, look, "pt 7 ps 0.3");
        if (plot->by_run) {
            fputs(" title ", out);
            nauha__gnuplot_quote(out, plot->lines[i]->text[NAUHA__KEY_RUN]);
        }
        fputs(--drawn > 0 ? ", \\\n         " : "\n", out);
    }
}

static void write_panels(FILE *out, const struct scalar_plot *plot, bool shared) {
    const double width = plot->frame.width, height = plot->frame.height;
    char more[64] = "";
    if (plot->by_run && plot->count < plot->all)
        snprintf(more, sizeof more, ".' (the first %zu panels)'", plot->panels);
    fprintf(out,
            "    set multiplot layout %u,%u title main_title%s font ',13' "
            "margins %.4f,%.4f,%.4f,%.4f spacing %.4f,%.4f\n"
            "    set label 8 y_label at screen %.4f, screen 0.5 rotate center\n"
            "    %s\n    set xlabel ''; set tics font ',9'\n",
            plot->frame.rows, plot->frame.columns, more, 90 / width, 1 - 25 / width, 62 / height,
            1 - 75 / height, (shared ? 18 : 62) / width, 32 / height, 16 / width,
            plot->by_run ? "set key top right font ',8' samplen 1.5" : "unset key");
    for (size_t i = 0, panel = 0, end; i < plot->count; i = end, panel++) {
        end = end_of_panel(plot, i);
        begin_panel(out, plot, panel, i, shared);
        write_panel(out, plot, i, end);
    }
}

/* ---- the whole ---- */

static void lay_out(struct scalar_plot *plot) {
    struct nauha__gnuplot_frame *frame = &plot->frame;
    const bool panels = plot->by_run || plot->count > NAUHA__LINES_TOGETHER;
    if (!plot->by_run)
        plot->panels = panels ? plot->count : 1;
    frame->columns = plot->panels <= 1 ? 1 : plot->panels <= 4 ? 2 : plot->panels <= 16 ? 4 : 5;
    frame->rows = (unsigned)((plot->panels + frame->columns - 1) / frame->columns);
    frame->width = panels ? 1500 : 1100;
    frame->height = panels ? 140 + (frame->columns == 2 ? 250 : 150) * frame->rows : 560;
    const struct nauha__series_summary *summary = frame->summary;
    plot->window = 1;
    if (plot->most_rows > RAW_ROWS || (panels && plot->most_rows > 2 * PANEL_MEANS))
        plot->window =
            round_up((summary->last_step - summary->first_step) / (panels ? PANEL_MEANS : MEANS));
    plot->log = frame->plot->log_y && plot->low_positive < INFINITY;
}

static void write_scalars(FILE *out, struct scalar_plot *plot) {
    const bool panels = plot->frame.rows * plot->frame.columns > 1;
    const bool shared = panels && share_axis(plot);
    nauha__gnuplot_head(out, &plot->frame);
    fprintf(out, "window     = %" PRIu64 " # steps averaged into one point; 1: every value\n",
            plot->window);
    if (plot->count > 1 && plot->window > 1)
        fputs("if (window > 1) { y_label = sprintf('%s (means of %d steps)', y_label, window) }\n",
              out);
    write_columns(out, plot);
    nauha__gnuplot_axes(out, &plot->frame);
    if (!panels)
        fputs("set title main_title\nset ylabel y_label\n"
              "set key outside right top vertical Left reverse samplen 2.5 spacing 1.15\n",
              out);
    write_y_axis(out, plot, shared);
    if (shared)
        fprintf(out, "y_format = '%s'\n",
                plot->log && !(plot->low_positive > 1e-4 && plot->high < 1e5) ? "%.0e" : "%g");
    write_note(out, plot);
    if (!panels && plot->count > 1)
        write_styles(out, plot);
    nauha__gnuplot_begin_picture(out, &plot->frame);
    if (!(plot->high >= plot->low))
        fputs("    set label 7 'no finite value' at graph 0.5, graph 0.5 center\n"
              "    plot NaN notitle\n",
              out);
    else if (panels)
        write_panels(out, plot, shared);
    else if (plot->count == 1)
        write_single(out, plot);
    else
        write_together(out, plot);
    nauha__gnuplot_end_picture(out, &plot->frame);
}

void nauha__gnuplot_script(FILE *out, const char *name, const struct nauha_plot *plot,
                           const struct nauha__series_summary *summary) {
    if (summary->histogram) {
        nauha__gnuplot_heat_map(out, name, plot, summary);
        return;
    }
    struct scalar_plot scalars = {
        .frame = {.name = name, .plot = plot, .summary = summary},
        .lines = calloc(summary->line_count + 1, sizeof *scalars.lines),
    };
    if (!scalars.lines) {
        fputs("# out of memory\n", out);
        return;
    }
    choose_lines(&scalars, summary);
    if (scalars.all > NAUHA__PANELS_MAX && summary->regular) {
        nauha__gnuplot_matrix(out, name, plot, summary);
        free(scalars.lines);
        return;
    }
    lay_out(&scalars);
    write_scalars(out, &scalars);
    free(scalars.lines);
}
