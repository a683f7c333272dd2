/* SPDX-License-Identifier: MIT */
/* A worker: a thread that walks over the traces as the pipeline does, with a bus and opened traces
 * of its own, and computes the metrics for its part of the messages. It puts the outcomes into a
 * channel.
 *
 * Threads: one at a time; after nauha__worker_start, the thread that reads its channel.
 */
#ifndef NAUHA_REPLAY_PARALLEL_WORKER_H
#define NAUHA_REPLAY_PARALLEL_WORKER_H

#include "replay/parallel/channel.h"
#include "replay/parallel/parallel.h"
#include "replay/parallel/shares.h"

struct nauha__worker;

/* Opens the traces again and makes the metrics, for one of `workers` workers in this process. The
 * pipeline does not use its own traces meanwhile. Work and shares are borrowed until
 * nauha__worker_free. NOMEM; IO, FORMAT and others: a trace cannot be opened again, or has changed.
 * Caller owns *worker, release with nauha__worker_free. */
enum nauha_status nauha__worker_new(const struct nauha__work *work,
                                    const struct nauha__shares *shares, uint32_t part,
                                    uint32_t workers, struct nauha__worker **worker,
                                    struct nauha_error *err);
/* Ends the thread, which notices between two messages or while it waits for its channel to be read,
 * and frees the worker. */
void nauha__worker_free(struct nauha__worker *worker);

enum nauha_status nauha__worker_start(struct nauha__worker *worker, struct nauha_error *err);
/* The channel with its outcomes, borrowed until nauha__worker_free. */
struct nauha__channel *nauha__worker_channel(struct nauha__worker *worker);

#endif
