/* SPDX-License-Identifier: MIT */
/* Scripts of histograms: a heat map over steps and values, one panel a line. */
#include "replay/gnuplot_script.h"

#include <inttypes.h>
#include <math.h>

/* Boxes in all panels together, so that the SVG stays small enough to look at. */
#define BOXES_MAX 40000.0
#define SLICES_MIN 20.0
#define SLICES_MAX 150.0
/* Shares range over decades where the fullest bin is this much above an even spread. */
#define LOG_ABOVE 8.0

struct heat_map {
    struct nauha__gnuplot_frame frame;
    size_t count;     /* panels */
    double share_max; /* of the fullest bin */
    double share_min; /* where the colours end */
    bool log;
};

static void lay_out(struct heat_map *map) {
    const struct nauha__series_summary *summary = map->frame.summary;
    const size_t drawable = nauha__gnuplot_drawable(summary);
    map->count = drawable < NAUHA__PANELS_MAX ? drawable : NAUHA__PANELS_MAX;
    const unsigned columns = map->count <= 1    ? 1
                             : map->count <= 4  ? 2
                             : map->count <= 9  ? 3
                             : map->count <= 16 ? 4
                                                : 5;
    map->frame.columns = columns;
    map->frame.rows = (unsigned)((map->count + columns - 1) / columns);
    map->frame.width = columns == 1 ? 1000 : columns == 2 ? 1200 : 1500;
    map->frame.height = columns == 1 ? 560 : 150 + map->frame.rows * (columns == 2 ? 290 : 220);
    uint64_t messages = 1, bins = 1;
    double fullest = 0, smallest = 1;
    for (size_t i = 0; i < summary->line_count; i++) {
        const struct nauha__line *line = &summary->lines[i];
        if (line->rows > messages)
            messages = line->rows;
        if (line->elements == 0)
            continue;
        fullest = fmax(fullest, (double)line->fullest / (double)line->elements);
        smallest = fmin(smallest, 1 / (double)line->elements);
    }
    bins = summary->rows / messages / (summary->line_count ? summary->line_count : 1) + 1;
    double slices = BOXES_MAX / ((double)bins * (double)(map->count ? map->count : 1));
    slices = fmin(fmax(slices, SLICES_MIN), SLICES_MAX);
    const uint64_t unit = summary->stride ? summary->stride : 1;
    const double units = (double)((summary->last_step - summary->first_step) / unit) + 1;
    map->frame.slice = unit * (uint64_t)ceil(units / slices);
    map->share_max = fullest;
    map->log = fullest * (double)bins > LOG_ABOVE && fullest > 100 * smallest;
    map->share_min = map->log ? fmax(smallest, fullest * 1e-4) : 0;
}

static void write_definitions(FILE *out, const struct heat_map *map) {
    const struct nauha__series_summary *summary = map->frame.summary;
    fprintf(out, "every      = %" PRIu64 " # steps from one slice drawn to the next\n",
            map->frame.slice);
    fputs(
        "\n# ---- reading the CSV: 1 global_step, 2 train_step, 3 epoch, 4 rank, 5 tag, 6 module, "
        "7 slot, 8 call, 9 bin_low, 10 bin_high, 11 count",
        out);
    fputs(summary->runs ? ", 12 run ----\n" : " ----\n", out);
    fputs("set datafile separator comma\n"
          "set datafile missing NaN\n",
          out);
    nauha__gnuplot_define_is(out, summary);
    fprintf(out,
            "first      = %" PRIu64 "\n"
            "slice(step) = (step - first) / every == floor((step - first) / every)\n"
            "# The step where a bin is drawn; NaN, and so nothing, for empty bins.\n"
            "drawn(mine) = mine && $11 > 0 ? $1 + every/2.0 : NaN\n"
            "# Boxes reach a little into the next, which covers that, so that no seams show.\n"
            "overlap(low, high) = high + 0.1*(high - low)\n",
            summary->first_step);
    fprintf(out,
            "# The slices to draw, read once.\n"
            "set table $slices separator comma\n"
            "all(n) = n > 1 ? all(n - 1).','.strcol(n) : strcol(1)\n"
            "plot csv skip 1 using (all(%zu)) \\\n"
            "    with table if slice($1)\n"
            "unset table\n",
            nauha__series_columns(summary));
}

static void write_colours(FILE *out, const struct heat_map *map) {
    nauha__gnuplot_palette(out);
    fprintf(out, "set cblabel 'share of elements' offset 1\nset cbrange [%.6g:%.6g]\n",
            map->share_min, map->share_max > 0 ? map->share_max : 1);
    if (map->log)
        fputs("set logscale cb\n", out);
    fputs("set format cb '%g'\nset style fill solid noborder\n", out);
    fputs("unset key\n", out);
}

static void write_panel(FILE *out, const struct heat_map *map, const struct nauha__line *line) {
    const struct nauha__series_summary *summary = map->frame.summary;
    const struct nauha_plot *plot = map->frame.plot;
    if (line->elements == 0 || line->finite == 0) {
        fputs("    set yrange [0:1]\n    plot NaN\n", out);
        return;
    }
    const double margin = line->high > line->low ? 0.02 * (line->high - line->low) : 1;
    fprintf(out, "    set yrange [%.6g:%.6g]\n",
            isnan(plot->y_low) ? line->low - margin : plot->y_low,
            isnan(plot->y_high) ? line->high + margin : plot->y_high);
    fputs("    plot $slices using (drawn(", out);
    nauha__gnuplot_call_is(out, summary, line);
    fprintf(out,
            ")):9:1:($1+1.05*every):9:(overlap($9,$10)):($11/%" PRIu64 ".0) \\\n"
            "        with boxxyerror lc palette\n",
            line->elements);
}

static void write_panels(FILE *out, const struct heat_map *map) {
    const struct nauha__series_summary *summary = map->frame.summary;
    const unsigned columns = map->frame.columns, rows = map->frame.rows;
    const double width = map->frame.width, height = map->frame.height;
    char more[64] = "";
    if (map->count < nauha__gnuplot_drawable(summary))
        snprintf(more, sizeof more, ".' (the first %zu of %zu)'", map->count,
                 nauha__gnuplot_drawable(summary));
    fprintf(out,
            "    set multiplot layout %u,%u title main_title%s font ',13' "
            "margins %.4f,%.4f,%.4f,%.4f spacing %.4f,%.4f\n"
            "    set colorbox user origin %.4f,0.15 size %.4f,0.7\n"
            "    set label 8 y_label at screen %.4f, screen 0.5 rotate center\n"
            "    set xlabel ''; set tics font ',9'\n",
            rows, columns, more, 90 / width, 1 - 120 / width, 62 / height, 1 - 75 / height,
            62 / width, 34 / height, 1 - 100 / width, 14 / width, 16 / width);
    size_t i = 0;
    for (size_t l = 0; l < summary->line_count && i < map->count; l++) {
        const struct nauha__line *line = &summary->lines[l];
        if (line->unreadable)
            continue;
        char legend[512];
        nauha__gnuplot_legend(summary, line, legend, sizeof legend);
        if (i == 1)
            fputs("    unset label 8; unset colorbox\n", out);
        const bool bottom = i + columns >= map->count;
        fprintf(out, "    set format x %s; set xlabel %s\n    set title ", bottom ? "'%g'" : "''",
                bottom ? "x_label" : "''");
        nauha__gnuplot_quote(out, legend);
        fputs(" font ',9' offset 0,-0.7\n", out);
        write_panel(out, map, line);
        i++;
    }
}

void nauha__gnuplot_heat_map(FILE *out, const char *name, const struct nauha_plot *plot,
                             const struct nauha__series_summary *summary) {
    struct heat_map map = {.frame = {.name = name, .plot = plot, .summary = summary}};
    lay_out(&map);
    nauha__gnuplot_head(out, &map.frame);
    write_definitions(out, &map);
    nauha__gnuplot_axes(out, &map.frame);
    write_colours(out, &map);
    nauha__gnuplot_begin_picture(out, &map.frame);
    if (map.count > 1) {
        write_panels(out, &map);
    } else {
        fputs("    set title main_title; set ylabel y_label\n", out);
        for (size_t i = 0; i < summary->line_count; i++) {
            if (!summary->lines[i].unreadable)
                write_panel(out, &map, &summary->lines[i]);
        }
    }
    nauha__gnuplot_end_picture(out, &map.frame);
}
