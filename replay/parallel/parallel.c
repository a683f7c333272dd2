/* SPDX-License-Identifier: MIT */
/* Sharing out a replay between threads, or between processes; see parallel.h. */
#include "replay/parallel/parallel.h"

#include <stdlib.h>
#include <string.h>

#include "replay/bus/parts.h"
#include "replay/parallel/cost.h"
#include "replay/trace/merge.h"
#include "replay/trace/parts.h"
#include "replay/parallel/worker.h"

/* Messages that are looked at to see how much there is of what. */
#define SAMPLE 200000u

struct part {
    struct nauha__worker *worker; /* NULL: it is in another process */
    struct nauha__outcome_reader reader;
    const struct nauha_processes *processes;
    uint32_t number;
    bool ended;
};

struct nauha__parallel {
    struct nauha_pipeline *pipeline;
    struct nauha__work work;
    bool *shared;
    struct nauha__shares *shares;
    struct part *parts;
    uint32_t part_room, part_count;
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

static void take_kinds(const struct nauha__parallel *parallel, const struct nauha__spec *spec) {
    uint32_t kinds[NAUHA_KIND_BUILTIN_COUNT];
    for (size_t i = 0; i < spec->kind_count; i++)
        kinds[i] = nauha_names_find_kind(parallel->pipeline->names, spec->kinds[i]);
    if (!(spec->analyzer->flags & NAUHA_ANALYZER_PER_KIND)) {
        nauha__shares_take(parallel->shares, kinds, spec->kind_count);
        return;
    }
    for (size_t i = 0; i < spec->kind_count; i++)
        nauha__shares_take(parallel->shares, &kinds[i], 1);
}

/* False: no metric can be shared. */
static bool choose_metrics(struct nauha__parallel *parallel) {
    const struct nauha_pipeline *pipeline = parallel->pipeline;
    bool any = false;
    for (size_t i = 0; i < pipeline->metrics.count; i++) {
        const struct nauha__spec *spec = pipeline->metrics.list[i]->spec;
        parallel->shared[i] = spec->kind_count <= NAUHA_KIND_BUILTIN_COUNT &&
                              can_share(pipeline, pipeline->metrics.list[i]);
        if (!parallel->shared[i])
            continue;
        take_kinds(parallel, spec);
        any = true;
    }
    /* Updates are made of the weights that are stored. */
    nauha__shares_link(parallel->shares, NAUHA_KIND_WEIGHTS, NAUHA_KIND_WEIGHT_UPDATES);
    nauha__shares_link(parallel->shares, NAUHA_KIND_BIASES, NAUHA_KIND_BIAS_UPDATES);
    return any;
}

/* What all metrics that take a kind cost for a byte of it; 0: none does. */
static uint32_t cost_of_metrics(const struct nauha__parallel *parallel, uint32_t kind) {
    const struct nauha_pipeline *pipeline = parallel->pipeline;
    const char *name = nauha_names_kind(pipeline->names, kind);
    uint32_t cost = 0;
    for (size_t i = 0; i < pipeline->metrics.count; i++) {
        const struct nauha__spec *spec = pipeline->metrics.list[i]->spec;
        const uint32_t own = spec->analyzer->cost ? spec->analyzer->cost : 1;
        for (size_t j = 0; parallel->shared[i] && j < spec->kind_count; j++)
            cost += strcmp(spec->kinds[j], name) == 0 ? own : 0;
    }
    return cost;
}

static enum nauha_status count_work(struct nauha__parallel *parallel, struct nauha_error *err) {
    const struct nauha__work *work = &parallel->work;
    const uint32_t kinds = nauha_names_kinds(parallel->pipeline->names);
    struct nauha__merge *merge = NULL;
    uint32_t *metrics = calloc(kinds, sizeof *metrics);
    struct nauha__cost *cost = nauha__cost_new(parallel->pipeline->names);
    if (!metrics || !cost) {
        free(metrics);
        nauha__cost_free(cost);
        return nauha_error_set(err, NAUHA_NOMEM, "out of memory");
    }
    for (uint32_t kind = 0; kind < kinds; kind++)
        metrics[kind] = cost_of_metrics(parallel, kind);
    enum nauha_status status =
        nauha__merge_new(work->traces, work->trace_count, work->selector, &merge, err);
    for (uint32_t n = 0; n < SAMPLE && (status == NAUHA_OK || status == NAUHA_DAMAGED); n++) {
        struct nauha_message *message = NULL;
        status = nauha__merge_next(merge, &message, NULL);
        if (status != NAUHA_OK)
            continue;
        const struct nauha_message_info *info = nauha_message_info(message);
        if (metrics[info->kind] > 0)
            nauha__shares_count(parallel->shares, info->kind, info->module,
                                nauha__cost_of(cost, message, metrics[info->kind]));
    }
    nauha__merge_free(merge);
    nauha__cost_free(cost);
    free(metrics);
    return status == NAUHA_NOMEM ? status : NAUHA_OK;
}

/* ---- beginning and ending ---- */

static enum nauha_status refill(void *context, const unsigned char **bytes, size_t *size,
                                struct nauha_error *err) {
    struct part *part = context;
    enum nauha_status status = NAUHA_OK;
    if (part->worker)
        nauha__channel_take(nauha__worker_channel(part->worker), true, bytes, size);
    else if (part->ended)
        *size = 0;
    else
        status = part->processes->receive(part->processes->context, part->number, bytes, size, err);
    part->ended = part->ended || *size == 0;
    return status;
}

/* The workers of this process. */
static enum nauha_status make_workers(struct nauha__parallel *parallel, struct nauha_error *err) {
    const struct nauha_processes *processes = parallel->pipeline->processes;
    enum nauha_status status = NAUHA_OK;
    parallel->work.workers = processes ? 1 : parallel->part_count;
    for (uint32_t i = 0; i < parallel->part_count && status == NAUHA_OK; i++) {
        struct part *part = &parallel->parts[i];
        *part = (struct part){.processes = processes, .number = i};
        part->reader = (struct nauha__outcome_reader){.refill = refill, .context = part};
        if (!processes || processes->rank == i)
            status = nauha__worker_new(&parallel->work, i, &part->worker, err);
    }
    for (uint32_t i = 0; i < parallel->part_count && status == NAUHA_OK; i++) {
        if (parallel->parts[i].worker)
            status = nauha__worker_start(parallel->parts[i].worker, err);
    }
    return status;
}

/* ---- processes ---- */

/* What every other process tells process 0 before it begins. */
struct hello {
    uint64_t plan; /* the same in all, if they are about to do the same */
    uint32_t status;
    int32_t saved_errno;
    char message[sizeof((struct nauha_error *)0)->message];
};

static uint64_t plan_of(const struct nauha__parallel *parallel) {
    const struct nauha_names *names = parallel->pipeline->names;
    uint64_t plan = nauha__shares_hash(parallel->shares);
    for (uint32_t i = 0; i < nauha_names_kinds(names); i++)
        plan = nauha__shares_hash_text(plan, nauha_names_kind(names, i));
    for (uint32_t i = 0; i < nauha_names_modules(names); i++)
        plan = nauha__shares_hash_text(plan, nauha_names_module(names, i));
    for (uint32_t i = 0; i < nauha_names_slots(names); i++)
        plan = nauha__shares_hash_text(plan, nauha_names_slot(names, i));
    for (uint32_t i = 0; i < nauha_names_tags(names); i++)
        plan = nauha__shares_hash_text(plan, nauha_names_tag(names, i));
    return plan;
}

static enum nauha_status hear(const struct nauha_processes *processes, uint32_t from, uint64_t plan,
                              struct nauha_error *err) {
    const unsigned char *bytes = NULL;
    size_t size = 0;
    enum nauha_status status = processes->receive(processes->context, from, &bytes, &size, err);
    const struct hello *hello = (const struct hello *)(const void *)bytes;
    if (status != NAUHA_OK)
        return status;
    if (size != sizeof *hello || (hello->status == NAUHA_OK && hello->plan != plan))
        return nauha_error_set(err, NAUHA_INVALID,
                               "process %u does not replay the same traces and metrics as process "
                               "0: do both see the same files?",
                               from);
    if (hello->status == NAUHA_OK)
        return NAUHA_OK;
    nauha_error_set(err, (enum nauha_status)hello->status, "process %u: %s", from, hello->message);
    if (err)
        err->saved_errno = hello->saved_errno;
    return (enum nauha_status)hello->status;
}

/* Tells process 0 how this one has fared, or hears that of all others. */
static enum nauha_status meet(const struct nauha__parallel *parallel, enum nauha_status status,
                              struct nauha_error *err) {
    const struct nauha_processes *processes = parallel->pipeline->processes;
    const uint64_t plan = plan_of(parallel);
    if (processes->rank == 0) {
        for (uint32_t from = 1; from < processes->count && status == NAUHA_OK; from++)
            status = hear(processes, from, plan, err);
        return status;
    }
    struct hello hello = {.plan = plan, .status = (uint32_t)status};
    if (status != NAUHA_OK && err) {
        hello.saved_errno = err->saved_errno;
        memcpy(hello.message, err->message, sizeof hello.message);
    }
    enum nauha_status sent =
        processes->send(processes->context, &hello, sizeof hello, status == NAUHA_OK ? err : NULL);
    return status == NAUHA_OK ? sent : status;
}

enum nauha_status nauha__parallel_serve(struct nauha__parallel *parallel, struct nauha_error *err) {
    if (!parallel)
        return NAUHA_OK;
    const struct nauha_processes *processes = parallel->pipeline->processes;
    if (processes->rank >= parallel->part_count)
        return NAUHA_OK;
    struct nauha__channel *channel = nauha__worker_channel(parallel->parts[processes->rank].worker);
    enum nauha_status status = NAUHA_OK;
    const unsigned char *bytes = NULL;
    size_t size = 0;
    while (status == NAUHA_OK && nauha__channel_take(channel, true, &bytes, &size))
        status = processes->send(processes->context, bytes, size, err);
    return status == NAUHA_OK ? processes->send(processes->context, NULL, 0, err) : status;
}

/* ---- the whole ---- */

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
    parallel->part_room = pipeline->processes ? pipeline->processes->count : pipeline->workers;
    parallel->parts = calloc(parallel->part_room, sizeof *parallel->parts);
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

/* Shares out; *useful: there is something to share, and those who do it have been made. */
static enum nauha_status prepare(struct nauha__parallel *parallel, bool *useful,
                                 struct nauha_error *err) {
    if (parallel->pipeline->processes && !has_threads())
        return nauha_error_set(err, NAUHA_UNAVAILABLE,
                               "HDF5 was built without threads here, and cannot replay in part");
    *useful = choose_metrics(parallel);
    if (!*useful)
        return NAUHA_OK;
    enum nauha_status status = count_work(parallel, err);
    if (status == NAUHA_OK)
        status =
            nauha__shares_divide(parallel->shares, parallel->part_room, &parallel->part_count, err);
    if (status != NAUHA_OK || parallel->pipeline->processes)
        return status == NAUHA_OK ? make_workers(parallel, err) : status;
    /* Where a thread cannot be had, the pipeline does without. */
    *useful = make_workers(parallel, NULL) == NAUHA_OK;
    return NAUHA_OK;
}

enum nauha_status nauha__parallel_begin(struct nauha_pipeline *pipeline,
                                        struct nauha_trace *const *traces, size_t count,
                                        const struct nauha_selector *selector,
                                        struct nauha__parallel **out, struct nauha_error *err) {
    *out = NULL;
    if (!pipeline->processes && (pipeline->workers < 2 || !has_threads()))
        return NAUHA_OK;
    struct nauha__parallel *parallel = new_parallel(pipeline, traces, count, selector);
    if (!parallel)
        return nauha_error_set(err, NAUHA_NOMEM, "out of memory");
    bool useful = false;
    enum nauha_status status = prepare(parallel, &useful, err);
    if (pipeline->processes)
        status = meet(parallel, status, err);
    if (status != NAUHA_OK || !useful) {
        nauha__parallel_end(parallel);
        return status;
    }
    hand_over(parallel, parallel);
    *out = parallel;
    return NAUHA_OK;
}

/* ---- while it runs ---- */

enum nauha_status nauha__parallel_finish(struct nauha__parallel *parallel,
                                         struct nauha_error *err) {
    enum nauha_status status = NAUHA_OK;
    for (uint32_t i = 0; parallel && i < parallel->part_count && status == NAUHA_OK; i++)
        status = nauha__outcome_expect_end(&parallel->parts[i].reader, err);
    return status;
}

enum nauha_status nauha__parallel_take(struct nauha__parallel *parallel,
                                       const struct nauha__metric *metric,
                                       struct nauha_bundle *bundle, struct nauha_error *err) {
    const struct nauha_message_info *info = &bundle->messages[0]->info;
    const uint32_t part = nauha__shares_part(parallel->shares, info->kind, info->module);
    return nauha__outcome_take(&parallel->parts[part].reader, metric->number, bundle,
                               parallel->pipeline->bus, err);
}
