/* SPDX-License-Identifier: MIT */
/* What a pipeline knows of the training that it is fed with, and feeding several trainings into the
 * same series; see nauha/pipeline.h.
 *
 * Threads: one at a time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "nauha/array.h"
#include "replay/pipeline/parts.h"

/* ---- what is known of one ---- */

void nauha__training_fini(struct nauha__training *run) {
    for (size_t i = 0; i < run->fact_count; i++) {
        free(run->facts[i].key);
        free(run->facts[i].value);
    }
    free(run->facts);
    free(run->name);
}

static enum nauha_status keep_fact(struct nauha__training *run, const char *key, const char *value,
                                   struct nauha_error *err) {
    struct nauha__training_fact fact = {strdup(key), strdup(value)};
    if (!fact.key || !fact.value ||
        !NAUHA_GROW(run->facts, run->fact_capacity, run->fact_count + 1)) {
        free(fact.key);
        free(fact.value);
        return nauha_error_nomem(err);
    }
    run->facts[run->fact_count++] = fact;
    return NAUHA_OK;
}

static enum nauha_status add_fact(struct nauha_pipeline *pipeline, const char *key,
                                  const char *value, struct nauha_error *err) {
    enum nauha_status status = keep_fact(&pipeline->run, key, value, err);
    if (status == NAUHA_OK && strcmp(key, "frozen") == 0)
        status = nauha__findings_set_frozen(&pipeline->metrics.findings, value, err);
    return status;
}

enum nauha_status nauha_pipeline_describe(struct nauha_pipeline *pipeline, const char *key,
                                          const char *value, struct nauha_error *err) {
    enum nauha_status status =
        nauha__pipeline_check(pipeline, NAUHA__BUILDING, "describe the training", err);
    return status == NAUHA_OK ? add_fact(pipeline, key, value, err) : status;
}

static enum nauha_status add_date(struct nauha__training *run, int64_t created_ns,
                                  struct nauha_error *err) {
    const time_t seconds = (time_t)(created_ns / 1000000000);
    struct tm date;
    char text[64];
    if (!gmtime_r(&seconds, &date) || !strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &date))
        return NAUHA_OK;
    return keep_fact(run, "recorded", text, err);
}

enum nauha_status nauha_pipeline_describe_trace(struct nauha_pipeline *pipeline,
                                                const struct nauha_trace *trace,
                                                struct nauha_error *err) {
    struct nauha__training *run = &pipeline->run;
    struct nauha_trace_info info;
    const char *key, *value;
    nauha_trace_get_head(trace, &info);
    enum nauha_status status = nauha_pipeline_describe(pipeline, "trace", info.path, err);
    if (status == NAUHA_OK)
        status = add_date(run, info.created_ns, err);
    for (size_t i = 0; status == NAUHA_OK && nauha_trace_fact(trace, i, &key, &value); i++)
        status = add_fact(pipeline, key, value, err);
    if (status != NAUHA_OK)
        return status;
    run->ranks = info.world_size;
    run->started_ns = info.created_ns;
    return NAUHA_OK;
}

/* ---- several runs ---- */

enum nauha_status nauha_pipeline_set_run(struct nauha_pipeline *pipeline, const char *name,
                                         struct nauha_error *err) {
    enum nauha_status status = nauha__pipeline_check(pipeline, NAUHA__BUILDING, "name a run", err);
    if (status != NAUHA_OK)
        return status;
    char *copy = strdup(name);
    if (!copy)
        return nauha_error_nomem(err);
    free(pipeline->run.name);
    pipeline->run.name = copy;
    return NAUHA_OK;
}

enum nauha_status nauha_pipeline_finish_into(struct nauha_pipeline *pipeline,
                                             struct nauha_pipeline *next, struct nauha_error *err) {
    enum nauha_status status = nauha__pipeline_check(pipeline, NAUHA__RUNNING, "finish", err);
    if (status == NAUHA_OK)
        status = nauha__pipeline_check(next, NAUHA__BUILDING, "take over sinks", err);
    if (status == NAUHA_OK && (!pipeline->run.name || !next->run.name || next->sink_count > 0))
        status = nauha_error_set(err, NAUHA_STATE,
                                 "sinks are handed from one named run to another that has none");
    if (status != NAUHA_OK)
        return status;
    status = nauha_bus_finish(pipeline->bus, err);
    pipeline->state = status == NAUHA_OK ? NAUHA__FINISHED : NAUHA__FAILED;
    if (status != NAUHA_OK)
        return status;
    free(next->sinks);
    next->sinks = pipeline->sinks;
    next->sink_count = pipeline->sink_count;
    next->sink_capacity = pipeline->sink_capacity;
    next->earlier = pipeline;
    pipeline->sinks = NULL;
    pipeline->sink_count = pipeline->sink_capacity = 0;
    return NAUHA_OK;
}
