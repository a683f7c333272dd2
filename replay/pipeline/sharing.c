/* SPDX-License-Identifier: MIT */
/* The metrics of a pipeline that workers compute; see sharing.h. */
#include "replay/pipeline/sharing.h"

#include <stdlib.h>

#include "replay/bus/parts.h"

/* ---- which ---- */

/* Whether all kinds that a metric takes come from the traces alone. */
static bool takes_recorded(const struct nauha_pipeline *pipeline,
                           const struct nauha__metric *metric) {
    for (size_t i = 0; i < metric->spec->kind_count; i++) {
        const uint32_t kind = nauha_names_find_kind(pipeline->names, metric->spec->kinds[i]);
        if (nauha_names_kind_form(pipeline->names, kind) != NAUHA_FORM_TENSOR)
            return false;
    }
    for (size_t i = 0; i < pipeline->metrics.count; i++) {
        if (nauha__metric_feeds_on(metric, pipeline->metrics.list[i]))
            return false;
    }
    return true;
}

/* Publications at the end of a step or of the run have an order over all modules. */
static bool can_share(const struct nauha_pipeline *pipeline, const struct nauha__metric *metric) {
    const struct nauha_analyzer *analyzer = metric->spec->analyzer;
    return metric->spec->kind_count <= NAUHA_KIND_BUILTIN_COUNT &&
           (analyzer->flags & NAUHA_ANALYZER_PER_MODULE) &&
           !(analyzer->flags & NAUHA_ANALYZER_RULE) && !analyzer->step_finished &&
           !analyzer->finish && !analyzer->lost && metric->request_count == 0 &&
           takes_recorded(pipeline, metric);
}

static struct nauha__shared_metric describe(const struct nauha_pipeline *pipeline,
                                            const struct nauha__spec *spec) {
    struct nauha__shared_metric shared = {
        .kind_count = spec->kind_count,
        .per_kind = spec->analyzer->flags & NAUHA_ANALYZER_PER_KIND,
        .cost = spec->analyzer->cost ? spec->analyzer->cost : 1,
    };
    for (size_t i = 0; i < spec->kind_count; i++)
        shared.kinds[i] = nauha_names_find_kind(pipeline->names, spec->kinds[i]);
    return shared;
}

/* ---- in a worker ---- */

static enum nauha_status compute_outcome(struct nauha__metric *metric, struct nauha_bundle *bundle,
                                         struct nauha_error *err) {
    struct nauha__outcome_writer *writer = metric->computer;
    nauha__outcome_begin(writer);
    const enum nauha_status status = nauha__metric_compute(metric, bundle, err);
    const enum nauha_status sent = nauha__outcome_end(writer, metric->number, bundle, status, err);
    metric->bus->failed = metric->bus->failed || sent != NAUHA_OK;
    return sent == NAUHA_OK ? status : sent;
}

static enum nauha_status publish_scalar(const struct nauha_host *host, uint32_t topic,
                                        const struct nauha_message_info *stamps, double value,
                                        struct nauha_error *err) {
    const struct nauha__metric *metric = host->context;
    return nauha__outcome_scalar(metric->computer, topic, stamps, value, err);
}

static enum nauha_status publish_histogram(const struct nauha_host *host, uint32_t topic,
                                           const struct nauha_message_info *stamps,
                                           const double *edges, const uint64_t *counts, size_t bins,
                                           struct nauha_error *err) {
    const struct nauha__metric *metric = host->context;
    return nauha__outcome_histogram(metric->computer, topic, stamps, edges, counts, bins, err);
}

struct sharing {
    struct nauha_pipeline *pipeline;
    bool *shared; /* by number of the metric */
};

/* Another instance of a shared metric, from the same SPEC. */
static enum nauha_status add_metric(struct nauha_pipeline *pipeline,
                                    const struct nauha__metric *original,
                                    struct nauha__outcome_writer *writer, struct nauha_error *err) {
    enum nauha_status status = nauha_pipeline_add_metric(pipeline, original->spec->text, err);
    if (status != NAUHA_OK)
        return status;
    struct nauha__metric *metric = pipeline->metrics.list[pipeline->metrics.count - 1];
    metric->number = original->number;
    metric->compute = compute_outcome;
    metric->computer = writer;
    metric->host.publish_scalar = publish_scalar;
    metric->host.publish_histogram = publish_histogram;
    return NAUHA_OK;
}

static enum nauha_status make_metrics(void *context, struct nauha__outcome_writer *writer,
                                      void **made, struct nauha_bus **bus,
                                      struct nauha_error *err) {
    const struct sharing *sharing = context;
    const struct nauha_pipeline *origin = sharing->pipeline;
    struct nauha_pipeline *pipeline = *made = nauha_pipeline_new(origin->names);
    if (!pipeline)
        return nauha_error_nomem(err);
    *bus = pipeline->bus;
    nauha_bus_set_tensor_limit(pipeline->bus, origin->bus->tensor_limit);
    enum nauha_status status = NAUHA_OK;
    for (size_t i = 0; i < origin->analyzer_count && status == NAUHA_OK; i++) {
        if (!nauha_pipeline_has_analyzer(pipeline, origin->analyzers[i]))
            status = nauha_pipeline_add_analyzer(pipeline, origin->analyzers[i], err);
    }
    for (size_t i = 0; i < origin->metrics.count && status == NAUHA_OK; i++) {
        if (sharing->shared[i])
            status = add_metric(pipeline, origin->metrics.list[i], writer, err);
    }
    return status == NAUHA_OK ? nauha_pipeline_start(pipeline, err) : status;
}

static void free_metrics(void *made) {
    nauha_pipeline_free(made);
}

/* ---- in the pipeline ---- */

static enum nauha_status take_outcome(struct nauha__metric *metric, struct nauha_bundle *bundle,
                                      struct nauha_error *err) {
    return nauha__parallel_take(metric->computer, metric->number, bundle, metric->bus, err);
}

static bool has_ended(const void *context, uint32_t metric) {
    const struct nauha_pipeline *pipeline = context;
    return pipeline->metrics.list[metric]->failure != NULL;
}

enum nauha_status nauha__sharing_begin(struct nauha_pipeline *pipeline,
                                       struct nauha_trace *const *traces, size_t count,
                                       const struct nauha_selector *selector,
                                       struct nauha__parallel **parallel, struct nauha_error *err) {
    const struct nauha__metrics *metrics = &pipeline->metrics;
    struct sharing sharing = {pipeline, calloc(metrics->count + 1, sizeof *sharing.shared)};
    struct nauha__shared_metric *described = calloc(metrics->count + 1, sizeof *described);
    struct nauha__work work = {
        .names = pipeline->names,
        .traces = traces,
        .trace_count = count,
        .selector = selector,
        .metrics = described,
        .threads = pipeline->workers,
        .processes = pipeline->processes,
        .make = make_metrics,
        .free = free_metrics,
        .context = &sharing,
        .ended = has_ended,
        .ended_context = pipeline,
    };
    *parallel = NULL;
    enum nauha_status status = sharing.shared && described ? NAUHA_OK : nauha_error_nomem(err);
    for (size_t i = 0; i < metrics->count && status == NAUHA_OK; i++) {
        sharing.shared[i] = can_share(pipeline, metrics->list[i]);
        if (sharing.shared[i])
            described[work.metric_count++] = describe(pipeline, metrics->list[i]->spec);
    }
    if (status == NAUHA_OK)
        status = nauha__parallel_begin(&work, parallel, err);
    for (size_t i = 0; i < metrics->count && *parallel; i++) {
        if (!sharing.shared[i])
            continue;
        metrics->list[i]->compute = take_outcome;
        metrics->list[i]->computer = *parallel;
    }
    free(described);
    free(sharing.shared);
    return status;
}

void nauha__sharing_end(struct nauha_pipeline *pipeline, struct nauha__parallel *parallel) {
    for (size_t i = 0; i < pipeline->metrics.count; i++)
        pipeline->metrics.list[i]->compute = nauha__metric_compute;
    nauha__parallel_end(parallel);
}
