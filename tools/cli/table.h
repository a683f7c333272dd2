/* SPDX-License-Identifier: MIT */
/* Tables for people, with columns as wide as their contents. On a terminal, a table is made to fit
 * its width: long names are cut in the middle, the last column may be wrapped, and columns may be
 * left out. Elsewhere nothing is cut, wrapped or left out.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_CLI_TABLE_H
#define NAUHA_TOOLS_CLI_TABLE_H

#include <stddef.h>

#include "nauha/status.h"
#include "tools/cli/terminal.h"

enum table_flags {
    TABLE_RIGHT = 1,    /* aligned right */
    TABLE_CUT = 2,      /* may be cut */
    TABLE_WRAP = 4,     /* may be wrapped; the last column only */
    TABLE_OPTIONAL = 8, /* left out if it is empty */
};

struct column {
    const char *head; /* NULL in all columns: a table without a head */
    unsigned flags;
    unsigned spare; /* left out for lack of room, the highest first; 0: never */
};

struct table;

/* columns are borrowed until nauha__table_end. indent: the number of blanks before each line. NULL
 * when out of memory; the other functions accept NULL. Release with nauha__table_end. */
struct table *nauha__table_new(FILE *stream, const struct column *columns, size_t count,
                               int indent);

/* Adds the next cell, row by row. The first rows determine the widths, so a table of any length
 * needs little memory. */
void nauha__table_cell(struct table *table, enum colour colour, const char *format, ...)
    NAUHA_PRINTF(3, 4);

/* Prints the remaining rows, and frees the table. */
void nauha__table_end(struct table *table);

#endif
