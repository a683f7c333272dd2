/* SPDX-License-Identifier: MIT */
/* What a health rule found in a training: one thing, however many steps it was seen in.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_FINDING_H
#define NAUHA_FINDING_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Strings are borrowed until nauha_pipeline_free and, but for module, never NULL. */
struct nauha_finding {
    const char *rule;   /* the analyzer's name */
    const char *spec;   /* the SPEC it was made by */
    const char *kind;   /* of the messages it was found in */
    const char *tag;    /* "default" for training */
    const char *module; /* NULL for the network */
    const char *module_class;
    const char *slot;
    uint32_t rank;
    uint64_t first_step, last_step; /* global steps */
    uint64_t count;                 /* how often it was found */
    const char *measure;            /* what was measured: "mean |gradient|" */
    double value;                   /* at first */
    double worst;                   /* farthest beyond the threshold; NaN is farther than all */
    uint64_t worst_step;
    double threshold;
    const char *meaning; /* one sentence: what it usually comes from */
};

#ifdef __cplusplus
}
#endif
#endif
