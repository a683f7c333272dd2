/* SPDX-License-Identifier: MIT */
/* Bounded series; see curves.h.
 *
 * Threads: one at a time.
 */
#include "tools/report/curves.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nauha/array.h"

/* ---- curves ---- */

static void merge(struct bucket *into, const struct bucket *other) {
    if (other->count > 0) {
        into->low = into->count ? fmin(into->low, other->low) : other->low;
        into->high = into->count ? fmax(into->high, other->high) : other->high;
    }
    into->sum += other->sum;
    into->count += other->count;
    into->odd += other->odd;
}

/* Makes the buckets twice as wide. */
static void widen(struct curve *curve) {
    for (size_t i = 0; i < curve->used; i++) {
        const struct bucket bucket = curve->buckets[i];
        if (i % 2 == 0)
            curve->buckets[i / 2] = bucket;
        else
            merge(&curve->buckets[i / 2], &bucket);
    }
    curve->used = (curve->used + 1) / 2;
    curve->width *= 2;
}

/* The bucket of a step; NULL when out of memory. */
static struct bucket *bucket_of(struct curve *curve, uint64_t step) {
    const uint64_t distance = step > curve->origin ? step - curve->origin : 0;
    while (distance / curve->width >= CURVE_BUCKETS)
        widen(curve);
    const size_t place = (size_t)(distance / curve->width);
    if (!NAUHA_GROW(curve->buckets, curve->capacity, place + 1))
        return NULL;
    if (place >= curve->used) {
        memset(curve->buckets + curve->used, 0, (place + 1 - curve->used) * sizeof *curve->buckets);
        curve->used = place + 1;
    }
    return &curve->buckets[place];
}

bool curve_add(struct curve *curve, uint64_t origin, uint64_t step, double value) {
    if (curve->width == 0)
        *curve = (struct curve){.origin = origin,
                                .width = 1,
                                .first_step = step,
                                .first = value,
                                .low = (double)INFINITY,
                                .high = -(double)INFINITY,
                                .low_positive = (double)INFINITY};
    struct bucket *bucket = bucket_of(curve, step);
    if (!bucket)
        return false;
    if (!isfinite(value) && (curve->count + curve->odd == 0 || isfinite(curve->last)))
        curve->odd_since = step;
    curve->last = value;
    curve->last_step = step;
    if (!isfinite(value)) {
        curve->first_odd = curve->odd == 0 ? step : curve->first_odd;
        curve->odd++;
        bucket->odd++;
        return true;
    }
    const struct bucket one = {.sum = value, .low = value, .high = value, .count = 1};
    merge(bucket, &one);
    curve->count++;
    curve->low = fmin(curve->low, value);
    curve->high = fmax(curve->high, value);
    if (value > 0)
        curve->low_positive = fmin(curve->low_positive, value);
    return true;
}

void curve_fini(struct curve *curve) {
    free(curve->buckets);
}

double curve_step(const struct curve *curve, size_t bucket) {
    return (double)curve->origin + ((double)bucket + 0.5) * (double)curve->width - 0.5;
}

double curve_mean(const struct bucket *bucket) {
    /* Keeps the mean between the values if a sum overflows or is rounded. */
    const double mean = bucket->sum / bucket->count;
    return fmin(fmax(mean, bucket->low), bucket->high);
}

/* ---- histograms ---- */

/* Distributes the count of a bin over the bins of the columns that it overlaps. */
static void spread(struct column *column, double low, double high, double count) {
    const double width = (column->high - column->low) / RIDGE_BINS;
    const double from = (low - column->low) / width, to = (high - column->low) / width;
    if (!(count > 0) || !(to > from) || !isfinite(width))
        return;
    for (size_t i = from > 0 ? (size_t)from : 0; i < RIDGE_BINS && (double)i < to; i++) {
        const double inside = fmin(to, (double)i + 1) - fmax(from, (double)i);
        column->counts[i] += (float)(count * inside / (to - from));
    }
}

/* The next column, or NULL when out of memory. */
static struct column *next_column(struct ridge *ridge) {
    if (ridge->used == RIDGE_COLUMNS) {
        for (size_t i = 0; i < RIDGE_COLUMNS; i += 2)
            ridge->columns[i / 2] = ridge->columns[i];
        ridge->used = RIDGE_COLUMNS / 2;
        ridge->stride *= 2;
    }
    return NAUHA_GROW(ridge->columns, ridge->capacity, ridge->used + 1)
               ? &ridge->columns[ridge->used++]
               : NULL;
}

bool ridge_add(struct ridge *ridge, uint64_t step, const double *bins, size_t count) {
    ridge->stride = ridge->stride ? ridge->stride : 1;
    if (ridge->seen++ % ridge->stride != 0)
        return true;
    struct column *column = next_column(ridge);
    if (!column)
        return false;
    *column = (struct column){.step = step, .low = bins[0], .high = bins[3 * (count - 1) + 1]};
    for (size_t i = 0; i < count; i++)
        spread(column, bins[3 * i], bins[3 * i + 1], bins[3 * i + 2]);
    return true;
}

void ridge_fini(struct ridge *ridge) {
    free(ridge->columns);
}
