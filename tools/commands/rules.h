/* SPDX-License-Identifier: MIT */
/* Health rules on the command line: adding them to a pipeline, and printing what they found.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_COMMANDS_RULES_H
#define NAUHA_TOOLS_COMMANDS_RULES_H

#include <stdio.h>

#include "nauha/pipeline.h"
#include "tools/cli/command.h"

/* Adds the rule of a SPEC. UNKNOWN: there is no such rule; the error lists those that there are. */
enum nauha_status nauha__rule_add(struct nauha_pipeline *pipeline, const char *spec,
                                  struct nauha_error *err);

/* Adds the rules of --rule, and those of --stop-on that are not among them, with their default
 * parameters. */
enum nauha_status nauha__rules_add_given(struct nauha_pipeline *pipeline,
                                         const struct invocation *invocation,
                                         struct nauha_error *err);
/* Whether --stop-on lists this rule. */
bool nauha__rules_stop_on(const struct invocation *invocation, const char *rule);

/* Whether there is what a rule needs of a kind. */
typedef bool (*nauha__has_fn)(void *context, const struct nauha_analyzer *rule, const char *kind);

/* Adds every rule with its defaults, for those of its kinds for which `has` returns true; calls
 * `without` for each rule without any such kind. */
enum nauha_status nauha__rules_add_all(struct nauha_pipeline *pipeline, nauha__has_fn has,
                                       void (*without)(void *context, const char *rule),
                                       void *context, struct nauha_error *err);

/* Writes the place of a finding into text: "features.0 weight", "(root)", "network"; with the tag
 * if it is not the default one, and with the rank if `ranks` is set. Returns text. */
const char *nauha__place_text(const struct nauha_finding *finding, bool ranks, char *text,
                              size_t bytes);

/* Whether two findings are printed as one sentence with several places. */
bool nauha__same_sentence(const struct nauha_finding *a, const struct nauha_finding *b);
/* The first finding at or after `position` whose sentence no earlier finding has; SIZE_MAX: there
 * is none. */
size_t nauha__next_sentence(const struct nauha_pipeline *pipeline, size_t position);

/* Prints the findings: each sentence once, with its places below it. */
void nauha__findings_print(FILE *stream, const struct nauha_pipeline *pipeline);

#endif
