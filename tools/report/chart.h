/* SPDX-License-Identifier: MIT */
/* The pictures of a report, as SVG: lines over steps, modules over steps, histograms over steps.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_REPORT_CHART_H
#define NAUHA_TOOLS_REPORT_CHART_H

#include <stdio.h>

#include "tools/report/collection.h"
#include "tools/report/survey.h"

/* From so many lines on, their colours say how deep in the network they are. */
#define CHART_COLOURS 8u

struct chart {
    const struct topic *topic;
    const struct survey *survey; /* epochs */
    const struct nauha_names *names;
};

/* What tells a line from the others of its picture: "features.0", "rnn weight_hh_l0", "testing". */
void chart_line_name(FILE *out, const struct chart *chart, const struct line *line);

/* Lines with their legend; false, and nothing written, where there is nothing to draw. */
bool chart_lines(FILE *out, const struct chart *chart);

/* One histogram over steps; false where there is none. number: of the picture on the page. */
bool chart_ridge(FILE *out, const struct chart *chart, const struct line *line, size_t number);

/* A line of a table: no axes, no names; nothing where there is nothing to draw. */
void chart_spark(FILE *out, const struct curve *curve);

#endif
