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

/* A name in TensorBoard's interface, grouped by what is before its first slash. */
struct nauha__event_tag {
    const char *name;
    const char *description; /* shown beside it; "" for none */
    bool introduced;         /* its first value, which tells how to show them, has been appended */
};

/* What a file begins with: its version, and that whatever a reader has of this run from an earlier
 * file is over. */
enum nauha_status nauha__event_begin(struct nauha__event_file *file, double wall_time,
                                     struct nauha_error *err);

enum nauha_status nauha__event_scalar(struct nauha__event_file *file,
                                      const struct nauha__moment *moment,
                                      struct nauha__event_tag *tag, double scalar,
                                      struct nauha_error *err);

/* elements: bins times low, high, count. */
enum nauha_status nauha__event_histogram(struct nauha__event_file *file,
                                         const struct nauha__moment *moment,
                                         struct nauha__event_tag *tag, const double *elements,
                                         size_t bins, struct nauha_error *err);

/* markdown: as TensorBoard's text cards have it. */
enum nauha_status nauha__event_text(struct nauha__event_file *file,
                                    const struct nauha__moment *moment,
                                    struct nauha__event_tag *tag, const char *markdown,
                                    struct nauha_error *err);

#endif
