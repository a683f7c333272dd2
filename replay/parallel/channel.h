/* SPDX-License-Identifier: MIT */
/* A stream of bytes from one thread to another. What is put whole is taken whole.
 *
 * Threads: one writer and one reader, at any time each.
 */
#ifndef NAUHA_REPLAY_PARALLEL_CHANNEL_H
#define NAUHA_REPLAY_PARALLEL_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>

#include "nauha/status.h"

struct nauha__channel;

/* NULL when out of memory. Caller owns, release with nauha__channel_free when both threads have
 * done with it. */
struct nauha__channel *nauha__channel_new(void);
void nauha__channel_free(struct nauha__channel *channel);

/* The writer's. Copied; waits while much lies there already. STATE: the reader has left. NOMEM. */
enum nauha_status nauha__channel_put(struct nauha__channel *channel, const void *bytes, size_t size,
                                     struct nauha_error *err);
/* Nothing more will be put. */
void nauha__channel_end(struct nauha__channel *channel);
/* Whether the reader has left. */
bool nauha__channel_left(struct nauha__channel *channel);

/* The reader's. Takes all that lies there, borrowed until the next call; where that is nothing and
 * `wait` is set, waits for something. False: nothing lies there (and with `wait`, nothing more will
 * come). */
bool nauha__channel_take(struct nauha__channel *channel, bool wait, const unsigned char **bytes,
                         size_t *size);
/* The reader wants no more. */
void nauha__channel_leave(struct nauha__channel *channel);

#endif
