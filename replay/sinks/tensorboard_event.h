/* SPDX-License-Identifier: MIT */
/* TensorBoard's events, encoded and appended to an event file.
 *
 * Threads: any thread; an event file has one owner.
 */
#ifndef NAUHA_REPLAY_SINKS_TENSORBOARD_EVENT_H
#define NAUHA_REPLAY_SINKS_TENSORBOARD_EVENT_H

#include "replay/sinks/event_file.h"

/* When a value was published. */
struct nauha__moment {
    double wall_time; /* seconds since 1970 */
    uint64_t step;
};

/* A name in TensorBoard's interface, which groups names by the part before the first slash. */
struct nauha__event_tag {
    const char *name;
    const char *description; /* shown beside it; "" for none */
    bool introduced;         /* its first value, which says how to show it, was appended */
};

/* Appends the records that begin a file: its version, and that a reader shall forget what it has of
 * this run from earlier files. */
enum nauha_status nauha__event_begin(struct nauha__event_file *file, double wall_time,
                                     struct nauha_error *err);

enum nauha_status nauha__event_scalar(struct nauha__event_file *file,
                                      const struct nauha__moment *moment,
                                      struct nauha__event_tag *tag, double scalar,
                                      struct nauha_error *err);

/* elements: low, high and count of each bin. */
enum nauha_status nauha__event_histogram(struct nauha__event_file *file,
                                         const struct nauha__moment *moment,
                                         struct nauha__event_tag *tag, const double *elements,
                                         size_t bins, struct nauha_error *err);

/* markdown: in the dialect of TensorBoard's text cards. */
enum nauha_status nauha__event_text(struct nauha__event_file *file,
                                    const struct nauha__moment *moment,
                                    struct nauha__event_tag *tag, const char *markdown,
                                    struct nauha_error *err);

#endif
