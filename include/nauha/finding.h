/* SPDX-License-Identifier: MIT */
/* A finding of a health rule: one problem of a training, however many steps it was seen in.
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
    const char *spec;   /* the SPEC of the rule */
    const char *kind;   /* of the messages that show it */
    const char *tag;    /* "default" for training */
    const char *module; /* NULL for the network */
    const char *module_class;
    const char *slot;
    uint32_t rank;
    uint64_t first_step, last_step; /* global steps */
    uint64_t count;                 /* how often the rule reported it */
    const char *measure;            /* the measured quantity: "mean |gradient|" */
    double value;                   /* in first_step */
    double worst;                   /* the value farthest beyond the threshold; NaN is farthest */
    uint64_t worst_step;
    double threshold;    /* of the latest report */
    const char *meaning; /* the usual cause, in one sentence */
};

#ifdef __cplusplus
}
#endif
#endif
