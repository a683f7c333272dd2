/* SPDX-License-Identifier: MIT */
/* Health rules from the command line: adding them to a pipeline, and telling what they found.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_COMMANDS_RULES_H
#define NAUHA_TOOLS_COMMANDS_RULES_H

#include <stdio.h>

#include "nauha/pipeline.h"
#include "tools/cli/command.h"

/* Adds the rule of a SPEC. UNKNOWN: it is no rule, listing those there are. */
enum nauha_status nauha__rule_add(struct nauha_pipeline *pipeline, const char *spec,
                                  struct nauha_error *err);

/* Adds the rules of --rule, and those of --stop-on that are not among them, with their defaults. */
enum nauha_status nauha__rules_add_given(struct nauha_pipeline *pipeline,
                                         const struct invocation *invocation,
                                         struct nauha_error *err);
/* Whether --stop-on lists this rule. */
bool nauha__rules_stop_on(const struct invocation *invocation, const char *rule);

/* Adds every rule there is with its defaults, on those of its kinds that `has` says are there;
 * calls without for each that has none. */
enum nauha_status nauha__rules_add_all(struct nauha_pipeline *pipeline,
                                       bool (*has)(void *context, const char *kind),
                                       void (*without)(void *context, const char *rule),
                                       void *context, struct nauha_error *err);

/* "features.0 weight", "(root)", "network"; with the tag and, for many, the rank where they say
 * something. Returns text. */
const char *nauha__place_text(const struct nauha_finding *finding, bool ranks, char *text,
                              size_t bytes);

/* Whether two findings are told by one sentence, of several places. */
bool nauha__same_sentence(const struct nauha_finding *a, const struct nauha_finding *b);
/* The first finding from `position` on whose sentence none before it has; SIZE_MAX: no more. */
size_t nauha__next_sentence(const struct nauha_pipeline *pipeline, size_t position);

/* Prints what was found, each rule's sentence once with the places below it. */
void nauha__findings_print(FILE *stream, const struct nauha_pipeline *pipeline);

#endif
