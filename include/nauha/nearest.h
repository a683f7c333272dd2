/* SPDX-License-Identifier: MIT */
/* A suggestion for a name that does not exist: the existing name that is nearest to it.
 *
 *     struct nauha_nearest nearest = {.typed = name};
 *     for each existing name: nauha_nearest_try(&nearest, existing);
 *     nauha_error_set(err, NAUHA_UNKNOWN, "no fruit \"%s\"%s", name,
 *                     nauha_did_you_mean(&nearest));
 *
 * Threads: any thread.
 */
#ifndef NAUHA_NEAREST_H
#define NAUHA_NEAREST_H

#include <stddef.h>

#include "nauha/status.h"

#ifdef __cplusplus
extern "C" {
#endif

struct nauha_nearest {
    const char *typed; /* the name that does not exist; borrowed */
    const char *name;  /* the nearest existing name so far, borrowed; NULL: none is near */
    size_t distance;   /* of `name` */
    char text[96];     /* for nauha_did_you_mean */
};

/* Keeps name if it is nearer than all before. The distance of a name that begins with the typed one
 * is 0; else it is the number of letters to insert, delete or replace (Levenshtein). */
NAUHA_API void nauha_nearest_try(struct nauha_nearest *nearest, const char *name);

/* " (did you mean \"pear\"?)", or "" if no name is near. Borrowed from nearest. */
NAUHA_API const char *nauha_did_you_mean(struct nauha_nearest *nearest);

#ifdef __cplusplus
}
#endif

#endif
