/* SPDX-License-Identifier: MIT */
/* Findings of rules; see findings.h. */
#include "replay/pipeline/findings.h"

#include <cjson/cJSON.h>
#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nauha/array.h"

struct nauha__found {
    uint32_t kind, tag, module, slot;
    char *measure, *meaning;
    struct nauha_finding finding; /* measure and meaning are those above */
};

static bool is(const struct nauha__found *found, const char *spec,
               const struct nauha_message_info *stamps, const char *measure, const char *meaning) {
    return found->kind == stamps->kind && found->tag == stamps->tag &&
           found->module == stamps->module && found->slot == stamps->slot &&
           found->finding.rank == stamps->rank && found->finding.spec == spec &&
           strcmp(found->measure, measure) == 0 && strcmp(found->meaning, meaning) == 0;
}

/* Rules visit the modules in the same order in every step, so the search begins after the finding
 * that was found last. */
static struct nauha__found *find(struct nauha__findings *findings, const char *spec,
                                 const struct nauha_message_info *stamps, const char *measure,
                                 const char *meaning) {
    for (size_t i = 0; i < findings->count; i++) {
        const size_t position = (findings->latest + 1 + i) % findings->count;
        if (is(&findings->list[position], spec, stamps, measure, meaning)) {
            findings->latest = position;
            return &findings->list[position];
        }
    }
    return NULL;
}

static void found_fini(struct nauha__found *found) {
    free(found->measure);
    free(found->meaning);
}

static struct nauha__found *append(struct nauha__findings *findings) {
    return NAUHA_GROW(findings->list, findings->capacity, findings->count + 1)
               ? &findings->list[findings->count]
               : NULL;
}

/* Whether a value exceeds the threshold further than another one, on the same side. A value at the
 * threshold is taken to come from below. */
static bool is_worse(double value, double than, double threshold) {
    if (isnan(value) || isnan(than))
        return isnan(value) && !isnan(than);
    return than >= threshold ? value > than : value < than;
}

enum nauha_status nauha__findings_add(struct nauha__findings *findings,
                                      const struct nauha_names *names, const char *rule,
                                      const char *spec, const struct nauha_message_info *stamps,
                                      double value, double threshold, const char *measure,
                                      const char *meaning, struct nauha_error *err) {
    struct nauha__found *found = find(findings, spec, stamps, measure, meaning);
    if (found) {
        struct nauha_finding *finding = &found->finding;
        finding->count++;
        finding->last_step = stamps->global_step;
        finding->threshold = threshold;
        if (is_worse(value, finding->worst, threshold)) {
            finding->worst = value;
            finding->worst_step = stamps->global_step;
        }
        return NAUHA_OK;
    }
    found = append(findings);
    if (!found)
        return nauha_error_nomem(err);
    *found = (struct nauha__found){.kind = stamps->kind,
                                   .tag = stamps->tag,
                                   .module = stamps->module,
                                   .slot = stamps->slot,
                                   .measure = strdup(measure),
                                   .meaning = strdup(meaning)};
    if (!found->measure || !found->meaning) {
        found_fini(found);
        return nauha_error_nomem(err);
    }
    const bool in_module = stamps->module != NAUHA_NONE;
    found->finding = (struct nauha_finding){
        .rule = rule,
        .spec = spec,
        .kind = nauha_names_kind(names, stamps->kind),
        .tag = nauha_names_tag(names, stamps->tag),
        .module = in_module ? nauha_names_module(names, stamps->module) : NULL,
        .module_class = in_module ? nauha_names_module_class(names, stamps->module) : "",
        .slot = nauha_names_slot(names, stamps->slot),
        .rank = stamps->rank,
        .first_step = stamps->global_step,
        .last_step = stamps->global_step,
        .count = 1,
        .measure = found->measure,
        .value = value,
        .worst = value,
        .worst_step = stamps->global_step,
        .threshold = threshold,
        .meaning = found->meaning};
    findings->latest = findings->count++;
    if (findings->fn)
        findings->fn(findings->context, &found->finding);
    return NAUHA_OK;
}

/* ---- frozen parameters ---- */

enum nauha_status nauha__findings_set_frozen(struct nauha__findings *findings, const char *json,
                                             struct nauha_error *err) {
    cJSON *list = cJSON_Parse(json);
    const cJSON *entry = NULL;
    enum nauha_status status = NAUHA_OK;
    cJSON_ArrayForEach(entry, list) {
        if (!cJSON_IsString(entry))
            continue;
        char *copy =
            NAUHA_GROW(findings->frozen, findings->frozen_capacity, findings->frozen_count + 1)
                ? strdup(entry->valuestring)
                : NULL;
        if (!copy) {
            status = nauha_error_nomem(err);
            break;
        }
        findings->frozen[findings->frozen_count++] = copy;
    }
    cJSON_Delete(list);
    return status;
}

bool nauha__findings_is_frozen(const struct nauha__findings *findings,
                               const struct nauha_message_info *stamps) {
    char name[NAUHA_MODULE_NAME_MAX + NAUHA_NAME_MAX + 2];
    if (findings->frozen_count == 0 || stamps->module == NAUHA_NONE)
        return false;
    snprintf(name, sizeof name, "%s%s%s", stamps->module_name, stamps->module_name[0] ? "." : "",
             stamps->slot_name);
    for (size_t i = 0; i < findings->frozen_count; i++)
        if (fnmatch(findings->frozen[i], name, 0) == 0)
            return true;
    return false;
}

bool nauha__findings_get(const struct nauha__findings *findings, size_t position,
                         struct nauha_finding *finding) {
    if (position >= findings->count)
        return false;
    *finding = findings->list[position].finding;
    return true;
}

void nauha__findings_fini(struct nauha__findings *findings) {
    for (size_t i = 0; i < findings->count; i++)
        found_fini(&findings->list[i]);
    free(findings->list);
    for (size_t i = 0; i < findings->frozen_count; i++)
        free(findings->frozen[i]);
    free(findings->frozen);
    *findings = (struct nauha__findings){0};
}
