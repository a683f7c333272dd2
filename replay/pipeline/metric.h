/* SPDX-License-Identifier: MIT */
/* One metric of a pipeline: an analyzer's instance, its host, and the topics it publishes.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_REPLAY_PIPELINE_METRIC_H
#define NAUHA_REPLAY_PIPELINE_METRIC_H

#include "replay/pipeline/findings.h"
#include "replay/sinks/sink.h"
#include "replay/pipeline/spec.h"

/* A topic that a metric publishes. */
struct nauha__published {
    uint32_t kind;
    struct nauha__series series; /* its texts are those below */
    char *texts[4];
};

/* What an analyzer asks for besides the kinds of its SPEC. */
struct nauha__request {
    char **kinds;
    size_t count;
    char *tag;
    bool synchronized;
    uint64_t bundles; /* of this tag that came */
};

struct nauha__metric {
    struct nauha_host host; /* context: this metric */
    struct nauha_bus *bus;
    struct nauha__metrics *all; /* all metrics of the pipeline */
    struct nauha__spec *spec;
    void *self; /* the analyzer's instance, NULL before create */
    struct nauha_subscriber_ops ops;
    struct nauha_subscriber *subscriber;
    struct nauha__published **topics;
    size_t topic_count, topic_capacity;
    struct nauha__request *requests;
    size_t request_count, request_capacity;
    bool creating;    /* the analyzer's create is running */
    uint64_t bundles; /* bundles that came, of all subscriptions */
    /* Bundles of which the trace lacks the elements that the analyzer asked for. */
    struct {
        uint64_t count, first_step, last_step;
        char *reason; /* why the first could not be read; NULL when out of memory */
    } left_out;
    char *remark;    /* what the analyzer remarked; NULL: nothing */
    char *failure;   /* "failed at ...", after which it got nothing more; NULL: it has not */
    uint32_t number; /* in the list of the pipeline that has the sinks */
    /* The function that makes a call: nauha__metric_compute, or one that takes the outcome from a
     * worker (see sharing.h); and the pointer that it needs. */
    enum nauha_status (*compute)(struct nauha__metric *metric, struct nauha_bundle *bundle,
                                 struct nauha_error *err);
    void *computer;
};

/* Services that analyzers find by name; see nauha_pipeline_offer. */
#define NAUHA__SERVICES_MAX 4u
struct nauha__services {
    size_t count;
    struct {
        const char *name;
        const void *service;
    } list[NAUHA__SERVICES_MAX];
};

/* The metrics of a pipeline, in the order they were added. */
struct nauha__metrics {
    struct nauha__metric **list;
    size_t count, capacity;
    bool written;                /* there are sinks, which name files after series */
    nauha_failure_fn on_failure; /* NULL: none */
    void *on_failure_context;
    struct nauha__findings findings;
    struct nauha__services services;
};

/* Adds a metric. spec is consumed, also on failure. NOMEM. */
enum nauha_status nauha__metrics_add(struct nauha__metrics *metrics, struct nauha_bus *bus,
                                     struct nauha__spec *spec, struct nauha_error *err);
/* To be called after the bus is freed. */
void nauha__metrics_fini(struct nauha__metrics *metrics);

/* Creates the analyzer's instance, which registers the topics that it publishes. INVALID: another
 * metric publishes a series of the same name; the error names both. */
enum nauha_status nauha__metric_create(struct nauha__metric *metric, struct nauha_error *err);

/* Checks that the kinds of the SPEC are topics. UNKNOWN: one is not; the error lists the topics. */
enum nauha_status nauha__metric_check(const struct nauha__metric *metric, struct nauha_error *err);
/* Makes the metric's subscriptions. */
enum nauha_status nauha__metric_subscribe(struct nauha__metric *metric, struct nauha_error *err);

/* Calls the analyzer's compute. */
enum nauha_status nauha__metric_compute(struct nauha__metric *metric, struct nauha_bundle *bundle,
                                        struct nauha_error *err);

/* The tag of messages that the metric subscribes to and of which none came; NULL if there is no
 * such tag. */
const char *nauha__metric_missing_tag(const struct nauha__metric *metric);

/* Calls line with the failure of a metric: `metric "SPEC" failed at ...`. */
void nauha__metric_tell_failure(const struct nauha__metric *metric,
                                void (*line)(void *context, const char *text), void *context);

/* "left out 12 messages, ..."; the caller frees it. NULL: the metric got all that it asked for, or
 * out of memory. */
char *nauha__metric_left_out(const struct nauha__metric *metric);

/* Whether `metric` subscribes to a topic that `other` publishes. */
bool nauha__metric_feeds_on(const struct nauha__metric *metric, const struct nauha__metric *other);

#endif
