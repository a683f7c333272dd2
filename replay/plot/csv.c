/* SPDX-License-Identifier: MIT */
/* CSV fields and rows; see csv.h. */
#include "replay/plot/csv.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Up to here every integer can be a double. */
#define WHOLE_MAX 9007199254740992.0

size_t nauha__double_text(double value, locale_t c, char text[NAUHA__DOUBLE_MAX]) {
    if (isnan(value)) /* printf would print the sign of a NaN, which has no meaning here */
        return (size_t)snprintf(text, NAUHA__DOUBLE_MAX, "nan");
    if (isinf(value))
        return (size_t)snprintf(text, NAUHA__DOUBLE_MAX, value > 0 ? "inf" : "-inf");
    const locale_t before = uselocale(c);
    int length = 0;
    if (fabs(value) <= WHOLE_MAX && value == trunc(value)) {
        length = snprintf(text, NAUHA__DOUBLE_MAX, "%.0f", value);
    } else {
        for (int digits = 15; digits <= 17; digits++) {
            length = snprintf(text, NAUHA__DOUBLE_MAX, "%.*g", digits, value);
            if (strtod(text, NULL) == value)
                break;
        }
    }
    uselocale(before);
    return (size_t)length;
}

void nauha__csv_field(FILE *file, const char *text) {
    if (!text[strcspn(text, ",\"\r\n")]) {
        fputs(text, file);
        return;
    }
    putc('"', file);
    for (; *text; text++) {
        if (*text == '"')
            putc('"', file);
        putc(*text, file);
    }
    putc('"', file);
}

static enum nauha_status malformed(const struct nauha__csv_reader *reader, const char *what,
                                   struct nauha_error *err) {
    return nauha_error_set(err, NAUHA_FORMAT, "row %lu of \"%s\" %s", reader->row, reader->path,
                           what);
}

/* Reads one field into text + *used. *end is the character after it: ',', '\n' or EOF. */
static enum nauha_status next_field(struct nauha__csv_reader *reader, size_t *used, int *end,
                                    struct nauha_error *err) {
    bool quoted = false;
    int c = getc_unlocked(reader->file);
    if (c == '"') {
        quoted = true;
        c = getc_unlocked(reader->file);
    }
    for (;; c = getc_unlocked(reader->file)) {
        if (quoted && c == EOF)
            return malformed(reader, "has a quote that does not close", err);
        if (quoted && c == '"') {
            c = getc_unlocked(reader->file);
            quoted = c == '"'; /* two of them are one */
        }
        if (!quoted && c == '\r') {
            c = getc_unlocked(reader->file);
            if (c != '\n')
                return malformed(reader, "has a stray carriage return", err);
        }
        if (!quoted && (c == ',' || c == '\n' || c == EOF))
            break;
        if (*used + 1 >= sizeof reader->text)
            return malformed(reader, "is too long", err);
        reader->text[(*used)++] = (char)c;
    }
    if (*used >= sizeof reader->text)
        return malformed(reader, "is too long", err);
    reader->text[(*used)++] = 0;
    *end = c;
    return NAUHA_OK;
}

enum nauha_status nauha__csv_next(struct nauha__csv_reader *reader, struct nauha_error *err) {
    size_t used = 0;
    int end = getc_unlocked(reader->file);
    if (end == EOF) {
        if (ferror(reader->file))
            return nauha_error_set_errno(err, errno, "cannot read \"%s\"", reader->path);
        return NAUHA_END;
    }
    ungetc(end, reader->file);
    reader->count = 0;
    reader->row++;
    do {
        if (reader->count == NAUHA__CSV_FIELDS)
            return malformed(reader, "has too many fields", err);
        reader->fields[reader->count++] = reader->text + used;
        enum nauha_status status = next_field(reader, &used, &end, err);
        if (status != NAUHA_OK)
            return status;
    } while (end == ',');
    if (end == EOF && ferror(reader->file))
        return nauha_error_set_errno(err, errno, "cannot read \"%s\"", reader->path);
    return NAUHA_OK;
}
