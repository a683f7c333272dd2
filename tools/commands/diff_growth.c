/* SPDX-License-Identifier: MIT */
/* How the difference of two traces grows; see diff_growth.h.
 *
 * Threads: the main thread.
 */
#include "tools/commands/diff_growth.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nauha/array.h"

#define LAST (GROWTH_COLUMNS - 1)

static const uint64_t after[LAST] = {0, 1, 10, 100, 1000, 10000, 100000, 1000000};

/* ---- finding a track ---- */

static size_t place_of(const struct growth *growth, uint32_t kind, uint32_t module, uint32_t slot) {
    uint64_t hash = kind;
    hash = hash * 0x9e3779b97f4a7c15u + module;
    hash = hash * 0x9e3779b97f4a7c15u + slot;
    size_t at = (size_t)(hash ^ hash >> 32) & (growth->bucket_count - 1);
    for (;;) {
        const size_t number = growth->buckets[at];
        if (number == 0)
            return at;
        const struct track *track = &growth->tracks[number - 1];
        if (track->kind == kind && track->module == module && track->slot == slot)
            return at;
        at = (at + 1) & (growth->bucket_count - 1);
    }
}

static bool make_room(struct growth *growth) {
    if (!NAUHA_GROW(growth->tracks, growth->capacity, growth->count + 1))
        return false;
    if (growth->bucket_count == 4 * growth->capacity)
        return true;
    size_t *buckets = calloc(4 * growth->capacity, sizeof *buckets);
    if (!buckets)
        return false;
    free(growth->buckets);
    growth->buckets = buckets;
    growth->bucket_count = 4 * growth->capacity;
    const struct track *tracks = growth->tracks;
    for (size_t i = 0; i < growth->count; i++)
        buckets[place_of(growth, tracks[i].kind, tracks[i].module, tracks[i].slot)] = i + 1;
    return true;
}

static struct track *track_of(struct growth *growth, const struct nauha_message_info *info,
                              bool kind) {
    if (!make_room(growth))
        return NULL;
    const uint32_t module = kind ? NAUHA_NONE : info->module;
    const uint32_t slot = kind ? NAUHA_NONE : info->slot;
    const size_t place = place_of(growth, info->kind, module, slot);
    if (growth->buckets[place] == 0) {
        growth->tracks[growth->count++] = (struct track){
            .kind = info->kind,
            .module = module,
            .slot = slot,
            .kind_name = info->kind_name,
            .module_name = kind ? "" : info->module_name,
            .slot_name = kind ? "" : info->slot_name,
            .stage = nauha_diff_stage(info),
            .step = UINT64_MAX,
        };
        growth->buckets[place] = growth->count;
    }
    return &growth->tracks[growth->buckets[place] - 1];
}

/* ---- taking ---- */

/* The larger of two differences; a number is more than the mere fact that there is a difference. */
static double larger(double a, double b) {
    if (a == GROWTH_UNKNOWN)
        return b > 0 ? b : a;
    if (b == GROWTH_UNKNOWN)
        return a > 0 ? a : b;
    return a > b ? a : b;
}

/* Columns show the last value up to their step, so those whose step has passed do not change. */
static void advance(const struct growth *growth, struct track *track, uint64_t step, double value) {
    track->now = track->step == step ? larger(track->now, value) : value;
    track->step = step;
    track->columns[LAST] = track->now;
    for (size_t i = 0; i < LAST; i++)
        if (!growth->any || step <= growth->first_step + after[i])
            track->columns[i] = track->now;
}

bool growth_take(struct growth *growth, const struct nauha_pair *pair) {
    const uint64_t step = pair->a->global_step;
    const bool differs = pair->sort != NAUHA_PAIR_EQUAL;
    const double value = pair->compared        ? nauha_difference_relative(&pair->difference)
                         : !isnan(pair->apart) ? pair->apart
                         : differs             ? GROWTH_UNKNOWN
                                               : 0;
    if (differs && !growth->any) {
        growth->any = true;
        growth->first_step = step;
    }
    growth->last_step = step;
    for (int kind = 0; kind < 2; kind++) {
        struct track *track = track_of(growth, pair->a, kind != 0);
        if (!track)
            return false;
        track->compared++;
        if (differs && track->differing++ == 0)
            track->first_step = step;
        /* Bits differ without a size of the difference: a NaN, or the sign of zero. */
        advance(growth, track, step, differs && value == 0 ? GROWTH_UNKNOWN : value);
    }
    return true;
}

void growth_fini(struct growth *growth) {
    free(growth->tracks);
    free(growth->buckets);
}

/* ---- showing ---- */

uint64_t growth_step(const struct growth *growth, size_t column) {
    return column == LAST ? growth->last_step : growth->first_step + after[column];
}

size_t growth_shown(const struct growth *growth, size_t shown[GROWTH_COLUMNS]) {
    size_t count = 0;
    for (size_t i = 0; i < LAST; i++)
        if (growth->first_step + after[i] < growth->last_step)
            shown[count++] = i;
    shown[count++] = LAST;
    return count;
}
