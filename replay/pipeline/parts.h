/* SPDX-License-Identifier: MIT */
/* What a pipeline consists of, for the sources that assemble it and feed it.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_REPLAY_PIPELINE_PARTS_H
#define NAUHA_REPLAY_PIPELINE_PARTS_H

#include "nauha/pipeline.h"
#include "replay/pipeline/metric.h"

enum nauha__state { NAUHA__BUILDING, NAUHA__RUNNING, NAUHA__FAILED, NAUHA__FINISHED };

/* An analyzer that was added. */
struct nauha__added {
    const struct nauha_analyzer *given;
    struct nauha_analyzer *checked; /* what is used */
};

struct nauha_pipeline {
    struct nauha_names *names;
    struct nauha_bus *bus;
    const struct nauha_analyzer **analyzers; /* those that metrics may name */
    size_t analyzer_count, analyzer_capacity;
    struct nauha__added *added; /* the last of them came from outside */
    size_t added_count, added_capacity;
    struct nauha__metrics metrics;
    struct nauha__sink **sinks;
    size_t sink_count, sink_capacity;
    const struct nauha_pipeline *earlier; /* whose sinks these were; NULL: they are new */
    struct nauha__training run;
    uint64_t flushed_ns; /* when the sinks last were */
    struct nauha__port *ports;
    size_t port_count;
    enum nauha__state state;
    const struct nauha_processes *processes; /* NULL: there is one */
    uint32_t workers;                        /* threads that compute at replay; 1: the caller's */
    bool recomputed; /* messages with other tags than "default" come from elsewhere */
};

/* STATE, naming what cannot be done, unless the pipeline is in that state. */
enum nauha_status nauha__pipeline_check(const struct nauha_pipeline *pipeline,
                                        enum nauha__state state, const char *what,
                                        struct nauha_error *err);

/* Makes topics of the kinds that have come into the names. */
enum nauha_status nauha__pipeline_register_kinds(struct nauha_pipeline *pipeline,
                                                 struct nauha_error *err);

/* What the sinks have taken so far is written out. IO. */
enum nauha_status nauha__pipeline_flush(const struct nauha_pipeline *pipeline,
                                        struct nauha_error *err);

void nauha__training_fini(struct nauha__training *run);

#endif
