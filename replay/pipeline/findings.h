/* SPDX-License-Identifier: MIT */
/* The findings of the rules of a pipeline: each once, with how often it was seen.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_REPLAY_PIPELINE_FINDINGS_H
#define NAUHA_REPLAY_PIPELINE_FINDINGS_H

#include "nauha/message.h"
#include "nauha/pipeline.h"

struct nauha__found;

struct nauha__findings {
    struct nauha__found *list; /* in the order they were first seen */
    size_t count, capacity;
    size_t latest;       /* the one that was seen last: the next one often follows it */
    nauha_finding_fn fn; /* called for each new one; NULL: none */
    void *context;
    char **frozen; /* patterns of the parameters that are not trained on purpose */
    size_t frozen_count, frozen_capacity;
};

/* Takes the patterns of frozen parameters, "features.*.weight", from a JSON array of texts; another
 * text has no effect. NOMEM. */
enum nauha_status nauha__findings_set_frozen(struct nauha__findings *findings, const char *json,
                                             struct nauha_error *err);
/* Whether a message is one of a parameter that is frozen. */
bool nauha__findings_is_frozen(const struct nauha__findings *findings,
                               const struct nauha_message_info *stamps);

/* Adds a finding, or counts it once more. rule and spec are borrowed until nauha__findings_fini;
 * measure and meaning are copied. The numbers in stamps are those of names. NOMEM. */
enum nauha_status nauha__findings_add(struct nauha__findings *findings,
                                      const struct nauha_names *names, const char *rule,
                                      const char *spec, const struct nauha_message_info *stamps,
                                      double value, double threshold, const char *measure,
                                      const char *meaning, struct nauha_error *err);
/* Gets a finding; false past the last. */
bool nauha__findings_get(const struct nauha__findings *findings, size_t position,
                         struct nauha_finding *finding);
void nauha__findings_fini(struct nauha__findings *findings);

#endif
