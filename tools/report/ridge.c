/* SPDX-License-Identifier: MIT */
/* Histograms over steps, drawn as shades; see chart.h.
 *
 * Threads: the main thread.
 */
#include <math.h>
#include <stdio.h>

#include "tools/report/axes.h"
#include "tools/report/chart.h"
#include "tools/report/html.h"

#define WIDTH 260.0
#define HEIGHT 170.0
#define ROWS RIDGE_BINS
#define SHADES 7u
/* The fraction of a column's elements on each side that the picture may leave out to show the rest
 * larger. */
#define TAIL 0.002

/* A grid of shades, 0 for none. */
struct grid {
    unsigned char shades[ROWS][RIDGE_COLUMNS];
    size_t columns;
};

/* ---- the range of values ---- */

static double total_of(const struct column *column) {
    double total = 0;
    for (size_t i = 0; i < RIDGE_BINS; i++)
        total += (double)column->counts[i];
    return total;
}

static double edge_of(const struct column *column, size_t bin) {
    return column->low + (column->high - column->low) * (double)bin / RIDGE_BINS;
}

/* The range of a column without its tails. */
static void find_body(const struct column *column, double *low, double *high) {
    const double tail = TAIL * total_of(column);
    size_t first = 0, last = RIDGE_BINS;
    for (double sum = (double)column->counts[0]; first + 1 < last && sum <= tail;)
        sum += (double)column->counts[++first];
    for (double sum = (double)column->counts[last - 1]; last > first + 1 && sum <= tail;)
        sum += (double)column->counts[--last - 1];
    *low = edge_of(column, first);
    *high = edge_of(column, last);
}

static bool find_range(const struct ridge *ridge, double *low, double *high) {
    *low = (double)INFINITY;
    *high = -(double)INFINITY;
    for (size_t i = 0; i < ridge->used; i++) {
        double from, to;
        if (!(total_of(&ridge->columns[i]) > 0))
            continue;
        find_body(&ridge->columns[i], &from, &to);
        *low = fmin(*low, from);
        *high = fmax(*high, to);
    }
    return *low < *high && isfinite(*high - *low);
}

/* ---- shades ---- */

/* The number of elements of a column between two values. */
static double count_between(const struct column *column, double low, double high) {
    const double width = (column->high - column->low) / RIDGE_BINS;
    const double from = (low - column->low) / width, to = (high - column->low) / width;
    double count = 0;
    if (!(width > 0) || !(to > 0) || !(from < RIDGE_BINS))
        return 0;
    for (size_t i = from > 0 ? (size_t)from : 0; i < RIDGE_BINS && (double)i < to; i++)
        count += (double)column->counts[i] * (fmin(to, (double)i + 1) - fmax(from, (double)i));
    return count;
}

/* The fullest cell of each column is the darkest. The square root keeps tails visible. */
static void shade(struct grid *grid, const struct ridge *ridge, double low, double high) {
    double counts[ROWS];
    grid->columns = ridge->used;
    for (size_t c = 0; c < ridge->used; c++) {
        double most = 0;
        for (size_t r = 0; r < ROWS; r++) {
            const double step = (high - low) / ROWS;
            counts[r] = count_between(&ridge->columns[c], low + step * (double)r,
                                      low + step * ((double)r + 1));
            most = fmax(most, counts[r]);
        }
        for (size_t r = 0; r < ROWS; r++)
            grid->shades[r][c] =
                most > 0 ? (unsigned char)ceil(SHADES * sqrt(counts[r] / most) - 0.02) : 0;
    }
}

/* A column extends halfway to its neighbours. */
static double column_edge(const struct ridge *ridge, size_t column) {
    const struct column *columns = ridge->columns;
    if (ridge->used == 1)
        return (double)columns[0].step + (column == 0 ? -0.5 : 0.5);
    if (column == 0)
        return (double)columns[0].step - ((double)columns[1].step - (double)columns[0].step) / 2;
    if (column == ridge->used)
        return (double)columns[column - 1].step +
               ((double)columns[column - 1].step - (double)columns[column - 2].step) / 2;
    return ((double)columns[column - 1].step + (double)columns[column].step) / 2;
}

/* Draws one path for each shade, with a rectangle for each sequence of equal neighbours in a
 * row. */
static void write_grid(FILE *out, const struct grid *grid, const struct ridge *ridge,
                       const struct scale *x, const struct scale *y) {
    const double step = (y->high - y->low) / ROWS;
    for (unsigned s = 1; s <= SHADES; s++) {
        bool any = false;
        for (size_t r = 0; r < ROWS; r++) {
            const double top = scale_place(y, y->low + step * ((double)r + 1));
            const double height = (y->from - y->to) / ROWS;
            for (size_t c = 0, end; c < grid->columns; c = end) {
                for (end = c + 1;
                     end < grid->columns && grid->shades[r][end] == grid->shades[r][c];)
                    end++;
                if (grid->shades[r][c] != s)
                    continue;
                const double left = scale_place(x, column_edge(ridge, c));
                const double width = scale_place(x, column_edge(ridge, end)) - left;
                if (!any)
                    fprintf(out, "<path fill-opacity=%.2f d=\"", (double)s / SHADES);
                fprintf(out, "M%.1f %.1fh%.1fv%.1fh-%.1fz", left, top, width, height, width);
                any = true;
            }
        }
        if (any)
            fputs("\"/>\n", out);
    }
}

bool chart_ridge(FILE *out, const struct chart *chart, const struct line *line, size_t number) {
    const struct ridge *ridge = &line->ridge;
    double low, high;
    char id[32];
    struct grid grid;
    if (ridge->used == 0 || !find_range(ridge, &low, &high))
        return false;
    shade(&grid, ridge, low, high);
    const struct scale y = {low, high, false, HEIGHT - 22, 8};
    const struct scale x = {column_edge(ridge, 0), column_edge(ridge, ridge->used), false, 52,
                            WIDTH - 8};
    snprintf(id, sizeof id, "r%zu", number);
    fputs("<figure class=\"card ridge\"", out);
    if (line->key.module != NAUHA_NONE)
        fprintf(out, " data-m=%u", line->key.module);
    fputs("><h4>", out);
    chart_line_name(out, chart, line);
    fprintf(out, "</h4><svg class=chart viewBox=\"0 0 %.0f %.0f\" role=img aria-label=\"", WIDTH,
            HEIGHT);
    html_format(out, "%s over steps", chart->topic->title);
    fputs("\">", out);
    axes_write(out, id, &x, &y, NULL, NULL, true);
    fprintf(out, "<g class=shades clip-path=\"url(#%s-clip)\">", id);
    write_grid(out, &grid, ridge, &x, &y);
    fputs("</g></svg></figure>\n", out);
    return true;
}
