/* SPDX-License-Identifier: MIT */
/* What somebody may have meant who typed a name that there is not.
 *
 *     struct nauha_nearest nearest = {.typed = name};
 *     for each name there is: nauha_nearest_try(&nearest, there_is);
 *     nauha_error_set(err, NAUHA_UNKNOWN, "no fruit \"%s\"%s", name,
 *                     nauha_did_you_mean(&nearest));
 *
 * Threads: any.
 */
#ifndef NAUHA_NEAREST_H
#define NAUHA_NEAREST_H

#include <stddef.h>

#include "nauha/status.h"

#ifdef __cplusplus
extern "C" {
#endif

struct nauha_nearest {
    const char *typed; /* ends with a zero */
    const char *name;  /* the nearest name so far, borrowed; NULL: none is near */
    size_t distance;
    char text[96];
};

/* Names that begin with what was typed are nearest; else those of which few letters differ. */
NAUHA_API void nauha_nearest_try(struct nauha_nearest *nearest, const char *name);

/* " (did you mean \"pear\"?)", or "" where no name is near; in `nearest`. */
NAUHA_API const char *nauha_did_you_mean(struct nauha_nearest *nearest);

#ifdef __cplusplus
}
#endif

#endif
