/* SPDX-License-Identifier: MIT */
/* Health rules from the command line; see rules.h.
 *
 * Threads: the main thread.
 */
#include "tools/commands/rules.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "nauha/nearest.h"
#include "tools/cli/table.h"
#include "tools/cli/text.h"

/* Number of places of one finding that are printed. */
#define SHOWN 10u

/* ---- adding ---- */

static const struct nauha_analyzer *rule_at(const struct nauha_pipeline *pipeline,
                                            size_t *position) {
    const struct nauha_analyzer *analyzer;
    while ((analyzer = nauha_pipeline_analyzer(pipeline, (*position)++)) != NULL)
        if (analyzer->flags & NAUHA_ANALYZER_RULE)
            return analyzer;
    return NULL;
}

enum nauha_status nauha__rule_add(struct nauha_pipeline *pipeline, const char *spec,
                                  struct nauha_error *err) {
    char names[800] = "", typed[81];
    const size_t length = strcspn(spec, ":");
    struct nauha_nearest nearest = {.typed = typed};
    const struct nauha_analyzer *rule;
    snprintf(typed, sizeof typed, "%.*s", (int)(length < 80 ? length : 80), spec);
    for (size_t i = 0; (rule = rule_at(pipeline, &i)) != NULL;) {
        if (strlen(rule->name) == length && strncmp(rule->name, spec, length) == 0)
            return nauha_pipeline_add_metric(pipeline, spec, err);
        const size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", rule->name);
        nauha_nearest_try(&nearest, rule->name);
    }
    return nauha_error_set(err, NAUHA_UNKNOWN, "there is no rule \"%s\"%s; rules: %s", typed,
                           nauha_did_you_mean(&nearest), names);
}

/* Whether a SPEC names the rule whose name these bytes are. */
static bool is_spec_of(const char *spec, const char *name, size_t length) {
    return strcspn(spec, ":") == length && strncmp(spec, name, length) == 0;
}

static bool is_given(const struct invocation *invocation, const char *name, size_t length) {
    for (size_t i = 0; i < invocation->given_count; i++) {
        if (strcmp(invocation->given[i].option->name, "rule") == 0 &&
            is_spec_of(invocation->given[i].value, name, length))
            return true;
    }
    return false;
}

enum nauha_status nauha__rules_add_given(struct nauha_pipeline *pipeline,
                                         const struct invocation *invocation,
                                         struct nauha_error *err) {
    enum nauha_status status = NAUHA_OK;
    for (size_t i = 0; i < invocation->given_count && status == NAUHA_OK; i++) {
        if (strcmp(invocation->given[i].option->name, "rule") == 0)
            status = nauha__rule_add(pipeline, invocation->given[i].value, err);
    }
    const char *name = nauha__get(invocation, "stop-on", "");
    while (*name && status == NAUHA_OK) {
        char spec[NAUHA_NAME_MAX + 1];
        const size_t length = strcspn(name, ",");
        snprintf(spec, sizeof spec, "%.*s", (int)length, name);
        if (!is_given(invocation, name, length))
            status = nauha__rule_add(pipeline, spec, err);
        name += length + (name[length] == ',');
    }
    return status;
}

bool nauha__rules_stop_on(const struct invocation *invocation, const char *rule) {
    const char *name = nauha__get(invocation, "stop-on", "");
    while (*name) {
        const size_t length = strcspn(name, ",");
        if (strlen(rule) == length && strncmp(name, rule, length) == 0)
            return true;
        name += length + (name[length] == ',');
    }
    return false;
}

/* The SPEC of a rule: NAME, or NAME:KIND,KIND with the kinds that the trace has. Returns false if
 * the rule cannot run. */
static bool default_spec(const struct nauha_analyzer *rule, nauha__has_fn has, void *context,
                         char *spec, size_t bytes) {
    const bool choice = rule->max_kinds > 0 && !(rule->flags & NAUHA_ANALYZER_SYNCHRONIZED);
    size_t count = 0;
    snprintf(spec, bytes, "%s", rule->name);
    for (const char *const *kind = rule->default_kinds; kind && *kind; kind++) {
        const bool there = has(context, rule, *kind);
        if (!there && !choice)
            return false;
        const size_t used = strlen(spec);
        if (there && choice)
            snprintf(spec + used, bytes - used, "%c%s", count ? ',' : ':', *kind);
        count += there;
    }
    return count > 0;
}

enum nauha_status nauha__rules_add_all(struct nauha_pipeline *pipeline, nauha__has_fn has,
                                       void (*without)(void *context, const char *rule),
                                       void *context, struct nauha_error *err) {
    char spec[1024];
    enum nauha_status status = NAUHA_OK;
    const struct nauha_analyzer *rule;
    for (size_t i = 0; status == NAUHA_OK && (rule = rule_at(pipeline, &i)) != NULL;) {
        if (default_spec(rule, has, context, spec, sizeof spec))
            status = nauha_pipeline_add_metric(pipeline, spec, err);
        else
            without(context, rule->name);
    }
    return status;
}

/* ---- telling ---- */

const char *nauha__place_text(const struct nauha_finding *finding, bool ranks, char *text,
                              size_t bytes) {
    const char *module = !finding->module      ? "network"
                         : !finding->module[0] ? "(root)"
                                               : finding->module;
    snprintf(text, bytes, "%s%s%s", module, finding->slot[0] ? " " : "", finding->slot);
    size_t used = strlen(text);
    if (strcmp(finding->tag, "default") != 0)
        snprintf(text + used, bytes - used, ", tag %s", finding->tag);
    used = strlen(text);
    if (ranks)
        snprintf(text + used, bytes - used, ", rank %" PRIu32, finding->rank);
    return text;
}

/* "step 3", "steps 3 to 59, 57 times" */
static const char *steps_text(const struct nauha_finding *finding, char *text, size_t bytes) {
    char times[32] = "";
    if (finding->count > 1)
        snprintf(times, sizeof times, ", %" PRIu64 " times", finding->count);
    if (finding->first_step == finding->last_step)
        snprintf(text, bytes, "step %" PRIu64 "%s", finding->first_step, times);
    else
        snprintf(text, bytes, "steps %" PRIu64 " to %" PRIu64 "%s", finding->first_step,
                 finding->last_step, times);
    return text;
}

static const struct column place_columns[] = {
    {.flags = TABLE_CUT}, {.flags = TABLE_CUT}, {.flags = TABLE_WRAP}};

static void add_place(struct table *table, const struct nauha_finding *finding, bool ranks) {
    char place[512], steps[96], worst[80] = "";
    if (finding->worst_step != finding->first_step)
        snprintf(worst, sizeof worst, ", worst %.4g at step %" PRIu64,
                 nauha__printable(finding->worst), finding->worst_step);
    nauha__table_cell(table, COLOUR_BOLD, "%s",
                      nauha__place_text(finding, ranks, place, sizeof place));
    nauha__table_cell(table, COLOUR_NAME, "%s", finding->kind);
    nauha__table_cell(table, COLOUR_PLAIN, "%s: %s = %.4g, threshold %.4g%s",
                      steps_text(finding, steps, sizeof steps), finding->measure,
                      nauha__printable(finding->value), finding->threshold, worst);
}

bool nauha__same_sentence(const struct nauha_finding *a, const struct nauha_finding *b) {
    return strcmp(a->spec, b->spec) == 0 && strcmp(a->meaning, b->meaning) == 0;
}

size_t nauha__next_sentence(const struct nauha_pipeline *pipeline, size_t position) {
    struct nauha_finding finding, other;
    for (; nauha_pipeline_finding(pipeline, position, &finding); position++) {
        bool repeated = false;
        for (size_t i = 0; i < position && !repeated; i++)
            repeated = nauha_pipeline_finding(pipeline, i, &other) &&
                       nauha__same_sentence(&other, &finding);
        if (!repeated)
            return position;
    }
    return SIZE_MAX;
}

/* Prints the sentence of the finding at `position`, and all places to which it applies. */
static void print_group(FILE *stream, const struct nauha_pipeline *pipeline, size_t position,
                        bool ranks) {
    struct nauha_finding head, finding;
    size_t count = 0;
    nauha_pipeline_finding(pipeline, position, &head);
    fprintf(stream, "%s%s%s: ", nauha__colour(stream, COLOUR_BAD), head.rule,
            nauha__colour(stream, COLOUR_PLAIN));
    nauha__text_wrap(stream, head.meaning, 0, (int)strlen(head.rule) + 2,
                     nauha__prose_width(stream));
    fputc('\n', stream);
    struct table *table = nauha__table_new(stream, place_columns, 3, 2);
    for (size_t i = position; nauha_pipeline_finding(pipeline, i, &finding); i++) {
        if (nauha__same_sentence(&head, &finding) && count++ < SHOWN)
            add_place(table, &finding, ranks);
    }
    nauha__table_end(table);
    if (count > SHOWN)
        fprintf(stream, "  and %zu more; \"nauha check --json\" lists all\n", count - SHOWN);
}

void nauha__findings_print(FILE *stream, const struct nauha_pipeline *pipeline) {
    struct nauha_finding finding;
    bool ranks = false;
    for (size_t i = 0; nauha_pipeline_finding(pipeline, i, &finding); i++)
        ranks = ranks || finding.rank > 0;
    for (size_t i = nauha__next_sentence(pipeline, 0); i != SIZE_MAX;
         i = nauha__next_sentence(pipeline, i + 1))
        print_group(stream, pipeline, i, ranks);
}
