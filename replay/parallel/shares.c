/* SPDX-License-Identifier: MIT */
/* Sharing out pairs of a group of kinds and a module between parts; see shares.h. Messages that lie
 * side by side in a trace are decoded together, so each part is a sequence of modules in the order
 * in which they come.
 *
 * Threads: one at a time until nauha__shares_divide has returned, then any thread.
 */
#include "replay/parallel/shares.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

struct unit {
    uint64_t work;
    size_t came; /* the position, from 1, in the order in which units came; 0: it did not come */
    uint32_t part;
};

struct nauha__shares {
    uint32_t kinds, modules;
    uint32_t *group;    /* by kind: the first kind of its group; NAUHA_NONE: no metric takes it */
    struct unit *units; /* by group and module; those of the network come first */
    size_t came;
};

struct nauha__shares *nauha__shares_new(const struct nauha_names *names) {
    struct nauha__shares *shares = calloc(1, sizeof *shares);
    if (!shares)
        return NULL;
    shares->kinds = nauha_names_kinds(names);
    shares->modules = nauha_names_modules(names);
    const size_t count = (size_t)shares->kinds * ((size_t)shares->modules + 1);
    shares->group = malloc(shares->kinds * sizeof *shares->group);
    shares->units = calloc(count, sizeof *shares->units);
    if (!shares->group || !shares->units) {
        nauha__shares_free(shares);
        return NULL;
    }
    for (uint32_t kind = 0; kind < shares->kinds; kind++)
        shares->group[kind] = NAUHA_NONE;
    return shares;
}

void nauha__shares_free(struct nauha__shares *shares) {
    if (!shares)
        return;
    free(shares->group);
    free(shares->units);
    free(shares);
}

void nauha__shares_take(struct nauha__shares *shares, const uint32_t *kinds, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (shares->group[kinds[i]] == NAUHA_NONE)
            shares->group[kinds[i]] = kinds[i];
        const uint32_t from = shares->group[kinds[i]], to = shares->group[kinds[0]];
        for (uint32_t kind = 0; kind < shares->kinds; kind++) {
            if (shares->group[kind] == from)
                shares->group[kind] = to;
        }
    }
}

void nauha__shares_link(struct nauha__shares *shares, uint32_t one, uint32_t other) {
    const uint32_t kinds[2] = {one, other};
    if (shares->group[one] != NAUHA_NONE && shares->group[other] != NAUHA_NONE)
        nauha__shares_take(shares, kinds, 2);
}

/* NULL: no metric takes it. */
static struct unit *find(const struct nauha__shares *shares, uint32_t kind, uint32_t module) {
    if (kind >= shares->kinds || shares->group[kind] == NAUHA_NONE)
        return NULL;
    const size_t column = module < shares->modules ? (size_t)module + 1 : 0;
    return &shares->units[shares->group[kind] * ((size_t)shares->modules + 1) + column];
}

void nauha__shares_count(struct nauha__shares *shares, uint32_t kind, uint32_t module,
                         uint64_t work) {
    struct unit *unit = find(shares, kind, module);
    if (!unit)
        return;
    unit->work += work;
    if (unit->came == 0)
        unit->came = ++shares->came;
}

/* The units that have work, group by group. */
struct row {
    size_t count;
    struct unit *units[];
};

static int by_coming(const void *a, const void *b) {
    const struct unit *left = *(struct unit *const *)a, *right = *(struct unit *const *)b;
    return (left->came > right->came) - (left->came < right->came);
}

static struct row *line_up(const struct nauha__shares *shares) {
    const size_t columns = (size_t)shares->modules + 1;
    struct row *row = malloc(sizeof *row + shares->came * sizeof *row->units);
    if (!row)
        return NULL;
    row->count = 0;
    for (uint32_t kind = 0; kind < shares->kinds; kind++) {
        const size_t first = row->count;
        for (size_t i = 0; i < columns; i++) {
            struct unit *unit = &shares->units[kind * columns + i];
            if (unit->came > 0)
                row->units[row->count++] = unit;
        }
        if (row->count > first)
            qsort(row->units + first, row->count - first, sizeof *row->units, by_coming);
    }
    return row;
}

/* Fills one part after the other, none with more than `limit`. Returns how many parts that
 * takes. */
static uint32_t fill(const struct row *row, uint64_t limit) {
    uint32_t part = 0;
    uint64_t load = 0;
    for (size_t i = 0; i < row->count; i++) {
        if (load > 0 && row->units[i]->work > limit - load) {
            part++;
            load = 0;
        }
        row->units[i]->part = part;
        load += row->units[i]->work;
    }
    return part + 1;
}

enum nauha_status nauha__shares_divide(struct nauha__shares *shares, uint32_t most, uint32_t *parts,
                                       struct nauha_error *err) {
    struct row *row = line_up(shares);
    if (!row)
        return nauha_error_nomem(err);
    uint64_t low = 1, high = 1; /* bounds of the work of the largest part */
    for (size_t i = 0; i < row->count; i++) {
        high += row->units[i]->work;
        if (row->units[i]->work > low)
            low = row->units[i]->work;
    }
    while (low < high) {
        const uint64_t middle = low + (high - low) / 2;
        if (fill(row, middle) <= most)
            high = middle;
        else
            low = middle + 1;
    }
    *parts = fill(row, high);
    free(row);
    return NAUHA_OK;
}

uint32_t nauha__shares_part(const struct nauha__shares *shares, uint32_t kind, uint32_t module) {
    const struct unit *unit = find(shares, kind, module);
    return unit ? unit->part : NAUHA_NONE;
}

uint64_t nauha__shares_hash_text(uint64_t hash, const char *text) {
    return XXH3_64bits_withSeed(text, strlen(text), hash);
}

uint64_t nauha__shares_hash(const struct nauha__shares *shares) {
    uint64_t hash = XXH3_64bits(shares->group, shares->kinds * sizeof *shares->group);
    const size_t count = (size_t)shares->kinds * ((size_t)shares->modules + 1);
    for (size_t i = 0; i < count; i++) {
        const uint64_t unit[2] = {shares->units[i].work, shares->units[i].part};
        if (shares->units[i].came > 0)
            hash = XXH3_64bits_withSeed(unit, sizeof unit, hash);
    }
    return hash;
}
