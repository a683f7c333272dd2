/* SPDX-License-Identifier: MIT */
/* The messages of one step of several ranks, in which shards of a tensor are put together: the
 * shards that ranks published with the same kind, tag, module, slot and call become one message of
 * the whole tensor, in the place of the first. Elements are not kept: the whole reads them from the
 * traces when it is read.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_REPLAY_TRACE_SHARDS_H
#define NAUHA_REPLAY_TRACE_SHARDS_H

#include "nauha/internal/message.h"

struct nauha__shards;

/* names are those of the messages, borrowed until nauha__shards_free. NULL when out of memory. */
struct nauha__shards *nauha__shards_new(const struct nauha_names *names);
void nauha__shards_free(struct nauha__shards *shards);

/* Forgets all messages. Wholes that were returned before, and copies of them, can no longer be
 * read. */
void nauha__shards_clear(struct nauha__shards *shards);

/* Adds a message, whose source must live as long as this. The messages of a rank follow each other
 * in the order of publication, and ranks in the order in which they are to be delivered. NOMEM. */
enum nauha_status nauha__shards_add(struct nauha__shards *shards,
                                    const struct nauha_message *message, struct nauha_error *err);

/* The next message, borrowed until the next call; NAUHA_END after the last one. DAMAGED: shards,
 * which err names, do not make up a whole tensor: some are missing, or they do not fit together;
 * the next call goes on after them. Shards of which only hashes or fingerprints were recorded are
 * returned as they are. NOMEM. */
enum nauha_status nauha__shards_next(struct nauha__shards *shards, struct nauha_message **message,
                                     struct nauha_error *err);

/* Whether a message is a whole that was put together. */
bool nauha__shards_is_whole(const struct nauha_message *message);

/* The message itself or, for a whole, one of the stored messages that it consists of. */
const struct nauha_message *nauha__shards_stored(const struct nauha_message *message);

#endif
