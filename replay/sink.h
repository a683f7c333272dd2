/* SPDX-License-Identifier: MIT */
/* A sink keeps what metrics publish. It is a subscriber of every topic they publish: the pipeline
 * tells it all series, starts it, and subscribes it to each; `take` is then called once per
 * message, in order of publication.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_REPLAY_SINK_H
#define NAUHA_REPLAY_SINK_H

#include "nauha/bus.h"

/* One published topic, as sinks see it. Strings are borrowed until the sink is freed. */
struct nauha__series {
    const char *name; /* of files and of the metric column */
    enum nauha_form form;
    struct nauha_plot plot; /* the user's ylims= and log= applied; texts never NULL */
};

struct nauha__sink_ops {
    const char *name;
    /* directory NULL: standard output, where the sink can (INVALID where it cannot). */
    enum nauha_status (*create)(const char *directory, void **self, struct nauha_error *err);
    /* Before start, in order; the n-th call makes series n. */
    enum nauha_status (*add_series)(void *self, const struct nauha__series *series,
                                    struct nauha_error *err);
    /* Names the run that is taken from here on, borrowed until the next call. Called before start,
     * the series tell their runs apart; else never. NULL for a sink that works on the files of
     * another. */
    void (*set_run)(void *self, const char *run);
    enum nauha_status (*start)(void *self, struct nauha_error *err);
    /* A message of series n; NULL for a sink that works on the files of another. */
    enum nauha_status (*take)(void *self, size_t series, struct nauha_message *message,
                              struct nauha_error *err);
    /* What was taken so far is to be seen from outside. NULL where nothing waits. */
    enum nauha_status (*flush)(void *self, struct nauha_error *err);
    /* The run has ended well: puts the files in place. */
    enum nauha_status (*finish)(void *self, struct nauha_error *err);
    /* Calls line for each file written and each thing the user should know. */
    void (*report)(const void *self, void (*line)(void *context, const char *text), void *context);
    /* Without finish before: files keep their .partial names. */
    void (*free)(void *self);
};

extern const struct nauha__sink_ops nauha__sink_csv;
extern const struct nauha__sink_ops nauha__sink_gnuplot;

/* Makes a directory and those above it. IO, naming the one that failed. */
enum nauha_status nauha__make_directory(const char *path, struct nauha_error *err);

/* "DIRECTORY/NAME SUFFIX", allocated; NULL when out of memory. */
char *nauha__path(const char *directory, const char *name, const char *suffix);

#endif
