/* SPDX-License-Identifier: MIT */
/* What is known of a CSV for drawing it: its lines, their ranges, and the epochs.
 *
 * Threads: any thread; an object has one owner.
 */
#ifndef NAUHA_REPLAY_PLOT_SERIES_H
#define NAUHA_REPLAY_PLOT_SERIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nauha/status.h"

/* The header of every CSV of a series, up to where scalars and histograms differ. */
#define NAUHA__CSV_KEY_COLUMNS "global_step,train_step,epoch,rank,tag,module,slot,call"
#define NAUHA__CSV_SCALAR_COLUMNS "value"
#define NAUHA__CSV_HISTOGRAM_COLUMNS "bin_low,bin_high,count"
/* An additional last column, if the series has several runs. */
#define NAUHA__CSV_RUN_COLUMN "run"

/* Column numbers, from 1 as gnuplot counts them. */
enum nauha__csv_column {
    NAUHA__COLUMN_STEP = 1,
    NAUHA__COLUMN_EPOCH = 3,
    NAUHA__COLUMN_RANK = 4,
    NAUHA__COLUMN_TAG = 5,
    NAUHA__COLUMN_MODULE = 6,
    NAUHA__COLUMN_SLOT = 7,
    NAUHA__COLUMN_CALL = 8,
    NAUHA__COLUMN_VALUE = 9,
    NAUHA__COLUMN_BIN_LOW = 9,
    NAUHA__COLUMN_BIN_HIGH = 10,
    NAUHA__COLUMN_COUNT = 11
};

/* The columns that distinguish the lines of a picture, in the order of `text` below. */
#define NAUHA__KEY_COLUMNS 6u
enum {
    NAUHA__KEY_MODULE,
    NAUHA__KEY_SLOT,
    NAUHA__KEY_CALL,
    NAUHA__KEY_TAG,
    NAUHA__KEY_RANK,
    NAUHA__KEY_RUN
};

/* Values of at least this magnitude are not drawn; the scripts have the same number. */
#define NAUHA__DRAWN_MAX 1e300

/* One line of the picture: the rows with these texts in the key columns. */
struct nauha__line {
    char *text[NAUHA__KEY_COLUMNS];
    uint64_t rows;     /* scalars: rows; histograms: messages */
    uint64_t finite;   /* rows with a value that can be drawn */
    uint64_t positive; /* of those, above 0 */
    double low, high;  /* of the finite values, or of all bins */
    double low_positive;
    double low_magnitude; /* of the values that are not 0 */
    double sum_abs;
    uint64_t elements; /* histograms: the most elements of one message */
    uint64_t open;     /* elements of the message whose bins are being read */
    uint64_t open_step;
    uint64_t fullest; /* the most elements of one bin */
    bool unreadable;  /* gnuplot cannot distinguish or name this line */
};

struct nauha__epoch_start {
    uint64_t step, epoch;
};

struct nauha__series_summary {
    bool histogram;
    bool runs; /* it has the column of runs */
    uint64_t rows;
    struct nauha__line *lines; /* in order of first appearance */
    size_t line_count;
    bool regular; /* scalars: row i is of line i modulo line_count, for every i */
    bool varies[NAUHA__KEY_COLUMNS]; /* the key columns in which the lines differ */
    uint64_t first_step, last_step;
    uint64_t stride; /* greatest common divisor of the distances between steps; 0: one step */
    struct nauha__epoch_start *epochs; /* of each epoch but the first */
    size_t epoch_count;
    uint64_t not_finite, not_positive; /* values; the latter are finite and at most 0 */
};

/* The number of a key column in the CSV of this series. */
int nauha__key_column(const struct nauha__series_summary *summary, size_t key);

/* Reads a CSV that the csv sink wrote. FORMAT: it is something else; the error names the row. IO,
 * NOMEM. Release summary with nauha__series_fini. */
enum nauha_status nauha__series_scan(const char *path, struct nauha__series_summary *summary,
                                     struct nauha_error *err);
void nauha__series_fini(struct nauha__series_summary *summary);

#endif
