/* SPDX-License-Identifier: MIT */
/* For analyzers of any number of kinds: a topic for each kind.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_ANALYZERS_SUPPORT_KINDS_H
#define NAUHA_ANALYZERS_SUPPORT_KINDS_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nauha/analyzer.h"

/* The largest number of kinds in a SPEC. */
#define KINDS_MAX 64u

struct kind_topics {
    size_t count;
    struct {
        char name[NAUHA_NAME_MAX + 1];
        uint32_t kind;  /* its number, NAUHA_NONE until a message has come */
        uint32_t topic; /* what is published for it */
    } rows[KINDS_MAX];
};

/* The limits of the y axis. */
enum kind_axis {
    KIND_AXIS_FREE,    /* at the values */
    KIND_AXIS_COUNT,   /* begins at 0 */
    KIND_AXIS_FRACTION /* from 0 to 1 */
};

/* What the topics of all kinds have in common. */
struct kind_topics_plan {
    const char *suffix; /* of the topics: KIND SUFFIX */
    enum nauha_scope scope;
    enum nauha_form form;
    const char *title; /* "TITLE of KIND" */
    const char *note;  /* what follows the title, such as " (p = 2)"; NULL: nothing */
    const char *ylabel;
    enum kind_axis axis;
    bool log_y;
};

/* Registers the topic KIND SUFFIX for each kind of the SPEC. */
static inline enum nauha_status kind_topics_register(struct kind_topics *topics,
                                                     const struct nauha_host *host,
                                                     const struct nauha_analyzer_config *config,
                                                     const struct kind_topics_plan *plan,
                                                     struct nauha_error *err) {
    topics->count = 0;
    for (size_t i = 0; i < config->kind_count; i++) {
        const char *kind = config->kinds[i];
        char name[2 * NAUHA_NAME_MAX], title[4 * NAUHA_NAME_MAX];
        const struct nauha_plot plot = {.title = title,
                                        .xlabel = "step",
                                        .ylabel = plan->ylabel,
                                        .y_low = plan->axis == KIND_AXIS_FREE ? (double)NAN : 0,
                                        .y_high =
                                            plan->axis == KIND_AXIS_FRACTION ? 1 : (double)NAN,
                                        .log_y = plan->log_y};
        if (strlen(kind) > NAUHA_NAME_MAX)
            return host->fail(err, NAUHA_INVALID, "kind \"%.80s...\" is longer than %u bytes", kind,
                              NAUHA_NAME_MAX);
        strcpy(topics->rows[i].name, kind);
        topics->rows[i].kind = NAUHA_NONE;
        snprintf(name, sizeof name, "%s%s", kind, plan->suffix);
        snprintf(title, sizeof title, "%s of %s%s", plan->title, kind,
                 plan->note ? plan->note : "");
        enum nauha_status status = host->register_topic(host, name, plan->scope, plan->form, &plot,
                                                        &topics->rows[i].topic, err);
        if (status != NAUHA_OK)
            return status;
        topics->count++;
    }
    return NAUHA_OK;
}

/* The position of the kind of a message, which is one of the SPEC: the bus delivers no others. */
static inline size_t kind_topics_find(struct kind_topics *topics,
                                      const struct nauha_message_info *info) {
    for (size_t i = 0; i < topics->count; i++) {
        if (topics->rows[i].kind == info->kind)
            return i;
    }
    size_t i = 0;
    while (i + 1 < topics->count && strcmp(topics->rows[i].name, info->kind_name) != 0)
        i++;
    topics->rows[i].kind = info->kind;
    return i;
}

#endif
