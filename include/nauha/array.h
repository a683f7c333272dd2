/* SPDX-License-Identifier: MIT */
/* Arrays that grow.
 *
 * Threads: any thread; an array is used by one thread at a time.
 */
#ifndef NAUHA_ARRAY_H
#define NAUHA_ARRAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* Makes room for at least `wanted` items in an array: `items`, a pointer that is NULL at first, and
 * `capacity`, a size_t that is 0 at first. The caller releases items with free. Returns false, and
 * leaves both as they are, when out of memory or if the array would exceed SIZE_MAX bytes.
 *
 *     if (!NAUHA_GROW(list->items, list->capacity, list->count + 1))
 *         return false;
 *     list->items[list->count++] = item;
 */
#define NAUHA_GROW(items, capacity, wanted)                                                        \
    nauha_grow(&(items), &(capacity), (wanted), sizeof *(items))

/* The function behind NAUHA_GROW; `items` is the address of a pointer to items of `size` bytes. It
 * at least doubles the capacity, so that appending items one by one takes linear time. */
static inline bool nauha_grow(void *items, size_t *capacity, size_t wanted, size_t size) {
    if (wanted <= *capacity)
        return true;
    const size_t room = wanted / 2 < *capacity ? 2 * *capacity : wanted;
    size_t bytes;
    if (__builtin_mul_overflow(room, size, &bytes))
        return false;
    void *moved; /* copied: C does not allow reading a pointer to another type as a void * */
    memcpy(&moved, items, sizeof moved);
    moved = realloc(moved, bytes);
    if (!moved)
        return false;
    memcpy(items, &moved, sizeof moved);
    *capacity = room;
    return true;
}

/* As NAUHA_GROW; items that were not there before are zero. */
#define NAUHA_GROW_ZEROED(items, capacity, wanted)                                                 \
    nauha_grow_zeroed(&(items), &(capacity), (wanted), sizeof *(items))

static inline bool nauha_grow_zeroed(void *items, size_t *capacity, size_t wanted, size_t size) {
    const size_t before = *capacity;
    if (!nauha_grow(items, capacity, wanted, size))
        return false;
    if (*capacity > before) {
        char *first;
        memcpy(&first, items, sizeof first);
        memset(first + before * size, 0, (*capacity - before) * size);
    }
    return true;
}

#endif
