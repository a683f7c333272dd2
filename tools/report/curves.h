/* SPDX-License-Identifier: MIT */
/* Series of any length in bounded memory. Values are combined in buckets of steps, which become
 * wider as more steps come. Of histograms, every other one is dropped when there are too many.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_TOOLS_REPORT_CURVES_H
#define NAUHA_TOOLS_REPORT_CURVES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CURVE_BUCKETS 256u
#define RIDGE_COLUMNS 48u
#define RIDGE_BINS 40u

/* The finite values of `width` steps. */
struct bucket {
    double sum, low, high;
    uint32_t count;
    uint32_t odd; /* values that are not finite */
};

struct curve {
    uint64_t origin, width; /* steps */
    struct bucket *buckets;
    size_t used, capacity;
    uint64_t count, odd; /* values that are finite, and that are not */
    uint64_t first_odd;  /* step, where odd > 0 */
    uint64_t odd_since;  /* if `last` is not finite: since this step no value is */
    uint64_t first_step, last_step;
    double first, last;  /* finite or not */
    double low, high;    /* of the finite ones */
    double low_positive; /* smallest above 0; infinity: none */
};

/* Adds a value. origin: no step is smaller. False when out of memory. */
bool curve_add(struct curve *curve, uint64_t origin, uint64_t step, double value);
void curve_fini(struct curve *curve);
/* The middle of a bucket, in steps. */
double curve_step(const struct curve *curve, size_t bucket);
double curve_mean(const struct bucket *bucket);

struct column {
    uint64_t step;
    double low, high;
    float counts[RIDGE_BINS];
};

struct ridge {
    struct column *columns;
    size_t used, capacity;
    uint64_t seen, stride; /* histograms added; one of `stride` is kept */
};

/* Adds a histogram. bins: low edge, high edge and count of each bin, ascending; count > 0. False
 * when out of memory. */
bool ridge_add(struct ridge *ridge, uint64_t step, const double *bins, size_t count);
void ridge_fini(struct ridge *ridge);

#endif
