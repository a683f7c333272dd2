/* SPDX-License-Identifier: MIT */
/* Arrays that grow.
 *
 * Threads: an array belongs to its caller.
 */
#ifndef NAUHA_ARRAY_H
#define NAUHA_ARRAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* Makes room for `wanted` items. `items` points to them, NULL at first, and is released with free;
 * `capacity` is a size_t, 0 at first. False: out of memory, or more than SIZE_MAX bytes, and both
 * are as they were.
 *
 *     if (!NAUHA_GROW(list->items, list->capacity, list->count + 1))
 *         return false;
 *     list->items[list->count++] = item;
 */
#define NAUHA_GROW(items, capacity, wanted)                                                        \
    nauha_grow(&(items), &(capacity), (wanted), sizeof *(items))

/* What NAUHA_GROW calls; `items` is the address of a pointer to items of `size` bytes. The capacity
 * is at least doubled, so that appending one item at a time takes linear time. */
static inline bool nauha_grow(void *items, size_t *capacity, size_t wanted, size_t size) {
    if (wanted <= *capacity)
        return true;
    const size_t room = wanted / 2 < *capacity ? 2 * *capacity : wanted;
    size_t bytes;
    if (__builtin_mul_overflow(room, size, &bytes))
        return false;
    void *moved; /* copied, for a pointer to another type may not be read as a void pointer */
    memcpy(&moved, items, sizeof moved);
    moved = realloc(moved, bytes);
    if (!moved)
        return false;
    memcpy(items, &moved, sizeof moved);
    *capacity = room;
    return true;
}

#endif
