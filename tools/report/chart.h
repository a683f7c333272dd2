/* SPDX-License-Identifier: MIT */
/* The pictures of a report, as SVG: lines over steps, and histograms over steps.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_REPORT_CHART_H
#define NAUHA_TOOLS_REPORT_CHART_H

#include <stdio.h>

#include "tools/report/collection.h"
#include "tools/report/survey.h"

/* From this number of lines on, their colours show their depth in the network. */
#define CHART_COLOURS 8u

struct chart {
    const struct topic *topic;
    const struct survey *survey; /* for the epochs */
    const struct nauha_names *names;
};

/* Writes the names that distinguish a line in its picture: "features.0", "rnn weight_hh_l0",
 * "testing". */
void chart_line_name(FILE *out, const struct chart *chart, const struct line *line);

/* Draws lines with a legend. False, with nothing written, if there is nothing to draw. */
bool chart_lines(FILE *out, const struct chart *chart);

/* Draws a histogram over steps. False if there is none. number: that of the picture on the page. */
bool chart_ridge(FILE *out, const struct chart *chart, const struct line *line, size_t number);

/* Draws a small line for a cell of a table, without axes and names; writes nothing if there is
 * nothing to draw. */
void chart_spark(FILE *out, const struct curve *curve);

#endif
