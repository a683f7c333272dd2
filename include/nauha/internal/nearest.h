/* SPDX-License-Identifier: MIT */
/* What somebody may have meant who typed a name that there is not.
 *
 *     struct nauha__nearest nearest = {.typed = name};
 *     for each name there is: nauha__nearest_try(&nearest, there_is);
 *     nauha_error_set(err, NAUHA_UNKNOWN, "no fruit \"%s\"%s", name,
 * nauha__did_you_mean(&nearest));
 *
 * Threads: any.
 */
#ifndef NAUHA_INTERNAL_NEAREST_H
#define NAUHA_INTERNAL_NEAREST_H

#include <stddef.h>

struct nauha__nearest {
    const char *typed; /* ends with a zero */
    const char *name;  /* the nearest name so far, borrowed; NULL: none is near */
    size_t distance;
    char text[96];
};

/* Names that begin with what was typed are nearest; else those of which few letters differ. */
void nauha__nearest_try(struct nauha__nearest *nearest, const char *name);

/* " (did you mean \"pear\"?)", or "" where no name is near; in `nearest`. */
const char *nauha__did_you_mean(struct nauha__nearest *nearest);

#endif
