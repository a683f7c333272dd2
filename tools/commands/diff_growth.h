/* SPDX-License-Identifier: MIT */
/* How the difference of two traces grows over the steps: for each kind, and for each kind, module
 * and slot, a few numbers at steps that lie further and further apart.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_COMMANDS_DIFF_GROWTH_H
#define NAUHA_TOOLS_COMMANDS_DIFF_GROWTH_H

#include "nauha/diff.h"

/* The columns are the steps 0, 1, 10, 100 and so on after the first step that differs; the last
 * column is the last step. */
#define GROWTH_COLUMNS 9u
/* In place of a number: the values differ, but it is not known by how much. */
#define GROWTH_UNKNOWN (-1.0)

struct track {
    uint32_t kind, module, slot; /* of a's names; NAUHA_NONE: all modules and slots */
    const char *kind_name, *module_name, *slot_name;
    unsigned stage; /* nauha_diff_stage of its first message */
    uint64_t compared, differing;
    uint64_t first_step; /* that differs */
    uint64_t step;       /* last compared */
    double now;          /* the largest difference in that step */
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

/* Adds a pair of messages that both traces have. False: out of memory. */
bool growth_take(struct growth *growth, const struct nauha_pair *pair);
void growth_fini(struct growth *growth);

/* Whether a track is that of a whole kind. */
static inline bool growth_is_kind(const struct track *track) {
    return track->slot == NAUHA_NONE;
}

/* The columns that a table of this growth has, in order, as positions in track->columns. Returns
 * how many there are; growth_step gives the step of each. */
size_t growth_shown(const struct growth *growth, size_t shown[GROWTH_COLUMNS]);
uint64_t growth_step(const struct growth *growth, size_t column);

#endif
