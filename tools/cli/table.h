/* SPDX-License-Identifier: MIT */
/* Tables for people: columns as wide as what is in them. On a terminal a table fits its width: long
 * names are cut in the middle, the last column may be wrapped, and columns that can be done without
 * are left out. Elsewhere nothing is cut, wrapped or left out.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_CLI_TABLE_H
#define NAUHA_TOOLS_CLI_TABLE_H

#include <stddef.h>

#include "nauha/status.h"
#include "tools/cli/terminal.h"

enum table_flags {
    TABLE_RIGHT = 1,    /* aligned there */
    TABLE_CUT = 2,      /* may be cut */
    TABLE_WRAP = 4,     /* may be wrapped; the last column only */
    TABLE_OPTIONAL = 8, /* not there when nothing is in it */
};

struct column {
    const char *head; /* NULL in all columns: a table without a head */
    unsigned flags;
    unsigned
        spare; /* where there is no room, those with the highest are left out first; 0: never */
};

struct table;

/* columns: borrowed until nauha__table_end. indent: blanks before each line. NULL, which the other
 * functions take, when out of memory. */
struct table *nauha__table_new(FILE *stream, const struct column *columns, size_t count,
                               int indent);

/* The next cell, row by row. Widths are those of the first rows: a table of any length takes little
 * memory. */
void nauha__table_cell(struct table *table, enum colour colour, const char *format, ...)
    NAUHA_PRINTF(3, 4);

/* Prints what is left, and frees the table. */
void nauha__table_end(struct table *table);

#endif
