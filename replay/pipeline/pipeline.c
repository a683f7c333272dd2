/* SPDX-License-Identifier: MIT */
/* A bus, the metrics that SPECs name, and the sinks behind them; see nauha/pipeline.h. */
#include "nauha/pipeline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nauha/array.h"
#include "nauha/internal/arithmetic.h"
#include "nauha/internal/parse.h"
#include "nauha/nearest.h"
#include "replay/pipeline/descriptor.h"
#include "replay/pipeline/parts.h"
#include "replay/pipeline/spec.h"

#define WORKERS_MAX 1024u

#define SINK_ROW(name) &nauha__sink_##name,
static const struct nauha__sink_ops *const sink_table[] = {NAUHA__SINKS(SINK_ROW)};
#define SINKS (sizeof sink_table / sizeof *sink_table)

struct nauha__sink {
    const struct nauha__sink_ops *ops;
    void *self;
    char *directory; /* NULL: standard output */
};

/* The state of a sink for one topic. */
struct nauha__port {
    const struct nauha__sink *sink;
    size_t series;
    struct nauha_subscriber *subscriber;
};

/* ---- making and freeing ---- */

struct nauha_pipeline *nauha_pipeline_new(struct nauha_names *names) {
    struct nauha_pipeline *pipeline = calloc(1, sizeof *pipeline);
    if (!pipeline)
        return NULL;
    pipeline->names = names;
    pipeline->workers = 1;
    pipeline->bus = nauha_bus_new(names);
    const struct nauha_analyzer *const *builtin =
        nauha_builtin_analyzers(&pipeline->analyzer_count);
    if (!pipeline->bus ||
        !NAUHA_GROW(pipeline->analyzers, pipeline->analyzer_capacity, pipeline->analyzer_count)) {
        nauha_pipeline_free(pipeline);
        return NULL;
    }
    memcpy(pipeline->analyzers, builtin, pipeline->analyzer_count * sizeof *pipeline->analyzers);
    return pipeline;
}

static void sink_free(struct nauha__sink *sink) {
    if (sink->self)
        sink->ops->free(sink->self);
    free(sink->directory);
    free(sink);
}

void nauha_pipeline_free(struct nauha_pipeline *pipeline) {
    if (!pipeline)
        return;
    nauha_bus_free(pipeline->bus);
    for (size_t i = 0; i < pipeline->port_count; i++)
        nauha_subscriber_free(pipeline->ports[i].subscriber);
    free(pipeline->ports);
    for (size_t i = 0; i < pipeline->sink_count; i++)
        sink_free(pipeline->sinks[i]);
    free(pipeline->sinks);
    nauha__training_fini(&pipeline->run);
    nauha__came_fini(&pipeline->came);
    nauha__metrics_fini(&pipeline->metrics);
    for (size_t i = 0; i < pipeline->added_count; i++)
        free(pipeline->added[i].checked);
    free(pipeline->added);
    free(pipeline->analyzers);
    free(pipeline);
}

struct nauha_bus *nauha_pipeline_bus(struct nauha_pipeline *pipeline) {
    return pipeline->bus;
}

void nauha_pipeline_set_workers(struct nauha_pipeline *pipeline, uint32_t workers) {
    pipeline->workers = workers < 1 ? 1 : workers > WORKERS_MAX ? WORKERS_MAX : workers;
}

void nauha_pipeline_set_processes(struct nauha_pipeline *pipeline,
                                  const struct nauha_processes *processes) {
    pipeline->processes = processes && processes->count > 1 ? processes : NULL;
}

enum nauha_status nauha__pipeline_check(const struct nauha_pipeline *pipeline,
                                        enum nauha__state state, const char *what,
                                        struct nauha_error *err) {
    static const char *const phrases[] = {
        [NAUHA__BUILDING] = "before the pipeline has started",
        [NAUHA__RUNNING] = "while the pipeline is running",
        [NAUHA__FAILED] = "after the pipeline has failed",
        [NAUHA__FINISHED] = "after the pipeline has finished",
    };
    if (pipeline->state == state)
        return NAUHA_OK;
    return nauha_error_set(err, NAUHA_STATE, "cannot %s %s", what, phrases[pipeline->state]);
}

/* ---- metrics and sinks ---- */

const struct nauha_analyzer_parameter *nauha_pipeline_common_keys(size_t *count) {
    return nauha__spec_common_keys(count);
}

enum nauha_status nauha_pipeline_add_analyzer(struct nauha_pipeline *pipeline,
                                              const struct nauha_analyzer *analyzer,
                                              struct nauha_error *err) {
    enum nauha_status status =
        nauha__pipeline_check(pipeline, NAUHA__BUILDING, "add an analyzer", err);
    if (status != NAUHA_OK)
        return status;
    struct nauha_analyzer checked;
    status = nauha__descriptor_take(analyzer, &checked, err);
    if (status != NAUHA_OK)
        return status;
    for (size_t i = 0; i < pipeline->analyzer_count; i++) {
        if (strcmp(pipeline->analyzers[i]->name, checked.name) == 0)
            return nauha_error_set(err, NAUHA_INVALID, "the analyzer \"%s\" exists already",
                                   checked.name);
    }
    struct nauha_analyzer *copy = malloc(sizeof *copy);
    if (!copy ||
        !NAUHA_GROW(pipeline->analyzers, pipeline->analyzer_capacity,
                    pipeline->analyzer_count + 1) ||
        !NAUHA_GROW(pipeline->added, pipeline->added_capacity, pipeline->added_count + 1)) {
        free(copy);
        return nauha_error_nomem(err);
    }
    *copy = checked;
    pipeline->added[pipeline->added_count++] = (struct nauha__added){analyzer, copy};
    pipeline->analyzers[pipeline->analyzer_count++] = copy;
    return NAUHA_OK;
}

bool nauha_pipeline_has_analyzer(const struct nauha_pipeline *pipeline,
                                 const struct nauha_analyzer *analyzer) {
    for (size_t i = 0; i < pipeline->added_count; i++) {
        if (pipeline->added[i].given == analyzer)
            return true;
    }
    for (size_t i = 0; i < pipeline->analyzer_count; i++) {
        if (pipeline->analyzers[i] == analyzer)
            return true;
    }
    return false;
}

const struct nauha_analyzer *nauha_pipeline_analyzer(const struct nauha_pipeline *pipeline,
                                                     size_t position) {
    return position < pipeline->analyzer_count ? pipeline->analyzers[position] : NULL;
}

enum nauha_status nauha_pipeline_add_metric(struct nauha_pipeline *pipeline, const char *text,
                                            struct nauha_error *err) {
    enum nauha_status status =
        nauha__pipeline_check(pipeline, NAUHA__BUILDING, "add a metric", err);
    if (status != NAUHA_OK)
        return status;
    struct nauha__spec *spec = NULL;
    status = nauha__spec_parse(text, pipeline->analyzers, pipeline->analyzer_count, pipeline->names,
                               &spec, err);
    if (status != NAUHA_OK)
        return status;
    return nauha__metrics_add(&pipeline->metrics, pipeline->bus, spec, err);
}

const char *const *nauha_pipeline_sinks(void) {
#define SINK_NAME(name) #name,
    static const char *const names[] = {NAUHA__SINKS(SINK_NAME) NULL};
    return names;
}

static bool same_directory(const char *a, const char *b) {
    return a && b ? strcmp(a, b) == 0 : !a && !b;
}

static enum nauha_status add_sink(struct nauha_pipeline *pipeline,
                                  const struct nauha__sink_ops *ops, const char *directory,
                                  struct nauha_error *err) {
    for (size_t i = 0; i < pipeline->sink_count; i++) {
        if (pipeline->sinks[i]->ops == ops &&
            same_directory(pipeline->sinks[i]->directory, directory))
            return NAUHA_OK;
    }
    struct nauha__sink *sink =
        NAUHA_GROW(pipeline->sinks, pipeline->sink_capacity, pipeline->sink_count + 1)
            ? calloc(1, sizeof *sink)
            : NULL;
    if (!sink || (directory && !(sink->directory = strdup(directory)))) {
        free(sink);
        return nauha_error_nomem(err);
    }
    sink->ops = ops;
    enum nauha_status status = ops->create(directory, &sink->self, err);
    if (status != NAUHA_OK) {
        sink_free(sink);
        return status;
    }
    pipeline->sinks[pipeline->sink_count++] = sink;
    return NAUHA_OK;
}

enum nauha_status nauha_pipeline_add_sink(struct nauha_pipeline *pipeline, const char *name,
                                          const char *directory, struct nauha_error *err) {
    enum nauha_status status = nauha__pipeline_check(pipeline, NAUHA__BUILDING, "add a sink", err);
    if (status != NAUHA_OK)
        return status;
    struct nauha__list list = NAUHA__LIST_INIT;
    struct nauha_nearest nearest = {.typed = name};
    for (size_t i = 0; i < SINKS; i++) {
        nauha__list_add(&list, "%s", sink_table[i]->name);
        nauha_nearest_try(&nearest, sink_table[i]->name);
        if (strcmp(sink_table[i]->name, name) != 0)
            continue;
        /* A sink that takes no messages reads the CSV files, which must be complete before it
         * runs. */
        if (!sink_table[i]->take && directory)
            status = add_sink(pipeline, &nauha__sink_csv, directory, err);
        return status == NAUHA_OK ? add_sink(pipeline, sink_table[i], directory, err) : status;
    }
    return nauha_error_set(err, NAUHA_UNKNOWN, "there is no sink \"%s\"%s; sinks: %s", name,
                           nauha_did_you_mean(&nearest), list.text);
}

enum nauha_status nauha_pipeline_offer(struct nauha_pipeline *pipeline, const char *name,
                                       const void *service, struct nauha_error *err) {
    struct nauha__services *services = &pipeline->metrics.services;
    enum nauha_status status =
        nauha__pipeline_check(pipeline, NAUHA__BUILDING, "offer a service", err);
    if (status != NAUHA_OK)
        return status;
    for (size_t i = 0; i < services->count; i++) {
        if (strcmp(services->list[i].name, name) == 0)
            return nauha_error_set(err, NAUHA_INVALID, "the service \"%s\" exists already", name);
    }
    if (services->count == NAUHA__SERVICES_MAX)
        return nauha_error_set(err, NAUHA_LIMIT, "cannot offer more than %u services",
                               NAUHA__SERVICES_MAX);
    services->list[services->count].name = name;
    services->list[services->count++].service = service;
    return NAUHA_OK;
}

void nauha_pipeline_set_recomputed(struct nauha_pipeline *pipeline, bool recomputed) {
    pipeline->recomputed = recomputed;
}

/* ---- starting ---- */

/* Kinds that came into the names from a trace or a training are topics too. */
static enum nauha_status register_kind(struct nauha_pipeline *pipeline, uint32_t kind,
                                       struct nauha_error *err) {
    const struct nauha_names *names = pipeline->names;
    uint32_t topic;
    return nauha_bus_register_topic(pipeline->bus, nauha_names_kind(names, kind),
                                    nauha_names_kind_scope(names, kind),
                                    nauha_names_kind_form(names, kind), NULL, &topic, err);
}

enum nauha_status nauha__pipeline_register_kinds(struct nauha_pipeline *pipeline,
                                                 struct nauha_error *err) {
    enum nauha_status status = NAUHA_OK;
    const uint32_t count = nauha_names_kinds(pipeline->names);
    for (uint32_t kind = 0; kind < count && status == NAUHA_OK; kind++) {
        if (!nauha_bus_has_topic(pipeline->bus, kind))
            status = register_kind(pipeline, kind, err);
    }
    return status;
}

static enum nauha_status port_compute(void *self, struct nauha_bundle *bundle,
                                      struct nauha_error *err) {
    const struct nauha__port *port = self;
    return port->sink->ops->take(port->sink->self, port->series, nauha_bundle_message(bundle, 0),
                                 err);
}

static const struct nauha_subscriber_ops port_ops = {.compute = port_compute};

/* Every message of a metric carries the tag that the metric subscribed to. */
static enum nauha_status subscribe_port(struct nauha_pipeline *pipeline, struct nauha__port *port,
                                        const struct nauha__metric *metric,
                                        const struct nauha__published *topic,
                                        struct nauha_error *err) {
    const char *kind = nauha_names_kind(pipeline->names, topic->kind);
    port->subscriber = nauha_subscriber_new(port->sink->ops->name, &port_ops, port);
    struct nauha_subscription *subscription = nauha_subscription_new(&kind, 1);
    if (!port->subscriber || !subscription) {
        nauha_subscription_free(subscription);
        return nauha_error_nomem(err);
    }
    enum nauha_status status = nauha_subscription_set_tag(subscription, metric->spec->tag, err);
    if (status != NAUHA_OK) {
        nauha_subscription_free(subscription);
        return status;
    }
    return nauha_bus_subscribe(pipeline->bus, subscription, port->subscriber, err);
}

static size_t count_topics(const struct nauha_pipeline *pipeline) {
    size_t count = 0;
    for (size_t i = 0; i < pipeline->metrics.count; i++)
        count += pipeline->metrics.list[i]->topic_count;
    return count;
}

/* Sinks know their series by position. */
static enum nauha_status check_same_series(const struct nauha_pipeline *pipeline,
                                           struct nauha_error *err) {
    const struct nauha_pipeline *earlier = pipeline->earlier;
    const char *one, *other, *tag;
    bool same = count_topics(pipeline) == count_topics(earlier);
    for (size_t i = 0; same && i < count_topics(pipeline); i++) {
        nauha_pipeline_topic(pipeline, i, &one, &tag);
        nauha_pipeline_topic(earlier, i, &other, &tag);
        same = strcmp(one, other) == 0;
    }
    return same ? NAUHA_OK
                : nauha_error_set(err, NAUHA_INVALID,
                                  "the metrics write other series in run \"%s\" than in run \"%s\"",
                                  pipeline->run.name, earlier->run.name);
}

/* Announces all series to a sink, starts it and subscribes it. */
static enum nauha_status start_sink(struct nauha_pipeline *pipeline, const struct nauha__sink *sink,
                                    struct nauha_error *err) {
    const struct nauha__metrics *metrics = &pipeline->metrics;
    enum nauha_status status = NAUHA_OK;
    if (sink->ops->begin_run)
        status = sink->ops->begin_run(sink->self, &pipeline->run, err);
    for (size_t i = 0; i < metrics->count && !pipeline->earlier; i++) {
        for (size_t j = 0; j < metrics->list[i]->topic_count && status == NAUHA_OK; j++)
            status = sink->ops->add_series(sink->self, &metrics->list[i]->topics[j]->series, err);
    }
    if (status == NAUHA_OK && !pipeline->earlier)
        status = sink->ops->start(sink->self, err);
    size_t series = 0;
    for (size_t i = 0; sink->ops->take && i < metrics->count; i++) {
        const struct nauha__metric *metric = metrics->list[i];
        for (size_t j = 0; j < metric->topic_count && status == NAUHA_OK; j++) {
            struct nauha__port *port = &pipeline->ports[pipeline->port_count++];
            *port = (struct nauha__port){.sink = sink, .series = series++};
            status = subscribe_port(pipeline, port, metric, metric->topics[j], err);
        }
    }
    return status;
}

/* Subscribes the metrics, those that feed others first: so a publisher's step_finished and finish
 * run before those of its readers, whatever the order of the SPECs. */
static enum nauha_status subscribe_metrics(struct nauha_pipeline *pipeline,
                                           struct nauha_error *err) {
    const struct nauha__metrics *metrics = &pipeline->metrics;
    bool *placed = calloc(metrics->count + 1, sizeof *placed);
    if (!placed)
        return nauha_error_nomem(err);
    enum nauha_status status = NAUHA_OK;
    for (size_t n = 0; n < metrics->count && status == NAUHA_OK; n++) {
        size_t chosen = metrics->count, waiting = metrics->count;
        for (size_t i = 0; i < metrics->count && chosen == metrics->count; i++) {
            bool ready = !placed[i];
            for (size_t j = 0; ready && j < metrics->count; j++)
                ready = placed[j] || !nauha__metric_feeds_on(metrics->list[i], metrics->list[j]);
            if (ready)
                chosen = i;
            else if (!placed[i])
                waiting = i;
        }
        if (chosen == metrics->count) {
            status = nauha_error_set(err, NAUHA_INVALID, "metric \"%s\" depends on itself",
                                     metrics->list[waiting]->spec->text);
            break;
        }
        placed[chosen] = true;
        status = nauha__metric_subscribe(metrics->list[chosen], err);
    }
    free(placed);
    return status;
}

static enum nauha_status start(struct nauha_pipeline *pipeline, struct nauha_error *err) {
    enum nauha_status status = nauha__pipeline_register_kinds(pipeline, err);
    pipeline->metrics.written = pipeline->sink_count > 0;
    for (size_t i = 0; i < pipeline->metrics.count && status == NAUHA_OK; i++)
        status = nauha__metric_create(pipeline->metrics.list[i], err);
    if (status != NAUHA_OK)
        return status;
    pipeline->ports =
        calloc(count_topics(pipeline) * pipeline->sink_count + 1, sizeof *pipeline->ports);
    if (!pipeline->ports)
        return nauha_error_nomem(err);
    /* Kinds are checked before any file is created. Sinks are subscribed before the metrics that
     * take the same topic, so a message is written before what it triggers. */
    for (size_t i = 0; i < pipeline->metrics.count && status == NAUHA_OK; i++)
        status = nauha__metric_check(pipeline->metrics.list[i], err);
    if (status == NAUHA_OK && pipeline->earlier)
        status = check_same_series(pipeline, err);
    for (size_t i = 0; i < pipeline->sink_count && status == NAUHA_OK; i++)
        status = start_sink(pipeline, pipeline->sinks[i], err);
    return status == NAUHA_OK ? subscribe_metrics(pipeline, err) : status;
}

enum nauha_status nauha_pipeline_set_tensor_limit(struct nauha_pipeline *pipeline, const char *size,
                                                  struct nauha_error *err) {
    uint64_t bytes = 0;
    enum nauha_status status = nauha__parse_size(size, &bytes, err);
    if (status != NAUHA_OK)
        return nauha_error_wrap(err, status, "tensor limit");
    nauha_bus_set_tensor_limit(pipeline->bus, bytes);
    return NAUHA_OK;
}

enum nauha_status nauha_pipeline_start(struct nauha_pipeline *pipeline, struct nauha_error *err) {
    enum nauha_status status = nauha__pipeline_check(pipeline, NAUHA__BUILDING, "start", err);
    if (status != NAUHA_OK)
        return status;
    status = start(pipeline, err);
    pipeline->state = status == NAUHA_OK ? NAUHA__RUNNING : NAUHA__FAILED;
    return status;
}

/* ---- ending ---- */

enum nauha_status nauha__pipeline_flush(const struct nauha_pipeline *pipeline,
                                        struct nauha_error *err) {
    enum nauha_status status = NAUHA_OK;
    for (size_t i = 0; i < pipeline->sink_count && status == NAUHA_OK; i++)
        if (pipeline->sinks[i]->ops->flush)
            status = pipeline->sinks[i]->ops->flush(pipeline->sinks[i]->self, err);
    return status;
}

enum nauha_status nauha_pipeline_finish(struct nauha_pipeline *pipeline, struct nauha_error *err) {
    enum nauha_status status = nauha__pipeline_check(pipeline, NAUHA__RUNNING, "finish", err);
    if (status != NAUHA_OK)
        return status;
    status = nauha_bus_finish(pipeline->bus, err);
    for (size_t i = 0; i < pipeline->sink_count && status == NAUHA_OK; i++)
        status = pipeline->sinks[i]->ops->finish(pipeline->sinks[i]->self, err);
    pipeline->state = status == NAUHA_OK ? NAUHA__FINISHED : NAUHA__FAILED;
    return status;
}

void nauha_pipeline_watch_finish(struct nauha_pipeline *pipeline, nauha_progress_fn progress,
                                 void *context) {
    for (size_t i = 0; i < pipeline->sink_count; i++)
        if (pipeline->sinks[i]->ops->watch)
            pipeline->sinks[i]->ops->watch(pipeline->sinks[i]->self, progress, context);
}

/* ---- asking ---- */

size_t nauha_pipeline_topics(const struct nauha_pipeline *pipeline) {
    return count_topics(pipeline);
}

uint32_t nauha_pipeline_topic(const struct nauha_pipeline *pipeline, size_t position,
                              const char **series, const char **tag) {
    for (size_t i = 0; i < pipeline->metrics.count; i++) {
        const struct nauha__metric *metric = pipeline->metrics.list[i];
        if (position < metric->topic_count) {
            *series = metric->topics[position]->series.name;
            *tag = metric->spec->tag;
            return metric->topics[position]->kind;
        }
        position -= metric->topic_count;
    }
    return NAUHA_NONE;
}

size_t nauha_pipeline_findings(const struct nauha_pipeline *pipeline) {
    return pipeline->metrics.findings.count;
}

bool nauha_pipeline_finding(const struct nauha_pipeline *pipeline, size_t position,
                            struct nauha_finding *finding) {
    return nauha__findings_get(&pipeline->metrics.findings, position, finding);
}

void nauha_pipeline_on_finding(struct nauha_pipeline *pipeline, nauha_finding_fn fn,
                               void *context) {
    pipeline->metrics.findings.fn = fn;
    pipeline->metrics.findings.context = context;
}

void nauha_pipeline_on_failure(struct nauha_pipeline *pipeline, nauha_failure_fn fn,
                               void *context) {
    pipeline->metrics.on_failure = fn;
    pipeline->metrics.on_failure_context = context;
}

bool nauha_pipeline_metric(const struct nauha_pipeline *pipeline, size_t position,
                           struct nauha_metric_info *info) {
    if (position >= pipeline->metrics.count)
        return false;
    const struct nauha__metric *metric = pipeline->metrics.list[position];
    *info = (struct nauha_metric_info){.spec = metric->spec->text,
                                       .analyzer = metric->spec->analyzer,
                                       .bundles = metric->bundles,
                                       .missing_tag = nauha__metric_missing_tag(metric),
                                       .failure = metric->failure,
                                       .topics = metric->topic_count};
    return true;
}

/* If there are several runs, a remark names the run that it is about. */
struct named_lines {
    const char *run;
    void (*line)(void *context, const char *text);
    void *context;
};

static void name_line(void *context, const char *text) {
    const struct named_lines *named = context;
    char *whole = NULL;
    if (asprintf(&whole, "%s: %s", named->run, text) < 0)
        return;
    named->line(named->context, whole);
    free(whole);
}

size_t nauha_pipeline_failures(const struct nauha_pipeline *pipeline,
                               void (*line)(void *context, const char *text), void *context) {
    size_t count = 0;
    struct named_lines named = {pipeline->run.name, line, context};
    for (size_t i = 0; i < pipeline->metrics.count; i++) {
        const struct nauha__metric *metric = pipeline->metrics.list[i];
        if (!metric->failure)
            continue;
        count++;
        if (line)
            nauha__metric_tell_failure(metric, named.run ? name_line : line,
                                       named.run ? (void *)&named : context);
    }
    return count;
}

/* remark: NULL if there is none. */
static void tell_of(const struct nauha__metric *metric, const char *remark,
                    void (*line)(void *context, const char *text), void *context) {
    char *text = NULL;
    if (!remark || asprintf(&text, "metric \"%s\": %s", metric->spec->text, remark) < 0)
        return;
    line(context, text);
    free(text);
}

void nauha_pipeline_remarks(const struct nauha_pipeline *pipeline,
                            void (*line)(void *context, const char *text), void *context) {
    struct named_lines named = {pipeline->run.name, line, context};
    if (named.run) {
        line = name_line;
        context = &named;
    }
    for (size_t i = 0; i < pipeline->metrics.count; i++) {
        const struct nauha__metric *metric = pipeline->metrics.list[i];
        char *left_out = nauha__metric_left_out(metric);
        tell_of(metric, metric->remark, line, context);
        tell_of(metric, left_out, line, context);
        free(left_out);
        /* Of rules, nauha check says what was not checked. */
        char *missing = metric->spec->analyzer->flags & NAUHA_ANALYZER_RULE
                            ? NULL
                            : nauha__came_explain(&pipeline->came, pipeline->names, metric);
        tell_of(metric, missing, line, context);
        free(missing);
    }
    nauha_bus_report(pipeline->bus, line, context);
}

void nauha_pipeline_report(const struct nauha_pipeline *pipeline,
                           void (*line)(void *context, const char *text), void *context) {
    for (size_t i = 0; i < pipeline->sink_count; i++)
        pipeline->sinks[i]->ops->report(pipeline->sinks[i]->self, line, context);
    nauha_pipeline_remarks(pipeline, line, context);
}
