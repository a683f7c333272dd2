/* SPDX-License-Identifier: MIT */
/* A SPEC, NAME:KIND[,KIND...][:key=value...], parsed and checked against a metric's descriptor.
 *
 * Threads: any thread; an object has one owner.
 */
#ifndef NAUHA_REPLAY_PIPELINE_SPEC_H
#define NAUHA_REPLAY_PIPELINE_SPEC_H

#include "nauha/analyzer.h"

struct nauha__spec {
    char *text; /* as given */
    const struct nauha_analyzer *analyzer;
    const char **kinds; /* never empty strings, each once */
    size_t kind_count;
    union nauha_value *values; /* in the order of the analyzer's parameters */
    /* The keys that every metric takes. If an analyzer's own table has one of these names, it gives
     * that key another default. */
    uint64_t subsample, every;
    const char *tag;
    bool has_ylims;
    double y_low, y_high; /* NaN: automatic */
    int log;              /* 0 or 1; -1: as the metric says */
    char *words;          /* what the pointers above point into */
};

/* Parses a SPEC. names is used only to list the known topics in errors. UNKNOWN: there is no such
 * metric or key; the error lists those there are. INVALID: kinds or values do not fit; the error
 * says which do. Caller owns *spec, release with nauha__spec_free; text is copied. */
enum nauha_status nauha__spec_parse(const char *text, const struct nauha_analyzer *const *analyzers,
                                    size_t analyzer_count, const struct nauha_names *names,
                                    struct nauha__spec **spec, struct nauha_error *err);
void nauha__spec_free(struct nauha__spec *spec);

/* The keys every metric takes. */
const struct nauha_analyzer_parameter *nauha__spec_common_keys(size_t *count);

/* A list of words in a buffer of fixed size, "a, b, c"; it ends in "..." if there was no room for
 * all. */
struct nauha__list {
    char text[900];
    size_t length;
    bool full;
};
#define NAUHA__LIST_INIT                                                                           \
    { "", 0, false }
void nauha__list_add(struct nauha__list *list, const char *format, ...) NAUHA_PRINTF(2, 3);

#endif
