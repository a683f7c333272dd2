/* SPDX-License-Identifier: MIT */
/* Writing and reading CSV as in RFC 4180; numbers are read back as the same double.
 *
 * Threads: any thread; an object has one owner.
 */
#ifndef NAUHA_REPLAY_PLOT_CSV_H
#define NAUHA_REPLAY_PLOT_CSV_H

#include <locale.h>
#include <stddef.h>
#include <stdio.h>

#include "nauha/status.h"

/* ---- writing ---- */

/* Size of the longest text of a double, with the final zero. */
#define NAUHA__DOUBLE_MAX 32u

/* The shortest of %.15g, %.16g and %.17g that reads back as the same double; whole numbers up to
 * 2^53 without an exponent; "nan", "inf", "-inf". `c` is the locale to print in. */
size_t nauha__double_text(double value, locale_t c, char text[NAUHA__DOUBLE_MAX]);

/* One field, quoted only where it holds a comma, a quote or a line break. Errors stay in the
 * stream, for ferror. */
void nauha__csv_field(FILE *file, const char *text);

/* ---- reading ---- */

#define NAUHA__CSV_FIELDS 16u
#define NAUHA__CSV_ROW_MAX 65536u

struct nauha__csv_reader {
    FILE *file; /* borrowed */
    const char *path;
    unsigned long row; /* number of the row in `fields`; the header is row 1 */
    size_t count;
    const char *fields[NAUHA__CSV_FIELDS]; /* point into text, until the next call */
    char text[NAUHA__CSV_ROW_MAX];
};

/* Reads the next row. END: there is no more. FORMAT: the row is too long, has too many fields, or a
 * quote in it is not closed; the error names the path and the row. IO. */
enum nauha_status nauha__csv_next(struct nauha__csv_reader *reader, struct nauha_error *err);

#endif
