/* SPDX-License-Identifier: MIT */
/* Writing HTML. Texts from a trace are escaped here, and nowhere else. Errors stay in the stream,
 * for ferror.
 *
 * Threads: any thread; a stream has one owner.
 */
#ifndef NAUHA_TOOLS_REPORT_HTML_H
#define NAUHA_TOOLS_REPORT_HTML_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Writes a text as content, or as an attribute in double quotes. Invalid UTF-8 and control
 * characters become U+FFFD. */
void html_text(FILE *out, const char *text);

/* Writes as printf does, and escapes the result. */
void html_format(FILE *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A number for people, with four digits: "0.001234", "1.2e-05", "nan". Returns text. */
const char *html_number(double value, char text[32]);

/* Writes a cell with a number: it shows `shown` and is sorted by data-v, the full value. NaN means
 * that there is none, shown as "–". */
void html_number_cell(FILE *out, double value, const char *shown);

/* One column of a sortable table. */
struct html_column {
    const char *name; /* "" for none */
    const char *hint; /* explanation, shown on hovering; NULL: none */
    bool number;
};

/* Writes "<table ...><thead>...</thead><tbody>". The headers are buttons; they are not escaped,
 * because their text is the program's own. */
void html_table(FILE *out, const char *id, const char *caption, const struct html_column *columns,
                size_t count);
void html_table_end(FILE *out);

#endif
