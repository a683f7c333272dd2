/* SPDX-License-Identifier: MIT */
/* Reading a CSV of a series in one pass; see series.h. */
#include "replay/plot/series.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "nauha/array.h"
#include "nauha/internal/arithmetic.h"
#include "nauha/internal/parse.h"
#include "replay/plot/csv.h"

static size_t column_count(const struct nauha__series_summary *summary) {
    return (summary->histogram ? NAUHA__COLUMN_COUNT : (size_t)NAUHA__COLUMN_VALUE) + summary->runs;
}

int nauha__key_column(const struct nauha__series_summary *summary, size_t key) {
    static const int columns[NAUHA__KEY_COLUMNS] = {
        [NAUHA__KEY_MODULE] = NAUHA__COLUMN_MODULE, [NAUHA__KEY_SLOT] = NAUHA__COLUMN_SLOT,
        [NAUHA__KEY_CALL] = NAUHA__COLUMN_CALL,     [NAUHA__KEY_TAG] = NAUHA__COLUMN_TAG,
        [NAUHA__KEY_RANK] = NAUHA__COLUMN_RANK,
    };
    return key == NAUHA__KEY_RUN ? (int)column_count(summary) : columns[key];
}

/* The key texts of a line, one after the other with their zeros, to its position in lines. */
struct line_entry {
    UT_hash_handle hh;
    size_t position;
    char key[];
};

struct scan {
    struct nauha__csv_reader reader;
    struct nauha__series_summary *summary;
    struct line_entry *table;
    size_t line_capacity, epoch_capacity;
    size_t period; /* number of rows until the first line came again; 0: it has not come again */
    bool irregular;
    uint64_t epoch;                   /* the highest so far */
    char key[NAUHA__CSV_ROW_MAX + 1]; /* of a row, and the end that the name of its run may lack */
};

void nauha__series_fini(struct nauha__series_summary *summary) {
    for (size_t i = 0; i < summary->line_count; i++) {
        for (size_t k = 0; k < NAUHA__KEY_COLUMNS; k++)
            free(summary->lines[i].text[k]);
    }
    free(summary->lines);
    free(summary->epochs);
    *summary = (struct nauha__series_summary){0};
}

static enum nauha_status bad_row(const struct scan *scan, const char *what,
                                 struct nauha_error *err) {
    return nauha_error_set(err, NAUHA_FORMAT, "row %lu of \"%s\" %s", scan->reader.row,
                           scan->reader.path, what);
}

/* The text of the current row in a key column; "" for the run if there is only one. */
static const char *key_text(const struct scan *scan, size_t key) {
    if (key == NAUHA__KEY_RUN && !scan->summary->runs)
        return "";
    return scan->reader.fields[nauha__key_column(scan->summary, key) - 1];
}

static struct nauha__line *add_line(struct scan *scan, size_t key_length) {
    struct nauha__series_summary *summary = scan->summary;
    if (!NAUHA_GROW(summary->lines, scan->line_capacity, summary->line_count + 1))
        return NULL;
    struct nauha__line *line = &summary->lines[summary->line_count];
    *line = (struct nauha__line){
        .low = INFINITY, .high = -INFINITY, .low_positive = INFINITY, .low_magnitude = INFINITY};
    struct line_entry *entry = malloc(sizeof *entry + key_length);
    bool whole = entry != NULL;
    for (size_t k = 0; k < NAUHA__KEY_COLUMNS; k++) {
        line->text[k] = strdup(key_text(scan, k));
        whole = whole && line->text[k];
    }
    if (!whole) {
        for (size_t k = 0; k < NAUHA__KEY_COLUMNS; k++)
            free(line->text[k]);
        free(entry);
        return NULL;
    }
    memcpy(entry->key, scan->key, key_length);
    entry->position = summary->line_count++;
    HASH_ADD_KEYPTR(hh, scan->table, entry->key, key_length, entry);
    return line;
}

/* The line of the current row, which is added if its key is new; NULL when out of memory. */
static struct nauha__line *find_line(struct scan *scan) {
    size_t length = 0;
    for (size_t k = 0; k < NAUHA__KEY_COLUMNS; k++) {
        const char *text = key_text(scan, k);
        const size_t bytes = strlen(text) + 1;
        memcpy(scan->key + length, text, bytes); /* fits: together they are part of one row */
        length += bytes;
    }
    struct line_entry *entry = NULL;
    HASH_FIND(hh, scan->table, scan->key, length, entry);
    return entry ? &scan->summary->lines[entry->position] : add_line(scan, length);
}

static uint64_t common_divisor(uint64_t a, uint64_t b) {
    while (b) {
        const uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static enum nauha_status take_steps(struct scan *scan, uint64_t step, uint64_t epoch,
                                    struct nauha_error *err) {
    struct nauha__series_summary *summary = scan->summary;
    if (summary->rows == 0) {
        summary->first_step = summary->last_step = step;
        scan->epoch = epoch;
    }
    const uint64_t distance =
        step > summary->last_step ? step - summary->last_step : summary->last_step - step;
    summary->stride = common_divisor(summary->stride, distance);
    if (step > summary->last_step)
        summary->last_step = step;
    if (step < summary->first_step)
        summary->first_step = step;
    if (epoch > scan->epoch) {
        if (!NAUHA_GROW(summary->epochs, scan->epoch_capacity, summary->epoch_count + 1))
            return nauha_error_nomem(err);
        summary->epochs[summary->epoch_count++] = (struct nauha__epoch_start){step, epoch};
        scan->epoch = epoch;
    }
    summary->rows++;
    return NAUHA_OK;
}

/* A number as the csv sink writes it. Values that cannot be drawn become NaN: nan, the infinities,
 * and numbers so large that axes overflow. */
static bool parse_number(const char *text, double *value) {
    if (strcmp(text, "nan") == 0 || strcmp(text, "inf") == 0 || strcmp(text, "-inf") == 0)
        *value = NAN;
    else if (nauha__parse_real(text, value, NULL) != NAUHA_OK)
        return false;
    else if (!(fabs(*value) < NAUHA__DRAWN_MAX))
        *value = NAN;
    return true;
}

static enum nauha_status take_value(struct scan *scan, struct nauha__line *line,
                                    struct nauha_error *err) {
    double value;
    if (!parse_number(scan->reader.fields[NAUHA__COLUMN_VALUE - 1], &value))
        return bad_row(scan, "has no number as its value", err);
    line->rows++;
    if (isnan(value)) {
        scan->summary->not_finite++;
        return NAUHA_OK;
    }
    line->finite++;
    line->low = fmin(line->low, value);
    line->high = fmax(line->high, value);
    line->sum_abs += fabs(value);
    if (value != 0)
        line->low_magnitude = fmin(line->low_magnitude, fabs(value));
    if (value > 0) {
        line->positive++;
        line->low_positive = fmin(line->low_positive, value);
    } else {
        scan->summary->not_positive++;
    }
    return NAUHA_OK;
}

static enum nauha_status take_bin(struct scan *scan, struct nauha__line *line, uint64_t step,
                                  struct nauha_error *err) {
    double low, high;
    uint64_t count;
    const char *const *fields = scan->reader.fields;
    if (!parse_number(fields[NAUHA__COLUMN_BIN_LOW - 1], &low) ||
        !parse_number(fields[NAUHA__COLUMN_BIN_HIGH - 1], &high) ||
        nauha__parse_u64(fields[NAUHA__COLUMN_COUNT - 1], &count, NULL) != NAUHA_OK)
        return bad_row(scan, "is not a bin: two numbers and a count", err);
    if (line->rows == 0 || step != line->open_step) {
        line->rows++;
        line->open = 0;
        line->open_step = step;
    }
    line->open = line->open > UINT64_MAX - count ? UINT64_MAX : line->open + count;
    if (line->open > line->elements)
        line->elements = line->open;
    if (count > line->fullest)
        line->fullest = count;
    if (!isnan(low) && !isnan(high)) {
        line->finite++;
        line->low = fmin(line->low, low);
        line->high = fmax(line->high, high);
    }
    return NAUHA_OK;
}

static void take_order(struct scan *scan, const struct nauha__line *line) {
    const struct nauha__series_summary *summary = scan->summary;
    const uint64_t row = summary->rows - 1;
    const size_t position = (size_t)(line - summary->lines);
    if (scan->period == 0 && position == 0 && row > 0)
        scan->period = summary->line_count;
    if (position != (scan->period ? row % scan->period : row))
        scan->irregular = true;
}

static enum nauha_status take_row(struct scan *scan, struct nauha_error *err) {
    if (scan->reader.count != column_count(scan->summary))
        return bad_row(scan, "has more or fewer fields than the header", err);
    uint64_t step, epoch;
    if (nauha__parse_u64(scan->reader.fields[NAUHA__COLUMN_STEP - 1], &step, NULL) != NAUHA_OK ||
        nauha__parse_u64(scan->reader.fields[NAUHA__COLUMN_EPOCH - 1], &epoch, NULL) != NAUHA_OK)
        return bad_row(scan, "has a step or an epoch that is not a whole number", err);
    enum nauha_status status = take_steps(scan, step, epoch, err);
    if (status != NAUHA_OK)
        return status;
    struct nauha__line *line = find_line(scan);
    if (!line)
        return nauha_error_nomem(err);
    take_order(scan, line);
    return scan->summary->histogram ? take_bin(scan, line, step, err) : take_value(scan, line, err);
}

/* Scalars and histograms have different headers. */
static enum nauha_status take_header(struct scan *scan, struct nauha_error *err) {
    static const char *const names[] = {"global_step", "train_step", "epoch", "rank",
                                        "tag",         "module",     "slot",  "call"};
    static const char *const bins[] = {"bin_low", "bin_high", "count"};
    enum nauha_status status = nauha__csv_next(&scan->reader, err);
    if (status != NAUHA_OK && status != NAUHA_END)
        return status;
    size_t count = status == NAUHA_END ? 0 : scan->reader.count;
    const char *const *fields = scan->reader.fields;
    scan->summary->runs = count > 0 && strcmp(fields[count - 1], NAUHA__CSV_RUN_COLUMN) == 0;
    count -= scan->summary->runs;
    bool good = count == 9 || count == 11;
    for (size_t i = 0; good && i < 8; i++)
        good = strcmp(fields[i], names[i]) == 0;
    for (size_t i = 0; good && count == 11 && i < 3; i++)
        good = strcmp(fields[8 + i], bins[i]) == 0;
    if (!good || (count == 9 && strcmp(fields[8], NAUHA__CSV_SCALAR_COLUMNS) != 0))
        return nauha_error_set(err, NAUHA_FORMAT,
                               "\"%s\" is not a series: its header is not that of a metric",
                               scan->reader.path);
    scan->summary->histogram = count == 11;
    return NAUHA_OK;
}

/* ---- what gnuplot sees ---- */

/* gnuplot 5 cuts a quoted field at its first comma or quote, and cannot read a line break in it.
 * What remains must still distinguish the lines. */
static size_t seen_length(const char *text) {
    return strcspn(text, ",\"");
}

static bool has_control(const char *text) {
    for (; *text; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return true;
    }
    return false;
}

static bool look_alike(const struct nauha__line *a, const struct nauha__line *b) {
    for (size_t k = 0; k < NAUHA__KEY_COLUMNS; k++) {
        const size_t length = seen_length(a->text[k]);
        if (length != seen_length(b->text[k]) || memcmp(a->text[k], b->text[k], length) != 0)
            return false;
    }
    return true;
}

static bool is_cut(const struct nauha__line *line) {
    for (size_t k = 0; k < NAUHA__KEY_COLUMNS; k++) {
        if (line->text[k][seen_length(line->text[k])])
            return true;
    }
    return false;
}

static void mark_lines(struct nauha__series_summary *summary) {
    for (size_t i = 0; i < summary->line_count; i++) {
        struct nauha__line *line = &summary->lines[i];
        for (size_t k = 0; k < NAUHA__KEY_COLUMNS; k++) {
            if (strcmp(line->text[k], summary->lines[0].text[k]) != 0)
                summary->varies[k] = true;
            if (has_control(line->text[k])) {
                line->unreadable = true;
                summary->regular = false; /* a row may take several lines of the file */
            }
        }
        for (size_t j = 0; is_cut(line) && j < summary->line_count; j++) {
            if (j != i && look_alike(line, &summary->lines[j]))
                line->unreadable = summary->lines[j].unreadable = true;
        }
    }
}

enum nauha_status nauha__series_scan(const char *path, struct nauha__series_summary *summary,
                                     struct nauha_error *err) {
    *summary = (struct nauha__series_summary){0};
    FILE *file = fopen(path, "re");
    if (!file)
        return nauha_error_set_errno(err, errno, "cannot open \"%s\"", path);
    enum nauha_status status = NAUHA_NOMEM;
    struct scan *scan = calloc(1, sizeof *scan);
    if (!scan) {
        nauha_error_nomem(err);
        goto out;
    }
    scan->reader.file = file;
    scan->reader.path = path;
    scan->summary = summary;
    status = take_header(scan, err);
    while (status == NAUHA_OK) {
        status = nauha__csv_next(&scan->reader, err);
        if (status == NAUHA_OK)
            status = take_row(scan, err);
    }
    if (status == NAUHA_END) {
        summary->regular = !summary->histogram && !scan->irregular;
        mark_lines(summary);
        status = NAUHA_OK;
    }
    struct line_entry *entry, *next;
    HASH_ITER(hh, scan->table, entry, next) {
        HASH_DEL(scan->table, entry);
        free(entry);
    }
out:
    free(scan);
    fclose(file);
    if (status != NAUHA_OK)
        nauha__series_fini(summary);
    return status;
}
