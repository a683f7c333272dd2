/* SPDX-License-Identifier: MIT */
/* Scripts of histograms: a panel for each line, with a heat map over steps and values. */
#include <inttypes.h>
#include <math.h>

#include "replay/plot/pieces.h"
#include "replay/plot/scalars.h"

/* Largest number of boxes in all panels together, so that the SVG stays small enough for
 * viewers. */
#define BOXES_MAX 40000.0
#define SLICES_MIN 20.0
#define SLICES_MAX 150.0
/* The colour scale is logarithmic if the fullest bin is this many times above an even
 * distribution. */
#define LOG_ABOVE 8.0
/* Number of panels whose bins are extracted at a time. */
#define GROUP 8u
/* Steps of the band that stands for a histogram in a text terminal. */
#define BAND_SLICES 100u

struct histogram_map {
    struct nauha__gnuplot_frame frame;
    size_t count;     /* panels */
    double share_max; /* of the fullest bin */
    double share_min; /* the value of the last colour */
    bool log;
};

/* The panels in rows and columns, and the size of the picture. */
static void arrange_panels(struct histogram_map *map) {
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
}

/* The number of steps in a slice, and the range of the fractions in bins. */
static void choose_ranges(struct histogram_map *map) {
    const struct nauha__series_summary *summary = map->frame.summary;
    uint64_t messages = 1;
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
    const uint64_t bins =
        summary->rows / messages / (summary->line_count ? summary->line_count : 1) + 1;
    const double slices = BOXES_MAX / ((double)bins * (double)(map->count ? map->count : 1));
    map->frame.slice = nauha__gnuplot_slice(summary, fmin(fmax(slices, SLICES_MIN), SLICES_MAX));
    map->share_max = fullest;
    map->log = fullest * (double)bins > LOG_ABOVE && fullest > 100 * smallest;
    map->share_min = map->log ? fmax(smallest, fullest * 1e-4) : 0;
}

/* The bins of each panel get a block of their own, so that no plot reads what it does not draw.
 * They are extracted in groups of panels first, since gnuplot reads a whole block to extract a part
 * of it. */
static void write_split(FILE *out, size_t panels) {
    fprintf(
        out,
        "# The bins of %u panels, and of those the bins of each; a row of nothing comes first,\n"
        "# so that there is a block where no slice has bins.\n"
        "do for [group = 0:%zu] {\n"
        "    set print $group; print 'NaN,NaN,NaN,0,-1'; set print\n"
        "    set table $group append separator comma\n"
        "    plot $bins using (strcol(1)):(strcol(2)):(strcol(3)):(strcol(4)):(strcol(5)) \\\n"
        "        with table if int($5)/%u == group\n"
        "    unset table\n"
        "    do for [k = %u*group:%u*group + %u] {\n"
        "        eval sprintf('set print $panel%%d', k); print 'NaN,NaN,NaN,0'; set print\n"
        "        eval sprintf('set table $panel%%d append separator comma', k)\n"
        "        plot $group using (strcol(1)):(strcol(2)):(strcol(3)):(strcol(4)) "
        "with table if $5 == k\n"
        "        unset table\n"
        "    }\n"
        "}\n",
        GROUP, panels ? (panels - 1) / GROUP : 0, GROUP, GROUP, GROUP, GROUP - 1);
}

static void write_definitions(FILE *out, const struct histogram_map *map) {
    const struct nauha__series_summary *summary = map->frame.summary;
    fprintf(out, "every      = %" PRIu64 " # steps from one slice drawn to the next\n",
            map->frame.slice);
    nauha__gnuplot_columns(out, summary);
    fputs("good(v)    = abs(v) < 1e300\n", out);
    nauha__band_define(out, summary->first_step, summary->last_step,
                       nauha__band_step(summary, BAND_SLICES), false);
    fputs("\n# ---- the bins to draw, read once: step, low, high, count ----\n"
          "is_slice(step) = (step - first) / every == floor((step - first) / every)\n"
          "# The step where a bin is drawn; NaN, and so nothing, for empty bins.\n"
          "drawn(count) = count > 0 ? $1 + every/2.0 : NaN\n"
          "# Boxes reach a little into the next, which covers that, so that no seams show.\n"
          "overlap(low, high) = high + 0.1*(high - low)\n"
          "# The panel of a row; -1: it is in none.\n"
          "panel(row) = ",
          out);
    size_t panels = 0;
    for (size_t l = 0; l < summary->line_count && panels < map->count; l++) {
        if (summary->lines[l].unreadable)
            continue;
        nauha__gnuplot_call_is(out, summary, &summary->lines[l], false);
        fprintf(out, " ? %zu \\\n    : ", panels++);
    }
    fputs("-1\n"
          "set table $bins separator comma\n"
          "plot csv skip 1 using (strcol(1)):(strcol(9)):(strcol(10)):(strcol(11)) \\\n"
          "    :(is_slice($1) ? panel(0) : -1) with table if is_slice($1)\n"
          "unset table\n",
          out);
    write_split(out, panels);
}

static void write_colours(FILE *out, const struct histogram_map *map) {
    nauha__gnuplot_palette(out);
    fprintf(out, "set cblabel 'share of elements' offset 1\nset cbrange [%.6g:%.6g]\n",
            map->share_min, map->share_max > 0 ? map->share_max : 1);
    if (map->log)
        fputs("set logscale cb\n", out);
    fputs("set format cb '%g'\nset style fill solid noborder\n", out);
    fputs("unset key\n", out);
}

static void write_panel(FILE *out, const struct histogram_map *map, const struct nauha__line *line,
                        size_t panel) {
    const struct nauha_plot *plot = &map->frame.picture->plot;
    if (line->elements == 0 || line->finite == 0) {
        fputs("    set yrange [0:1]\n    plot NaN\n", out);
        return;
    }
    const double margin = line->high > line->low ? 0.02 * (line->high - line->low) : 1;
    fprintf(out, "    set yrange [%.6g:%.6g]\n",
            isnan(plot->y_low) ? line->low - margin : plot->y_low,
            isnan(plot->y_high) ? line->high + margin : plot->y_high);
    fprintf(out,
            "    plot $panel%zu using (drawn($4)):2:1:($1+1.05*every):2:(overlap($2,$3)):"
            "($4/%" PRIu64 ".0) \\\n"
            "        with boxxyerror lc palette\n",
            panel, line->elements);
}

static void write_panels(FILE *out, const struct histogram_map *map) {
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
        write_panel(out, map, line, i);
        i++;
    }
}

/* Draws all elements together as a band of characters. */
static void write_dumb(FILE *out, const struct histogram_map *map) {
    const size_t lines = nauha__gnuplot_drawable(map->frame.summary);
    fputs("    if (target eq 'dumb') {\n"
          "        set title main_title; set ylabel ''; set xlabel x_label; set xrange [*:*]; "
          "set key\n",
          out);
    nauha__band_read(out, "        ", map->frame.summary, NULL);
    nauha__band_plot_lines(out, "        ", lines, nauha__gnuplot_noun(map->frame.summary));
    fputs("    } else {\n", out);
}

static void write_picture(FILE *out, const struct histogram_map *map) {
    const struct nauha__series_summary *summary = map->frame.summary;
    write_dumb(out, map);
    if (map->count > 1) {
        write_panels(out, map);
        fputs("    unset multiplot\n", out);
    } else {
        fputs("    set title main_title; set xlabel x_label; set ylabel y_label\n", out);
        for (size_t i = 0; i < summary->line_count; i++) {
            if (!summary->lines[i].unreadable)
                write_panel(out, map, &summary->lines[i], 0);
        }
    }
    fputs("    }\n", out);
}

void nauha__gnuplot_histograms(FILE *out, const char *name, const struct nauha__picture *picture,
                               const struct nauha__series_summary *summary) {
    struct histogram_map map = {.frame = {.name = name, .picture = picture, .summary = summary}};
    arrange_panels(&map);
    choose_ranges(&map);
    nauha__gnuplot_head(out, &map.frame);
    write_definitions(out, &map);
    nauha__gnuplot_axes(out, &map.frame);
    write_colours(out, &map);
    nauha__gnuplot_begin_picture(out);
    write_picture(out, &map);
    nauha__gnuplot_end_picture(out);
}
