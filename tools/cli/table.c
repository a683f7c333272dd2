/* SPDX-License-Identifier: MIT */
/* Tables for people; see table.h.
 *
 * Threads: the main thread.
 */
#include "tools/cli/table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "nauha/array.h"
#include "tools/cli/command.h"
#include "tools/cli/text.h"

#define GAP 2
/* The widths of columns follow from so many rows. */
#define ROWS_MEASURED 2000u
/* The width to which columns are cut before others are left out, and the least width. */
#define CUT_WELL 16
#define CUT_LEAST 5
/* Columns are not wrapped to less than this; lines become too long instead. */
#define WRAP_LEAST 20

struct cell {
    char *text; /* owned */
    enum colour colour;
};

struct layout {
    int width;
    bool left_out, empty;
};

struct table {
    FILE *stream;
    const struct column *columns;
    struct layout *layouts;
    size_t column_count;
    int indent, limit; /* of the terminal; 0: no limit */
    bool coloured;
    struct cell *cells; /* rows not printed yet */
    size_t count, capacity;
    bool settled, failed;
};

struct table *nauha__table_new(FILE *stream, const struct column *columns, size_t count,
                               int indent) {
    struct table *table = calloc(1, sizeof *table);
    struct layout *layouts = calloc(count, sizeof *layouts);
    if (!table || !layouts) {
        free(table);
        free(layouts);
        return NULL;
    }
    *table = (struct table){.stream = stream,
                            .columns = columns,
                            .layouts = layouts,
                            .column_count = count,
                            .indent = indent,
                            .limit = nauha__width(stream),
                            .coloured = *nauha__colour(stream, COLOUR_PLAIN)};
    return table;
}

/* ---- how wide ---- */

static void measure(struct table *table) {
    for (size_t i = 0; i < table->column_count; i++) {
        const char *head = table->columns[i].head;
        table->layouts[i].width = head ? nauha__text_width(head) : 0;
        table->layouts[i].empty = table->columns[i].flags & TABLE_OPTIONAL;
    }
    for (size_t i = 0; i < table->count; i++) {
        struct layout *layout = &table->layouts[i % table->column_count];
        const int width = nauha__text_width(table->cells[i].text);
        layout->width = width > layout->width ? width : layout->width;
        layout->empty = layout->empty && width == 0;
    }
}

static bool is_shown(const struct layout *layout) {
    return !layout->left_out && !layout->empty;
}

static int line_width(const struct table *table) {
    int width = table->indent - GAP;
    for (size_t i = 0; i < table->column_count; i++)
        if (is_shown(&table->layouts[i]))
            width += table->layouts[i].width + GAP;
    return width;
}

/* Reduces the widest column that has one of the flags, until the table fits. */
static void shrink(struct table *table, unsigned flag, int least) {
    for (int excess = line_width(table) - table->limit; excess > 0; excess--) {
        struct layout *widest = NULL;
        for (size_t i = 0; i < table->column_count; i++) {
            struct layout *layout = &table->layouts[i];
            if (table->columns[i].flags & flag && is_shown(layout) && layout->width > least &&
                (!widest || layout->width > widest->width))
                widest = layout;
        }
        if (!widest)
            return;
        widest->width--;
    }
}

static bool leave_one_out(struct table *table) {
    size_t which = 0;
    unsigned most = 0;
    for (size_t i = 0; i < table->column_count; i++) {
        if (is_shown(&table->layouts[i]) && table->columns[i].spare > most) {
            most = table->columns[i].spare;
            which = i;
        }
    }
    if (most > 0)
        table->layouts[which].left_out = true;
    return most > 0;
}

static void settle(struct table *table) {
    table->settled = true;
    do {
        measure(table);
        if (table->limit == 0)
            return;
        shrink(table, TABLE_WRAP, WRAP_LEAST);
        shrink(table, TABLE_CUT, CUT_WELL);
    } while (line_width(table) > table->limit && leave_one_out(table));
    shrink(table, TABLE_CUT, CUT_LEAST);
}

/* ---- printing ---- */

static const char *colour_of(const struct table *table, enum colour colour) {
    return table->coloured ? nauha__colour(table->stream, colour) : "";
}

/* Prints a cell whose column begins at `at`, when the line is at `cursor`. Returns the new
 * position: a cell that is wider than expected moves those after it. */
static int print_cell(const struct table *table, size_t column, const struct cell *cell, int at,
                      int cursor) {
    const unsigned flags = table->columns[column].flags;
    const int width = table->layouts[column].width;
    const int least = cursor > table->indent ? cursor + GAP : cursor;
    int shown = nauha__text_width(cell->text);
    if (flags & TABLE_CUT && table->limit > 0 && shown > width)
        shown = width;
    int start = flags & TABLE_RIGHT && shown < width ? at + width - shown : at;
    start = start > least ? start : least;
    fprintf(table->stream, "%*s", start - cursor, "");
    if (cell->colour != COLOUR_PLAIN)
        fputs(colour_of(table, cell->colour), table->stream);
    cursor = start;
    if (flags & TABLE_WRAP)
        nauha__text_wrap(table->stream, cell->text, at, cursor, table->limit);
    else
        cursor += nauha__text_print(table->stream, cell->text, shown);
    if (cell->colour != COLOUR_PLAIN)
        fputs(colour_of(table, COLOUR_PLAIN), table->stream);
    return cursor;
}

static void print_row(const struct table *table, const struct cell *cells) {
    int at = table->indent, cursor = 0;
    for (size_t i = 0; i < table->column_count; i++) {
        if (!is_shown(&table->layouts[i]))
            continue;
        if (*cells[i].text)
            cursor = print_cell(table, i, &cells[i], at, cursor);
        at += table->layouts[i].width + GAP;
    }
    fputc('\n', table->stream);
}

static void print_head(const struct table *table) {
    struct cell *cells = calloc(table->column_count, sizeof *cells);
    bool any = false;
    for (size_t i = 0; cells && i < table->column_count; i++) {
        const char *head = table->columns[i].head;
        cells[i] = (struct cell){head ? (char *)head : "", COLOUR_DIM};
        any = any || (head && *head);
    }
    if (any)
        print_row(table, cells);
    free(cells);
}

/* Prints the rows that are complete. */
static void flush(struct table *table) {
    const size_t columns = table->column_count, complete = table->count / columns * columns;
    if (!table->settled) {
        settle(table);
        print_head(table);
    }
    for (size_t i = 0; i < complete; i += columns)
        print_row(table, &table->cells[i]);
    for (size_t i = 0; i < complete; i++)
        free(table->cells[i].text);
    table->count -= complete;
    if (table->count > 0)
        memmove(table->cells, &table->cells[complete], table->count * sizeof *table->cells);
}

/* ---- cells ---- */

void nauha__table_cell(struct table *table, enum colour colour, const char *format, ...) {
    char *text = NULL;
    if (!table || table->failed)
        return;
    va_list list;
    va_start(list, format);
    const int length = vasprintf(&text, format, list);
    va_end(list);
    if (length < 0 || !NAUHA_GROW(table->cells, table->capacity, table->count + 1)) {
        table->failed = true;
        return;
    }
    table->cells[table->count++] = (struct cell){nauha__text_clean(text), colour};
    if (table->count % table->column_count == 0 &&
        (table->settled || table->count == ROWS_MEASURED * table->column_count))
        flush(table);
}

static void tell_left_out(const struct table *table) {
    const char *comma = "";
    for (size_t i = 0; i < table->column_count; i++) {
        if (!table->layouts[i].left_out)
            continue;
        if (!*comma)
            fprintf(table->stream, "%*s%s(no room for: ", table->indent, "",
                    nauha__colour(table->stream, COLOUR_DIM));
        fprintf(table->stream, "%s%s", comma, table->columns[i].head);
        comma = ", ";
    }
    if (*comma)
        fprintf(table->stream, ")%s\n", nauha__colour(table->stream, COLOUR_PLAIN));
}

void nauha__table_end(struct table *table) {
    if (!table || table->failed)
        nauha__fail_nomem();
    if (!table)
        return;
    flush(table);
    tell_left_out(table);
    for (size_t i = 0; i < table->count; i++)
        free(table->cells[i].text);
    free(table->cells);
    free(table->layouts);
    free(table);
}
