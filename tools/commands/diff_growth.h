/* SPDX-License-Identifier: MIT */
/* How the difference of two traces grows over the steps, by kind, and by kind, module and slot: a
 * few numbers of each, at steps that lie ever further apart.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_COMMANDS_DIFF_GROWTH_H
#define NAUHA_TOOLS_COMMANDS_DIFF_GROWTH_H

#include "nauha/diff.h"

/* Steps after the first that differs: 0, 1, 10, 100, ...; the last column is the last step. */
#define GROWTH_COLUMNS 9u
/* In place of a number: they differ, and by how much is not known. */
#define GROWTH_UNKNOWN (-1.0)

struct track {
    uint32_t kind, module, slot; /* of a's names; slot and module of a kind's: NAUHA_NONE */
    const char *kind_name, *module_name, *slot_name;
    unsigned stage; /* of its first message: see nauha_diff_stage */
    uint64_t compared, differing;
    uint64_t first_step; /* that differs */
    uint64_t step;       /* last compared */
    double now;          /* in it, the largest */
    double columns[GROWTH_COLUMNS];
};

struct growth {
    struct track *tracks; /* in order of first appearance */
    size_t count, capacity;
    size_t *buckets; /* of the tracks by number; positions plus one */
    size_t bucket_count;
    bool any;            /* a message differs */
    uint64_t first_step; /* the first such */
    uint64_t last_step;  /* compared */
};

/* Takes a pair that both traces have. False: out of memory. */
bool growth_take(struct growth *growth, const struct nauha_pair *pair);
void growth_fini(struct growth *growth);

/* Whether a track is a kind's. */
static inline bool growth_is_kind(const struct track *track) {
    return track->slot == NAUHA_NONE;
}

/* The columns that a table of this growth has, in order: positions in track->columns. The step of
 * each is growth_step's. Returns how many. */
size_t growth_shown(const struct growth *growth, size_t shown[GROWTH_COLUMNS]);
uint64_t growth_step(const struct growth *growth, size_t column);

#endif
