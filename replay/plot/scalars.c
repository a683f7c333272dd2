/* SPDX-License-Identifier: MIT */
/* Scripts of scalar series: which lines are drawn in which style, and what all styles share. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "replay/plot/scalars.h"

/* Up to so many rows of a line, each point is marked; beyond the second number, means are drawn. */
#define MARKED_ROWS 60u
#define RAW_ROWS 150u
/* Number of means across the width of a picture, and of a panel. */
#define MEANS 100u
#define PANEL_MEANS 80u
/* At most so many lines can be told apart if they are drawn with characters. */
#define DUMB_LINES 6u
/* Of the coloured lines of "top", this many have the largest values; the others have the
 * smallest. */
#define TOP_LARGEST 4u

static int by_size(const void *a, const void *b) {
    const struct nauha__line *x = *(const struct nauha__line *const *)a;
    const struct nauha__line *y = *(const struct nauha__line *const *)b;
    const double mean_x = x->finite ? x->sum_abs / (double)x->finite : 0;
    const double mean_y = y->finite ? y->sum_abs / (double)y->finite : 0;
    if (mean_x != mean_y)
        return mean_x < mean_y ? 1 : -1;
    return x < y ? -1 : x > y;
}

static bool same_but_run(const struct nauha__line *a, const struct nauha__line *b) {
    for (size_t k = 0; k < NAUHA__KEY_COLUMNS; k++) {
        if (k != NAUHA__KEY_RUN && strcmp(a->text[k], b->text[k]) != 0)
            return false;
    }
    return true;
}

size_t nauha__scalars_panel_end(const struct nauha__scalars *scalars, size_t first) {
    size_t end = first + 1;
    while (scalars->by_run && end < scalars->count &&
           same_but_run(scalars->lines[first], scalars->lines[end]))
        end++;
    return end;
}

/* Puts lines that differ only in their run side by side. */
static void gather_runs(struct nauha__scalars *scalars) {
    const struct nauha__line **lines = scalars->lines;
    for (size_t first = 0, end; first < scalars->count; first = end) {
        end = first + 1;
        for (size_t i = end; i < scalars->count; i++) {
            const struct nauha__line *line = lines[i];
            if (!same_but_run(lines[first], line))
                continue;
            memmove(&lines[end + 1], &lines[end], (i - end) * sizeof *lines);
            lines[end++] = line;
        }
        if (++scalars->panels == NAUHA__PANELS_MAX)
            scalars->count = end;
    }
}

static bool several_panels(const struct nauha__series_summary *summary) {
    bool others = false;
    for (size_t k = 0; k < NAUHA__KEY_COLUMNS; k++)
        others = others || (k != NAUHA__KEY_RUN && summary->varies[k]);
    return others && summary->varies[NAUHA__KEY_RUN];
}

size_t nauha__scalars_run(const struct nauha__series_summary *summary,
                          const struct nauha__line *line) {
    const char *before = "";
    size_t run = 0;
    for (size_t i = 0; i < summary->line_count; i++) {
        const char *text = summary->lines[i].text[NAUHA__KEY_RUN];
        if (strcmp(text, line->text[NAUHA__KEY_RUN]) == 0)
            break;
        run += strcmp(text, before) != 0; /* the rows of a run follow one another */
        before = text;
    }
    return run;
}

/* ---- choosing ---- */

static enum nauha__style choose_style(const struct nauha__scalars *scalars) {
    const struct nauha__series_summary *summary = scalars->frame.summary;
    const enum nauha__style asked = scalars->frame.picture->style;
    if (asked != NAUHA__STYLE_AUTO && nauha__style_fits(asked, summary))
        return asked;
    if (several_panels(summary))
        return NAUHA__STYLE_PANELS;
    if (scalars->all <= NAUHA__LINES_TOGETHER)
        return NAUHA__STYLE_LINES;
    if (summary->varies[NAUHA__KEY_RUN])
        return NAUHA__STYLE_TOP;
    if (scalars->all <= NAUHA__PANELS_MAX)
        return NAUHA__STYLE_PANELS;
    return summary->regular ? NAUHA__STYLE_ROWS : NAUHA__STYLE_TOP;
}

/* Puts the lines with the largest and the smallest values before the others. */
static void order_top(struct nauha__scalars *scalars) {
    const struct nauha__line **lines = scalars->lines;
    const size_t smallest = NAUHA__TOP_LINES - TOP_LARGEST;
    if (scalars->count <= NAUHA__TOP_LINES)
        return;
    qsort(lines, scalars->count, sizeof *lines, by_size);
    for (size_t i = 0; i < smallest; i++) {
        const struct nauha__line *line = lines[scalars->count - 1];
        memmove(&lines[TOP_LARGEST + 1], &lines[TOP_LARGEST],
                (scalars->count - 1 - TOP_LARGEST) * sizeof *lines);
        lines[TOP_LARGEST] = line;
    }
}

static void choose_lines(struct nauha__scalars *scalars) {
    const struct nauha__series_summary *summary = scalars->frame.summary;
    for (size_t i = 0; i < summary->line_count; i++) {
        const struct nauha__line *line = &summary->lines[i];
        const size_t run = nauha__scalars_run(summary, line) + 1;
        if (line->unreadable)
            continue;
        scalars->lines[scalars->count++] = line;
        scalars->runs = run > scalars->runs ? run : scalars->runs;
        scalars->most_rows = line->rows > scalars->most_rows ? line->rows : scalars->most_rows;
    }
    scalars->all = scalars->count;
    scalars->style = choose_style(scalars);
    scalars->panels = 1;
    if (scalars->style == NAUHA__STYLE_TOP)
        order_top(scalars);
    if (scalars->style != NAUHA__STYLE_PANELS)
        return;
    scalars->panels = 0;
    scalars->by_run = several_panels(summary);
    if (scalars->by_run)
        gather_runs(scalars);
    else if (scalars->count > NAUHA__PANELS_MAX)
        scalars->count = NAUHA__PANELS_MAX;
    if (!scalars->by_run)
        scalars->panels = scalars->count;
    scalars->run_bands = scalars->by_run && scalars->runs > NAUHA__PANEL_RUNS;
}

/* Panels share their y axis if the lines can then still be seen in each of them. */
static bool share_axis(const struct nauha__scalars *scalars) {
    const double range = scalars->axis.high - scalars->axis.low;
    if (scalars->axis.kind != NAUHA__AXIS_LINEAR)
        return true;
    for (size_t i = 0; i < scalars->count; i++) {
        const struct nauha__line *line = scalars->lines[i];
        if (line->finite && line->high - line->low < 0.05 * range)
            return false;
    }
    return true;
}

static void lay_out(struct nauha__scalars *scalars) {
    struct nauha__gnuplot_frame *frame = &scalars->frame;
    const struct nauha__series_summary *summary = frame->summary;
    const uint64_t range = summary->last_step - summary->first_step;
    const bool panels = scalars->panels > 1;
    frame->columns = scalars->panels <= 1    ? 1
                     : scalars->panels <= 4  ? 2
                     : scalars->panels <= 16 ? 4
                                             : 5;
    frame->rows = (unsigned)((scalars->panels + frame->columns - 1) / frame->columns);
    frame->width = panels ? 1500 : 1100;
    frame->height = panels ? 140 + (frame->columns == 2 ? 250 : 150) * frame->rows : 560;
    scalars->window = 1;
    if (scalars->most_rows > RAW_ROWS || (panels && scalars->most_rows > 2 * PANEL_MEANS))
        scalars->window = nauha__round_up(range / (panels ? PANEL_MEANS : MEANS));
    /* Chooses slices that have the same number of steps with messages. */
    const uint64_t unit = nauha__gnuplot_stride(summary);
    scalars->band_step = range / unit <= RAW_ROWS ? unit : nauha__band_step(summary, MEANS);
    nauha__axis_choose(frame->picture, summary, false, &scalars->axis);
    scalars->shared = panels && share_axis(scalars);
    if (scalars->shared)
        nauha__axis_choose(frame->picture, summary, true, &scalars->axis);
}

/* ---- pieces of plot commands ---- */

void nauha__scalars_using(FILE *out, const struct nauha__scalars *scalars,
                          const struct nauha__line *line, bool means) {
    const struct nauha__series_summary *summary = scalars->frame.summary;
    fputs("csv skip 1 ", out);
    if (summary->regular && summary->line_count > 1)
        fprintf(out, "every %zu::%zu ", summary->line_count, (size_t)(line - summary->lines));
    fprintf(out, "using (%s):(", means ? "mean_step($1)" : "$1");
    if (summary->line_count > 1) {
        nauha__gnuplot_call_is(out, summary, line, false);
        fputs(" ? drawn($9) : NaN)", out);
    } else {
        fputs("drawn($9))", out);
    }
    fputs(means ? " smooth unique" : "", out);
}

void nauha__scalars_with(FILE *out, const struct nauha__scalars *scalars, const char *look,
                         const char *mark) {
    if (scalars->most_rows <= MARKED_ROWS)
        fprintf(out, " with linespoints %s %s", look, mark);
    else
        fprintf(out, " with lines %s", look);
}

void nauha__scalars_marks(FILE *out, const struct nauha__scalars *scalars,
                          const struct nauha__line *line, const char *colour) {
    const struct nauha__series_summary *summary = scalars->frame.summary;
    if (line ? line->finite == line->rows : summary->not_finite == 0)
        return;
    fputs(", \\\n         csv skip 1 using (", out);
    if (line && summary->line_count > 1) {
        nauha__gnuplot_call_is(out, summary, line, false);
        fputs(" && ", out);
    }
    fprintf(out,
            "gone(strcol(9)) ? $1 : NaN):(edge(strcol(9))) axes x1y2 with points pt 2 ps 0.8 "
            "lc rgb '%s' notitle",
            colour);
}

/* ---- the whole ---- */

static void write_functions(FILE *out, const struct nauha__scalars *scalars) {
    const struct nauha__series_summary *summary = scalars->frame.summary;
    nauha__gnuplot_columns(out, summary);
    if (summary->regular && summary->line_count > 1)
        fputs(
            "# Every step has the same rows in the same order: \"every\" below makes gnuplot pass "
            "over\n# those of other lines quickly, and may be left out.\n",
            out);
    nauha__axis_write_functions(out, &scalars->axis);
    fputs("mean_step(step) = window > 1 ? window*floor(step/window) + window/2.0 : step\n", out);
}

static void write_note(FILE *out, const struct nauha__scalars *scalars) {
    const struct nauha__series_summary *summary = scalars->frame.summary;
    char text[256];
    int length = 0;
    text[0] = 0;
    if (summary->not_finite)
        length = snprintf(text, sizeof text,
                          "crosses at the edge: %" PRIu64 " nan, infinite or "
                          "huge values",
                          summary->not_finite);
    if (scalars->axis.kind == NAUHA__AXIS_SYMLOG)
        snprintf(text + length, sizeof text - (size_t)length,
                 "%saxis logarithmic from %g on, linear around 0", length ? "; " : "",
                 scalars->axis.threshold);
    nauha__gnuplot_note(out, text);
}

static bool is_compact_in_dumb(const struct nauha__scalars *scalars) {
    return scalars->style != NAUHA__STYLE_LINES || scalars->count > DUMB_LINES;
}

/* Draws all lines together as a band of characters. */
static void write_dumb(FILE *out, const struct nauha__scalars *scalars) {
    const struct nauha__series_summary *summary = scalars->frame.summary;
    fputs("    if (target eq 'dumb') {\n        set title main_title; set ylabel ''\n", out);
    nauha__band_read(out, "        ", summary, NULL);
    nauha__band_plot_lines(out, "        ", scalars->all, nauha__gnuplot_noun(summary));
    fputs("    } else {\n", out);
}

static void write_band(FILE *out, const struct nauha__scalars *scalars) {
    const struct nauha__series_summary *summary = scalars->frame.summary;
    nauha__band_read(out, "    ", summary, NULL);
    nauha__band_plot(out, "    ", scalars->all, nauha__gnuplot_noun(summary), true);
    nauha__scalars_marks(out, scalars, NULL, "#b00000");
    putc('\n', out);
}

static void write_nothing(FILE *out, const struct nauha__scalars *scalars) {
    fputs("    set label 7 'no finite value' at graph 0.5, graph 0.5 center\n    plot NaN notitle",
          out);
    nauha__scalars_marks(out, scalars, NULL, "#b00000");
    putc('\n', out);
}

static void write_picture(FILE *out, const struct nauha__scalars *scalars) {
    const bool nothing = !(scalars->axis.high >= scalars->axis.low);
    const bool compact = !nothing && is_compact_in_dumb(scalars);
    if (compact)
        write_dumb(out, scalars);
    if (nothing)
        write_nothing(out, scalars);
    else if (scalars->style == NAUHA__STYLE_BAND)
        write_band(out, scalars);
    else if (scalars->style == NAUHA__STYLE_TOP)
        nauha__scalars_top(out, scalars);
    else if (scalars->panels > 1)
        nauha__scalars_panels(out, scalars);
    else if (scalars->count == 1)
        nauha__scalars_single(out, scalars);
    else
        nauha__scalars_together(out, scalars);
    if (scalars->panels > 1 && !nothing)
        fputs("    unset multiplot\n", out);
    if (compact)
        fputs("    }\n", out);
}

static void write_scalars(FILE *out, const struct nauha__scalars *scalars) {
    const struct nauha__series_summary *summary = scalars->frame.summary;
    nauha__gnuplot_head(out, &scalars->frame);
    fprintf(out, "window     = %" PRIu64 " # steps averaged into one point; 1: every value\n",
            scalars->window);
    if (scalars->count > 1 && scalars->window > 1 && scalars->style != NAUHA__STYLE_BAND)
        fputs("if (window > 1) { y_label = sprintf('%s (means of %d steps)', y_label, window) }\n",
              out);
    write_functions(out, scalars);
    if (is_compact_in_dumb(scalars))
        nauha__band_define(out, summary->first_step, summary->last_step, scalars->band_step,
                           scalars->axis.kind == NAUHA__AXIS_LOG);
    nauha__gnuplot_axes(out, &scalars->frame);
    if (scalars->panels <= 1)
        fputs("set title main_title\nset ylabel y_label\n"
              "set key outside right top vertical Left reverse samplen 2.5 spacing 1.15\n",
              out);
    nauha__axis_write(out, &scalars->axis, "");
    write_note(out, scalars);
    nauha__gnuplot_begin_picture(out);
    write_picture(out, scalars);
    nauha__gnuplot_end_picture(out);
}

void nauha__gnuplot_scalars(FILE *out, const char *name, const struct nauha__picture *picture,
                            const struct nauha__series_summary *summary) {
    struct nauha__scalars scalars = {
        .frame = {.name = name, .picture = picture, .summary = summary},
        .lines = calloc(summary->line_count + 1, sizeof *scalars.lines),
    };
    if (!scalars.lines) {
        fputs("# out of memory\n", out);
        return;
    }
    choose_lines(&scalars);
    if (scalars.style == NAUHA__STYLE_ROWS) {
        nauha__gnuplot_matrix(out, name, picture, summary);
    } else {
        lay_out(&scalars);
        write_scalars(out, &scalars);
    }
    free(scalars.lines);
}
