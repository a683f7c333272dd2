/* SPDX-License-Identifier: MIT */
/* Sharing out a replay between threads, or between processes; see parallel.h.
 *
 * Threads: one at a time.
 */
#include "replay/parallel/parallel.h"

#include <stdlib.h>
#include <string.h>

#include "nauha/internal/h5.h"
#include "replay/bus/parts.h"
#include "replay/parallel/cost.h"
#include "replay/parallel/worker.h"
#include "replay/trace/merge.h"

/* Number of messages that are examined to estimate how much work each kind and module is. */
#define SAMPLE 200000u

struct part {
    struct nauha__worker *worker; /* NULL: it is in another process */
    struct nauha__outcome_reader reader;
    const struct nauha_processes *processes;
    uint32_t number;
    bool ended;
};

struct nauha__parallel {
    struct nauha__work work;
    struct nauha__shares *shares;
    struct part *parts;
    uint32_t part_room, part_count;
};

/* ---- what is shared out ---- */

/* Returns false if no metric can be shared. */
static bool share_metrics(struct nauha__parallel *parallel) {
    const struct nauha__work *work = &parallel->work;
    for (size_t i = 0; i < work->metric_count; i++) {
        const struct nauha__shared_metric *metric = &work->metrics[i];
        const size_t together = metric->per_kind ? 1 : metric->kind_count;
        for (size_t j = 0; j < metric->kind_count; j += together)
            nauha__shares_take(parallel->shares, &metric->kinds[j], together);
    }
    /* Updates are computed from the stored weights, so both belong to the same part. */
    nauha__shares_link(parallel->shares, NAUHA_KIND_WEIGHTS, NAUHA_KIND_WEIGHT_UPDATES);
    nauha__shares_link(parallel->shares, NAUHA_KIND_BIASES, NAUHA_KIND_BIAS_UPDATES);
    return work->metric_count > 0;
}

/* The cost per byte of all metrics that take a kind; 0: no metric takes it. */
static uint32_t cost_of_metrics(const struct nauha__work *work, uint32_t kind) {
    uint32_t cost = 0;
    for (size_t i = 0; i < work->metric_count; i++) {
        for (size_t j = 0; j < work->metrics[i].kind_count; j++)
            cost += work->metrics[i].kinds[j] == kind ? work->metrics[i].cost : 0;
    }
    return cost;
}

static enum nauha_status count_work(struct nauha__parallel *parallel, struct nauha_error *err) {
    const struct nauha__work *work = &parallel->work;
    const uint32_t kinds = nauha_names_kinds(work->names);
    struct nauha__merge *merge = NULL;
    uint32_t *metrics = calloc(kinds, sizeof *metrics);
    struct nauha__cost *cost = nauha__cost_new(work->names);
    if (!metrics || !cost) {
        free(metrics);
        nauha__cost_free(cost);
        return nauha_error_nomem(err);
    }
    for (uint32_t kind = 0; kind < kinds; kind++)
        metrics[kind] = cost_of_metrics(work, kind);
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

/* Starts the workers of this process. */
static enum nauha_status make_workers(struct nauha__parallel *parallel, struct nauha_error *err) {
    const struct nauha_processes *processes = parallel->work.processes;
    const uint32_t here = processes ? 1 : parallel->part_count;
    enum nauha_status status = NAUHA_OK;
    for (uint32_t i = 0; i < parallel->part_count && status == NAUHA_OK; i++) {
        struct part *part = &parallel->parts[i];
        *part = (struct part){.processes = processes, .number = i};
        part->reader = (struct nauha__outcome_reader){.refill = refill,
                                                      .context = part,
                                                      .ended = parallel->work.ended,
                                                      .metrics = parallel->work.ended_context};
        if (!processes || processes->rank == i)
            status =
                nauha__worker_new(&parallel->work, parallel->shares, i, here, &part->worker, err);
    }
    for (uint32_t i = 0; i < parallel->part_count && status == NAUHA_OK; i++) {
        if (parallel->parts[i].worker)
            status = nauha__worker_start(parallel->parts[i].worker, err);
    }
    return status;
}

/* ---- processes ---- */

/* The message that every other process sends to process 0 before it begins. */
struct hello {
    uint64_t plan; /* a hash that is equal in all processes if they are about to do the same */
    uint32_t status;
    int32_t saved_errno;
    char message[sizeof((struct nauha_error *)0)->message];
};

static uint64_t plan_of(const struct nauha__parallel *parallel) {
    const struct nauha_names *names = parallel->work.names;
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

/* Tells process 0 whether this process succeeded so far, or receives that from all others. */
static enum nauha_status meet(const struct nauha__parallel *parallel, enum nauha_status status,
                              struct nauha_error *err) {
    const struct nauha_processes *processes = parallel->work.processes;
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
    const struct nauha_processes *processes = parallel->work.processes;
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

void nauha__parallel_end(struct nauha__parallel *parallel) {
    if (!parallel)
        return;
    for (uint32_t i = 0; parallel->parts && i < parallel->part_count; i++)
        nauha__worker_free(parallel->parts[i].worker);
    free(parallel->parts);
    nauha__shares_free(parallel->shares);
    free(parallel);
}

static struct nauha__parallel *new_parallel(const struct nauha__work *work) {
    struct nauha__parallel *parallel = calloc(1, sizeof *parallel);
    if (!parallel)
        return NULL;
    parallel->work = *work;
    parallel->shares = nauha__shares_new(work->names);
    parallel->part_room = work->processes ? work->processes->count : work->threads;
    parallel->parts = calloc(parallel->part_room, sizeof *parallel->parts);
    if (!parallel->shares || !parallel->parts) {
        nauha__parallel_end(parallel);
        return NULL;
    }
    return parallel;
}

static bool has_threads(void) {
    hbool_t safe = 0;
    return H5is_library_threadsafe(&safe) >= 0 && safe;
}

/* Divides the work. *useful: there is work to divide, and workers for it were created. */
static enum nauha_status prepare(struct nauha__parallel *parallel, bool *useful,
                                 struct nauha_error *err) {
    if (parallel->work.processes && !has_threads())
        return nauha_error_set(err, NAUHA_UNAVAILABLE,
                               "this HDF5 was built without thread safety, which a parallel replay "
                               "needs: use --jobs 1");
    *useful = share_metrics(parallel);
    if (!*useful)
        return NAUHA_OK;
    enum nauha_status status = count_work(parallel, err);
    if (status == NAUHA_OK)
        status =
            nauha__shares_divide(parallel->shares, parallel->part_room, &parallel->part_count, err);
    if (status != NAUHA_OK || parallel->work.processes)
        return status == NAUHA_OK ? make_workers(parallel, err) : status;
    /* If a thread cannot be created, the pipeline works without it. */
    *useful = make_workers(parallel, NULL) == NAUHA_OK;
    return NAUHA_OK;
}

enum nauha_status nauha__parallel_begin(const struct nauha__work *work,
                                        struct nauha__parallel **out, struct nauha_error *err) {
    *out = NULL;
    if (!work->processes && (work->threads < 2 || !has_threads()))
        return NAUHA_OK;
    struct nauha__parallel *parallel = new_parallel(work);
    if (!parallel)
        return nauha_error_nomem(err);
    bool useful = false;
    enum nauha_status status = prepare(parallel, &useful, err);
    if (work->processes)
        status = meet(parallel, status, err);
    if (status != NAUHA_OK || !useful) {
        nauha__parallel_end(parallel);
        return status;
    }
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

enum nauha_status nauha__parallel_take(struct nauha__parallel *parallel, uint32_t metric,
                                       struct nauha_bundle *bundle, struct nauha_bus *bus,
                                       struct nauha_error *err) {
    const struct nauha_message_info *info = &bundle->messages[0]->info;
    const uint32_t part = nauha__shares_part(parallel->shares, info->kind, info->module);
    return nauha__outcome_take(&parallel->parts[part].reader, metric, bundle, bus, err);
}
