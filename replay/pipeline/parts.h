/* SPDX-License-Identifier: MIT */
/* The internals of a pipeline, shared by the source files that build and feed it.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_REPLAY_PIPELINE_PARTS_H
#define NAUHA_REPLAY_PIPELINE_PARTS_H

#include "nauha/pipeline.h"
#include "replay/pipeline/missing.h"
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
    const struct nauha_pipeline *earlier; /* the pipeline that had the sinks before; NULL: none */
    struct nauha__training run;
    uint64_t flushed_ns; /* when the sinks were flushed last */
    struct nauha__port *ports;
    size_t port_count;
    enum nauha__state state;
    const struct nauha_processes *processes; /* NULL: there is one */
    uint32_t workers;                        /* threads that compute at replay; 1: the caller's */
    struct nauha__came came;                 /* of the kinds that are wanted */
    bool recomputed; /* recorded messages with tags other than "default" are left out */
};

/* Fails with STATE, naming `what` cannot be done, if the pipeline is not in this state. */
enum nauha_status nauha__pipeline_check(const struct nauha_pipeline *pipeline,
                                        enum nauha__state state, const char *what,
                                        struct nauha_error *err);

/* Makes topics of the kinds that have been added to the names since. */
enum nauha_status nauha__pipeline_register_kinds(struct nauha_pipeline *pipeline,
                                                 struct nauha_error *err);

/* Makes the sinks write out what they have taken so far. IO. */
enum nauha_status nauha__pipeline_flush(const struct nauha_pipeline *pipeline,
                                        struct nauha_error *err);

void nauha__training_fini(struct nauha__training *run);

#endif
