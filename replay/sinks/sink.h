/* SPDX-License-Identifier: MIT */
/* A sink stores what metrics publish. It subscribes to every topic that they publish: the pipeline
 * adds all series to it, starts it, and subscribes it to each; then it calls `take` once for every
 * message, in order of publication.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_REPLAY_SINKS_SINK_H
#define NAUHA_REPLAY_SINKS_SINK_H

#include "nauha/bus.h"
#include "nauha/trace.h"
#include "replay/plot/picture.h"

/* One published topic, as sinks see it. Strings are borrowed until the sink is freed. */
struct nauha__series {
    const char *name; /* of files and of the metric column */
    enum nauha_form form;
    struct nauha_plot plot;  /* the user's ylims= and log= applied; texts never NULL */
    enum nauha__scale scale; /* as log= says; AUTO without it */
};

/* What is known about a training. */
struct nauha__training {
    char *name;         /* NULL: there is only one training */
    uint32_t ranks;     /* that it has; 0: unknown */
    int64_t started_ns; /* wall clock when the messages' time was 0; 0: unknown */
    struct nauha__training_fact {
        char *key, *value;
    } * facts; /* in the order they were told */
    size_t fact_count, fact_capacity;
};

struct nauha__sink_ops {
    const char *name;
    /* Creates the sink for a directory; NULL: for standard output. INVALID: the sink cannot write
     * to standard output. */
    enum nauha_status (*create)(const char *directory, void **self, struct nauha_error *err);
    /* Called before start; the n-th call adds series n, counted from 0. */
    enum nauha_status (*add_series)(void *self, const struct nauha__series *series,
                                    struct nauha_error *err);
    /* Begins a run, to which the messages from now on belong; run is borrowed until the next call.
     * First called before the series are added: if that run has a name, the series distinguish
     * their runs. NULL for a sink that works on the files of another sink. */
    enum nauha_status (*begin_run)(void *self, const struct nauha__training *run,
                                   struct nauha_error *err);
    enum nauha_status (*start)(void *self, struct nauha_error *err);
    /* Takes a message of series n. NULL for a sink that works on the files of another sink. */
    enum nauha_status (*take)(void *self, size_t series, struct nauha_message *message,
                              struct nauha_error *err);
    /* Writes out what was taken so far. Called every second, and when no message comes for a while.
     * NULL if the sink does not buffer. */
    enum nauha_status (*flush)(void *self, struct nauha_error *err);
    /* Sets the callback that finish reports its progress to. NULL if finish takes no time. */
    void (*watch)(void *self, nauha_progress_fn watch, void *context);
    /* Called after the last message, unless the pipeline failed: gives the files their final names.
     */
    enum nauha_status (*finish)(void *self, struct nauha_error *err);
    /* Calls line for each file written and for everything else that the user should know. */
    void (*report)(const void *self, void (*line)(void *context, const char *text), void *context);
    /* Frees the sink. Without finish before, files keep their temporary .partial names. */
    void (*free)(void *self);
};

/* X(name): all sinks, each in NAME.c. */
#define NAUHA__SINKS(X) X(csv) X(gnuplot) X(tensorboard)

#define NAUHA__SINK_DECLARATION(name) extern const struct nauha__sink_ops nauha__sink_##name;
NAUHA__SINKS(NAUHA__SINK_DECLARATION)
#undef NAUHA__SINK_DECLARATION

/* Checks a message of a series. INVALID: it is neither one double nor, for a histogram, rows of
 * low, high and count. */
enum nauha_status nauha__series_check(const char *series, enum nauha_form form,
                                      const struct nauha_tensor *tensor, struct nauha_error *err);

#endif
