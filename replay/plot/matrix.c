/* SPDX-License-Identifier: MIT */
/* Scripts of very many scalar lines: a heat map with a row for each line, whose colours are the
 * values. */
#include <inttypes.h>
#include <math.h>

#include "replay/plot/scalars.h"

#define BOXES_MAX 40000.0
#define SLICES_MIN 20.0
#define SLICES_MAX 200.0
/* More labels than this would overlap. */
#define NAMES_MAX 100u
#define ROW_PIXELS 14u
#define HEIGHT_MAX 1600u
/* Slices of the band that stands for the picture in a text terminal. */
#define BAND_SLICES 100u

struct matrix {
    struct nauha__gnuplot_frame frame;
    struct nauha__axis axis;
    double low, high; /* of the colours */
};

/* Colours have no linear part around 0: on a log scale, values that are not above 0 are white. */
static void take_ranges(struct matrix *matrix) {
    const struct nauha__series_summary *summary = matrix->frame.summary;
    struct nauha__axis *axis = &matrix->axis;
    double low_positive = INFINITY;
    nauha__axis_choose(matrix->frame.picture, summary, true, axis);
    for (size_t i = 0; i < summary->line_count; i++)
        low_positive = fmin(low_positive, summary->lines[i].low_positive);
    if (axis->kind == NAUHA__AXIS_SYMLOG)
        axis->kind = low_positive < INFINITY ? NAUHA__AXIS_LOG : NAUHA__AXIS_LINEAR;
    const struct nauha_plot *plot = &matrix->frame.picture->plot;
    const bool log = axis->kind == NAUHA__AXIS_LOG, any = axis->high >= axis->low;
    matrix->low = !any ? 0 : log ? low_positive : axis->low;
    matrix->high = any ? axis->high : 1;
    if (!isnan(plot->y_low) && (!log || plot->y_low > 0))
        matrix->low = plot->y_low;
    if (!isnan(plot->y_high))
        matrix->high = plot->y_high;
    if (!(matrix->high > matrix->low))
        matrix->high = matrix->low + fmax(fabs(matrix->low), 1);
}

static void lay_out(struct matrix *matrix) {
    const struct nauha__series_summary *summary = matrix->frame.summary;
    const double rows = (double)summary->line_count;
    const size_t pixels = 140 + ROW_PIXELS * summary->line_count;
    matrix->frame.rows = matrix->frame.columns = 1;
    matrix->frame.width = 1300;
    matrix->frame.height = pixels < HEIGHT_MAX ? (unsigned)pixels : HEIGHT_MAX;
    const double slices = fmin(fmax(BOXES_MAX / rows, SLICES_MIN), SLICES_MAX);
    matrix->frame.slice = nauha__gnuplot_slice(summary, slices);
}

static void write_names(FILE *out, const struct nauha__series_summary *summary) {
    const size_t every = (summary->line_count + NAMES_MAX - 1) / NAMES_MAX;
    fprintf(out, "# The rows' names%s.\nset ytics font ',8' (",
            every > 1 ? ", not all of them" : "");
    for (size_t i = 0; i < summary->line_count; i += every) {
        char legend[512];
        nauha__gnuplot_legend(summary, &summary->lines[i], legend, sizeof legend);
        fputs(i ? ", \\\n    " : "", out);
        nauha__gnuplot_quote(out, legend);
        fprintf(out, " %zu", i);
    }
    fprintf(out, ")\nset yrange [%zu-0.5:-0.5]\n", summary->line_count);
}

static void write_note(FILE *out, const struct matrix *matrix) {
    const struct nauha__series_summary *summary = matrix->frame.summary;
    const bool white = matrix->axis.kind == NAUHA__AXIS_LOG && summary->not_positive > 0;
    char text[128];
    snprintf(text, sizeof text, "%s%s%s", summary->not_finite ? "red: nan, infinite or huge" : "",
             summary->not_finite && white ? "; " : "", white ? "white: not above 0" : "");
    nauha__gnuplot_note(out, text);
}

static void write_definitions(FILE *out, const struct matrix *matrix) {
    const struct nauha__series_summary *summary = matrix->frame.summary;
    fprintf(out,
            "every      = %" PRIu64 " # steps from one slice drawn to the next\nrows       = %zu\n",
            matrix->frame.slice, summary->line_count);
    nauha__gnuplot_columns(out, summary);
    nauha__axis_write_functions(out, &matrix->axis);
    nauha__band_define(out, summary->first_step, summary->last_step,
                       nauha__band_step(summary, BAND_SLICES),
                       matrix->axis.kind == NAUHA__AXIS_LOG);
    fputs("is_slice(step) = (step - first) / every == floor((step - first) / every)\n"
          "# Every step has the same rows in the same order: the row of a value follows from its "
          "place.\n"
          "row(place) = int(place) % rows\n",
          out);
}

/* Draws the smallest value, the mean and the largest value as characters. */
static void write_dumb(FILE *out, const struct matrix *matrix) {
    const struct nauha__series_summary *summary = matrix->frame.summary;
    fprintf(out,
            "    if (target eq 'dumb') {\n"
            "        set xrange [*:*]; set ytics autofreq; set format y '%%g'; set key%s\n"
            "        set yrange [*:*]\n",
            matrix->axis.kind == NAUHA__AXIS_LOG ? "; set logscale y" : "");
    nauha__band_read(out, "        ", summary, NULL);
    nauha__band_plot_lines(out, "        ", summary->line_count, nauha__gnuplot_noun(summary));
    fputs("    } else {\n", out);
}

static void write_boxes(FILE *out, const struct matrix *matrix) {
    static const char place[] = "using (is_slice($1)%s ? $1 + every/2.0 : NaN):(row($0)):1:"
                                "($1 + 1.05*every):\\\n"
                                "         (row($0) - 0.5):(row($0) + 0.55)";
    fputs("    plot csv skip 1 ", out);
    fprintf(out, place, "");
    fputs(":(drawn($9)) with boxxyerror lc palette", out);
    if (matrix->frame.summary->not_finite) {
        fputs(", \\\n         csv skip 1 ", out);
        fprintf(out, place, " && gone(strcol(9))");
        fputs(" with boxxyerror lc rgb '#d62728'", out);
    }
    putc('\n', out);
}

void nauha__gnuplot_matrix(FILE *out, const char *name, const struct nauha__picture *picture,
                           const struct nauha__series_summary *summary) {
    struct matrix matrix = {.frame = {.name = name, .picture = picture, .summary = summary}};
    take_ranges(&matrix);
    lay_out(&matrix);
    nauha__gnuplot_head(out, &matrix.frame);
    write_definitions(out, &matrix);
    nauha__gnuplot_axes(out, &matrix.frame);
    fputs("unset grid\nunset key\nset title main_title\nset style fill solid noborder\n"
          "set cblabel y_label offset 1\nset format cb '%g'\n",
          out);
    nauha__gnuplot_palette(out);
    fprintf(out, "set cbrange [%.6g:%.6g]\n%s", matrix.low, matrix.high,
            matrix.axis.kind == NAUHA__AXIS_LOG ? "set logscale cb\n" : "");
    write_names(out, summary);
    write_note(out, &matrix);
    nauha__gnuplot_begin_picture(out);
    write_dumb(out, &matrix);
    write_boxes(out, &matrix);
    fputs("    }\n", out);
    nauha__gnuplot_end_picture(out);
}
