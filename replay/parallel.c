/* SPDX-License-Identifier: MIT */
/* Sharing out a replay between threads; see parallel.h. */
#include "replay/parallel.h"

#include <stdlib.h>

#include "replay/bus_parts.h"
#include "replay/merge.h"
#include "replay/trace_parts.h"
#include "replay/worker.h"

/* Messages that are looked at to see how much there is of what. */
#define SAMPLE 200000u

struct part {
    struct nauha__worker *worker;
    struct nauha__outcome_reader reader;
};

struct nauha__parallel {
    struct nauha_pipeline *pipeline;
    struct nauha__work work;
    bool *shared;
    struct nauha__shares *shares;
    struct part *parts;
    uint32_t part_count;
};

/* ---- what is shared out ---- */

/* Whether every kind it takes comes from the traces, and from nowhere else. */
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

/* What is published at the end of a step or of the run has an order over all modules. */
static bool can_share(const struct nauha_pipeline *pipeline, const struct nauha__metric *metric) {
    const struct nauha_analyzer *analyzer = metric->spec->analyzer;
    return (analyzer->flags & NAUHA_ANALYZER_PER_MODULE) &&
           !(analyzer->flags & NAUHA_ANALYZER_RULE) && !analyzer->step_finished &&
           !analyzer->finish && !analyzer->lost && metric->request_count == 0 &&
           takes_recorded(pipeline, metric);
}

/* False: no metric can be shared. */
static bool choose_metrics(struct nauha__parallel *parallel) {
    const struct nauha_pipeline *pipeline = parallel->pipeline;
    bool any = false;
    for (size_t i = 0; i < pipeline->metrics.count; i++) {
        const struct nauha__spec *spec = pipeline->metrics.list[i]->spec;
        uint32_t kinds[NAUHA_KIND_BUILTIN_COUNT];
        parallel->shared[i] = spec->kind_count <= NAUHA_KIND_BUILTIN_COUNT &&
                              can_share(pipeline, pipeline->metrics.list[i]);
        if (!parallel->shared[i])
            continue;
        for (size_t j = 0; j < spec->kind_count; j++)
            kinds[j] = nauha_names_find_kind(pipeline->names, spec->kinds[j]);
        nauha__shares_take(parallel->shares, kinds, spec->kind_count);
        any = true;
    }
    return any;
}

/* Work is counted in bytes; a message costs something however small it is. */
static enum nauha_status count_work(struct nauha__parallel *parallel, struct nauha_error *err) {
    enum { MESSAGE_BYTES = 1024 };
    const struct nauha__work *work = &parallel->work;
    struct nauha__merge *merge = NULL;
    enum nauha_status status =
        nauha__merge_new(work->traces, work->trace_count, work->selector, &merge, err);
    for (uint32_t n = 0; n < SAMPLE && (status == NAUHA_OK || status == NAUHA_DAMAGED); n++) {
        struct nauha_message *message = NULL;
        status = nauha__merge_next(merge, &message, NULL);
        if (status != NAUHA_OK)
            continue;
        const struct nauha_message_info *info = nauha_message_info(message);
        nauha__shares_count(parallel->shares, info->kind, info->module,
                            info->bytes + MESSAGE_BYTES);
    }
    nauha__merge_free(merge);
    return status == NAUHA_NOMEM ? status : NAUHA_OK;
}

/* ---- beginning and ending ---- */

static enum nauha_status refill(void *context, const unsigned char **bytes, size_t *size,
                                struct nauha_error *err) {
    (void)err;
    nauha__channel_take(context, true, bytes, size);
    return NAUHA_OK;
}

static enum nauha_status make_workers(struct nauha__parallel *parallel, struct nauha_error *err) {
    enum nauha_status status = NAUHA_OK;
    for (uint32_t i = 0; i < parallel->part_count && status == NAUHA_OK; i++) {
        struct part *part = &parallel->parts[i];
        status = nauha__worker_new(&parallel->work, i, &part->worker, err);
        if (status != NAUHA_OK)
            break;
        part->reader = (struct nauha__outcome_reader){
            .refill = refill, .context = nauha__worker_channel(part->worker)};
    }
    for (uint32_t i = 0; i < parallel->part_count && status == NAUHA_OK; i++)
        status = nauha__worker_start(parallel->parts[i].worker, err);
    return status;
}

static void hand_over(struct nauha__parallel *parallel, struct nauha__parallel *elsewhere) {
    const struct nauha__metrics *metrics = &parallel->pipeline->metrics;
    for (size_t i = 0; i < metrics->count; i++) {
        if (parallel->shared[i])
            metrics->list[i]->elsewhere = elsewhere;
    }
}

void nauha__parallel_end(struct nauha__parallel *parallel) {
    if (!parallel)
        return;
    if (parallel->shared)
        hand_over(parallel, NULL);
    for (uint32_t i = 0; parallel->parts && i < parallel->part_count; i++)
        nauha__worker_free(parallel->parts[i].worker);
    free(parallel->parts);
    nauha__shares_free(parallel->shares);
    free(parallel->shared);
    free(parallel);
}

static struct nauha__parallel *new_parallel(struct nauha_pipeline *pipeline,
                                            struct nauha_trace *const *traces, size_t count,
                                            const struct nauha_selector *selector) {
    struct nauha__parallel *parallel = calloc(1, sizeof *parallel);
    if (!parallel)
        return NULL;
    parallel->pipeline = pipeline;
    parallel->shared = calloc(pipeline->metrics.count + 1, sizeof *parallel->shared);
    parallel->shares = nauha__shares_new(pipeline->names);
    parallel->parts = calloc(pipeline->workers, sizeof *parallel->parts);
    if (!parallel->shared || !parallel->shares || !parallel->parts) {
        nauha__parallel_end(parallel);
        return NULL;
    }
    parallel->work = (struct nauha__work){
        .pipeline = pipeline,
        .shared = parallel->shared,
        .traces = traces,
        .trace_count = count,
        .selector = selector,
        .shares = parallel->shares,
    };
    return parallel;
}

static bool has_threads(void) {
    hbool_t safe = 0;
    return H5is_library_threadsafe(&safe) >= 0 && safe;
}

enum nauha_status nauha__parallel_begin(struct nauha_pipeline *pipeline,
                                        struct nauha_trace *const *traces, size_t count,
                                        const struct nauha_selector *selector,
                                        struct nauha__parallel **out, struct nauha_error *err) {
    *out = NULL;
    if (pipeline->workers < 2 || !has_threads())
        return NAUHA_OK;
    struct nauha__parallel *parallel = new_parallel(pipeline, traces, count, selector);
    if (!parallel)
        return nauha_error_set(err, NAUHA_NOMEM, "out of memory");
    enum nauha_status status = NAUHA_OK;
    bool useful = choose_metrics(parallel);
    if (useful) {
        status = count_work(parallel, err);
        if (status == NAUHA_OK)
            status = nauha__shares_divide(parallel->shares, pipeline->workers,
                                          &parallel->part_count, err);
        /* Where a worker cannot be had, the pipeline does without. */
        useful = status == NAUHA_OK && make_workers(parallel, NULL) == NAUHA_OK;
    }
    if (!useful) {
        nauha__parallel_end(parallel);
        return status;
    }
    hand_over(parallel, parallel);
    *out = parallel;
    return NAUHA_OK;
}

/* ---- while it runs ---- */

enum nauha_status nauha__parallel_take(struct nauha__parallel *parallel,
                                       const struct nauha__metric *metric,
                                       struct nauha_bundle *bundle, struct nauha_error *err) {
    const struct nauha_message_info *info = &bundle->messages[0]->info;
    const uint32_t part = nauha__shares_part(parallel->shares, info->kind, info->module);
    return nauha__outcome_take(&parallel->parts[part].reader, metric->number, bundle,
                               parallel->pipeline->bus, err);
}
