/* SPDX-License-Identifier: MIT */
/* Writing HTML: what comes from a trace is escaped here, and nowhere else. Errors stay in the
 * stream, for ferror.
 *
 * Threads: any thread; a stream has one owner.
 */
#ifndef NAUHA_TOOLS_REPORT_HTML_H
#define NAUHA_TOOLS_REPORT_HTML_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Text, as content or in an attribute in double quotes. What is no UTF-8, and control characters,
 * become U+FFFD. */
void html_text(FILE *out, const char *text);

/* As printf, of text that is escaped as a whole. */
void html_format(FILE *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Four digits for people: "0.001234", "1.2e-05", "nan". Returns text. */
const char *html_number(double value, char text[32]);

/* A cell with a number, which sorting takes from data-v in full; NaN where there is none: "–". */
void html_number_cell(FILE *out, double value, const char *shown);

/* One column of a sortable table. */
struct html_column {
    const char *name; /* "" for none */
    const char *hint; /* what it is, shown on hovering; NULL: the name says it */
    bool number;
};

/* "<table ...><thead>...</thead><tbody>": headers are buttons, and what is in them is our own. */
void html_table(FILE *out, const char *id, const char *caption, const struct html_column *columns,
                size_t count);
void html_table_end(FILE *out);

#endif
