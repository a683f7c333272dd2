/* SPDX-License-Identifier: MIT */
/* A stream of bytes from one thread to another. The bytes of one put are never split between two
 * takes.
 *
 * Threads: one writer and one reader, which may run at the same time.
 */
#ifndef NAUHA_REPLAY_PARALLEL_CHANNEL_H
#define NAUHA_REPLAY_PARALLEL_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>

#include "nauha/status.h"

struct nauha__channel;

/* NULL when out of memory. Caller owns, release with nauha__channel_free when neither thread uses
 * it any more. */
struct nauha__channel *nauha__channel_new(void);
void nauha__channel_free(struct nauha__channel *channel);

/* For the writer. Copies the bytes; waits while the reader has much left to take. STATE: the reader
 * has left. NOMEM. */
enum nauha_status nauha__channel_put(struct nauha__channel *channel, const void *bytes, size_t size,
                                     struct nauha_error *err);
/* For the writer: nothing more will be put. */
void nauha__channel_end(struct nauha__channel *channel);
/* For the writer: whether the reader has left. */
bool nauha__channel_left(struct nauha__channel *channel);

/* For the reader. Takes all bytes that are there, borrowed until the next call; waits for some if
 * there are none and `wait` is set. False: there are none, and with `wait` there will be no more.
 */
bool nauha__channel_take(struct nauha__channel *channel, bool wait, const unsigned char **bytes,
                         size_t *size);
/* For the reader: it takes no more. */
void nauha__channel_leave(struct nauha__channel *channel);

#endif
