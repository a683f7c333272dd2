/* SPDX-License-Identifier: MIT */
/* A worker: a thread that walks over the traces as the pipeline does, on a bus and through trace
 * handles of its own, and runs the metrics for its part of the messages. Its outcomes go into a
 * channel.
 *
 * Threads: one at a time, until it starts; then as its channel.
 */
#ifndef NAUHA_REPLAY_PARALLEL_WORKER_H
#define NAUHA_REPLAY_PARALLEL_WORKER_H

#include "replay/parallel/channel.h"
#include "replay/parallel/parallel.h"
#include "replay/parallel/shares.h"

struct nauha__worker;

/* Opens the traces again and makes the metrics, for one of `workers` in this process. The
 * pipeline's trace handles are not in use meanwhile. Work and shares are borrowed until
 * nauha__worker_free. NOMEM; IO, FORMAT and the like: a trace cannot be opened again, or is another
 * file by now. Caller owns *worker, release with nauha__worker_free. */
enum nauha_status nauha__worker_new(const struct nauha__work *work,
                                    const struct nauha__shares *shares, uint32_t part,
                                    uint32_t workers, struct nauha__worker **worker,
                                    struct nauha_error *err);
/* Ends the thread, which notices between two messages, or while it waits to be read. */
void nauha__worker_free(struct nauha__worker *worker);

enum nauha_status nauha__worker_start(struct nauha__worker *worker, struct nauha_error *err);
/* What it computes, as outcomes. */
struct nauha__channel *nauha__worker_channel(struct nauha__worker *worker);

#endif
