/* SPDX-License-Identifier: MIT */
/* For metrics and rules with a memory: a state for each tensor that is recorded step by step.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_ANALYZERS_SUPPORT_KEYS_H
#define NAUHA_ANALYZERS_SUPPORT_KEYS_H

#include <stdlib.h>
#include <string.h>

#include "nauha/array.h"
#include "nauha/message.h"

struct key {
    uint32_t kind, tag, module, slot, call, rank;
};

/* A table of states. Set state_bytes and leave the rest zero. A state does not move until the table
 * is freed. */
struct key_table {
    size_t state_bytes;
    size_t count, capacity;
    size_t latest; /* found last; as every step has the same order, the next one follows it */
    struct key_row {
        struct key key;
        void *state;
    } * rows;
};

/* The key of a message, but with the given kind: rules that combine kinds give 0. */
static inline struct key key_of(const struct nauha_message_info *info, uint32_t kind) {
    return (struct key){kind, info->tag, info->module, info->slot, info->call, info->rank};
}

static inline bool key_equal(const struct key *a, const struct key *b) {
    return a->kind == b->kind && a->tag == b->tag && a->module == b->module && a->slot == b->slot &&
           a->call == b->call && a->rank == b->rank;
}

/* The state of a key, which is zero if it is new; borrowed until key_table_fini. NULL when out of
 * memory. */
static inline void *key_table_get(struct key_table *table, struct key key) {
    for (size_t i = 0; i < table->count; i++) {
        const size_t position = (table->latest + 1 + i) % table->count;
        if (key_equal(&table->rows[position].key, &key)) {
            table->latest = position;
            return table->rows[position].state;
        }
    }
    if (!NAUHA_GROW(table->rows, table->capacity, table->count + 1))
        return NULL;
    void *state = calloc(1, table->state_bytes);
    if (!state)
        return NULL;
    table->latest = table->count;
    table->rows[table->count++] = (struct key_row){key, state};
    return state;
}

/* Frees the table. fini, which may be NULL, releases what a state holds. */
static inline void key_table_fini(struct key_table *table, void (*fini)(void *state)) {
    for (size_t i = 0; i < table->count; i++) {
        if (fini)
            fini(table->rows[i].state);
        free(table->rows[i].state);
    }
    free(table->rows);
}

#endif
