/* SPDX-License-Identifier: MIT */
/* A sink keeps what metrics publish. It is a subscriber of every topic they publish: the pipeline
 * tells it all series, starts it, and subscribes it to each; `take` is then called once per
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

/* What is known of a training. */
struct nauha__training {
    char *name;         /* NULL: it is the only one */
    uint32_t ranks;     /* that it has; 0: unknown */
    int64_t started_ns; /* wall clock where the messages' time is 0; 0: unknown */
    struct nauha__training_fact {
        char *key, *value;
    } * facts; /* in the order they were told */
    size_t fact_count, fact_capacity;
};

struct nauha__sink_ops {
    const char *name;
    /* directory NULL: standard output, where the sink can (INVALID where it cannot). */
    enum nauha_status (*create)(const char *directory, void **self, struct nauha_error *err);
    /* Before start, in order; the n-th call makes series n. */
    enum nauha_status (*add_series)(void *self, const struct nauha__series *series,
                                    struct nauha_error *err);
    /* The run that is taken from here on, borrowed until the next call. First called before the
     * series are added; if it has a name then, the series tell their runs apart. NULL for a sink
     * that works on the files of another. */
    enum nauha_status (*begin_run)(void *self, const struct nauha__training *run,
                                   struct nauha_error *err);
    enum nauha_status (*start)(void *self, struct nauha_error *err);
    /* A message of series n; NULL for a sink that works on the files of another. */
    enum nauha_status (*take)(void *self, size_t series, struct nauha_message *message,
                              struct nauha_error *err);
    /* What was taken so far is to be seen from outside. Called when nothing comes for a while, and
     * every second. NULL where nothing waits. */
    enum nauha_status (*flush)(void *self, struct nauha_error *err);
    /* Whom to tell how far finish has come. NULL where it takes no time. */
    void (*watch)(void *self, nauha_progress_fn watch, void *context);
    /* The run has ended well: puts the files in place. */
    enum nauha_status (*finish)(void *self, struct nauha_error *err);
    /* Calls line for each file written and each thing the user should know. */
    void (*report)(const void *self, void (*line)(void *context, const char *text), void *context);
    /* Without finish before: files keep their .partial names, where they have them. */
    void (*free)(void *self);
};

/* X(name): the sinks there are, each in NAME.c. */
#define NAUHA__SINKS(X) X(csv) X(gnuplot) X(tensorboard)

#define NAUHA__SINK_DECLARATION(name) extern const struct nauha__sink_ops nauha__sink_##name;
NAUHA__SINKS(NAUHA__SINK_DECLARATION)
#undef NAUHA__SINK_DECLARATION

/* INVALID: a message that is neither one double nor, of a histogram, rows of low, high and count.
 */
enum nauha_status nauha__series_check(const char *series, enum nauha_form form,
                                      const struct nauha_tensor *tensor, struct nauha_error *err);

#endif
