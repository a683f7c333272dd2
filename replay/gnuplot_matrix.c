/* SPDX-License-Identifier: MIT */
/* Scripts of very many scalar lines: a heat map, one row a line, the value as its colour. */
#include "replay/gnuplot_script.h"

#include <inttypes.h>
#include <math.h>

#define BOXES_MAX 40000.0
#define SLICES_MIN 20.0
#define SLICES_MAX 200.0
/* More names than this would run into one another. */
#define NAMES_MAX 150u
#define ROW_PIXELS 14u
#define HEIGHT_MAX 2400u

struct matrix {
    struct nauha__gnuplot_frame frame;
    double low, high, low_positive;
    bool log;
};

static void take_ranges(struct matrix *matrix) {
    const struct nauha__series_summary *summary = matrix->frame.summary;
    matrix->low = matrix->low_positive = INFINITY;
    matrix->high = -INFINITY;
    for (size_t i = 0; i < summary->line_count; i++) {
        matrix->low = fmin(matrix->low, summary->lines[i].low);
        matrix->high = fmax(matrix->high, summary->lines[i].high);
        matrix->low_positive = fmin(matrix->low_positive, summary->lines[i].low_positive);
    }
    matrix->log = matrix->frame.plot->log_y && matrix->low_positive < INFINITY;
    if (matrix->log)
        matrix->low = matrix->low_positive;
    if (!(matrix->high >= matrix->low)) { /* nothing finite */
        matrix->low = 0;
        matrix->high = 1;
    }
    if (!isnan(matrix->frame.plot->y_low) && (!matrix->log || matrix->frame.plot->y_low > 0))
        matrix->low = matrix->frame.plot->y_low;
    if (!isnan(matrix->frame.plot->y_high))
        matrix->high = matrix->frame.plot->y_high;
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
    const uint64_t unit = summary->stride ? summary->stride : 1;
    const double units = (double)((summary->last_step - summary->first_step) / unit) + 1;
    matrix->frame.slice = unit * (uint64_t)ceil(units / slices);
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

void nauha__gnuplot_matrix(FILE *out, const char *name, const struct nauha_plot *plot,
                           const struct nauha__series_summary *summary) {
    struct matrix matrix = {.frame = {.name = name, .plot = plot, .summary = summary}};
    take_ranges(&matrix);
    lay_out(&matrix);
    nauha__gnuplot_head(out, &matrix.frame);
    fprintf(out,
            "every      = %" PRIu64 " # steps from one slice drawn to the next\n"
            "rows       = %zu\n"
            "\n# ---- reading the CSV: 1 global_step, 2 train_step, 3 epoch, 4 rank, 5 tag, "
            "6 module, 7 slot, 8 call, 9 value ----\n"
            "set datafile separator comma\n"
            "set datafile missing NaN\n"
            "first      = %" PRIu64 "\n"
            "slice(step) = (step - first) / every == floor((step - first) / every)\n"
            "drawn(v) = %s && v < 1e300 ? v : NaN\n"
            "# Every step has the same rows in the same order: the row of a value follows from its "
            "place.\n"
            "row(place) = int(place) %% rows\n",
            matrix.frame.slice, summary->line_count, summary->first_step,
            matrix.log ? "v > 0" : "v > -1e300");
    nauha__gnuplot_axes(out, &matrix.frame);
    fputs("unset grid\nunset key\nset title main_title\nset style fill solid noborder\n"
          "set cblabel y_label offset 1\nset format cb '%g'\n",
          out);
    nauha__gnuplot_palette(out);
    fprintf(out, "set cbrange [%.6g:%.6g]\n%s", matrix.low, matrix.high,
            matrix.log ? "set logscale cb\n" : "");
    write_names(out, summary);
    nauha__gnuplot_begin_picture(out, &matrix.frame);
    fputs("    plot csv skip 1 using (slice($1) ? $1 + every/2.0 : NaN):(row($0)):1:"
          "($1 + 1.05*every):\\\n"
          "         (row($0) - 0.5):(row($0) + 0.55):(drawn($9)) with boxxyerror lc palette\n",
          out);
    nauha__gnuplot_end_picture(out, &matrix.frame);
}
