/* SPDX-License-Identifier: MIT */
/* The flight recorder: it holds the elements of the last steps in blocks of the buffer, and hands
 * these to the workers only when it is asked to.
 *
 * A message whose row has a hash or a fingerprint is copied into a block of its stream, as one that
 * is kept in full is. The blocks get their numbers in the stream when they are written, so nothing
 * is copied again. Then a row of /elements says of each held message where its elements lie.
 *
 * Threads: the recorder's publish lock, but for nauha__flight_ask.
 */
#ifndef NAUHA_RECORDER_FLIGHT_H
#define NAUHA_RECORDER_FLIGHT_H

#include <stdatomic.h>

#include "recorder/writer.h"

/* A held message. */
struct nauha__held_message {
    uint64_t seq, step;
    uint64_t ordinal; /* of the block where its elements begin, among those held of the stream */
    uint32_t used;    /* bytes of this block before them */
    uint16_t stream;
};

/* The held blocks of a stream. Until a block is written, its number is its ordinal and its ticket
 * the last step that has elements in it. */
struct nauha__held_blocks {
    struct nauha__block *first, *last;
    uint64_t next_ordinal;
};

struct nauha__flight {
    uint64_t steps, after; /* as configured; 0 steps: off */
    uint64_t fits;         /* the fewest steps that were held after others had to leave for room */
    bool dropping;         /* the step `dropped` has no room by itself */
    uint64_t dropped;
    bool writing; /* steps up to `until` are written in full */
    uint64_t until;
    uint64_t held_steps;
    uint64_t dumps;                   /* so far */
    struct nauha__held_message *list; /* the messages that are held are those from `first` on */
    size_t first, count, capacity;
    struct nauha__held_blocks streams[NAUHA__PLAIN_STREAMS];

    atomic_bool asked;
    pthread_mutex_t lock; /* of `reason` */
    char reason[NAUHA__REASON_MAX + 1];
};

void nauha__flight_init(struct nauha__flight *flight, const struct nauha_recorder_config *config);
/* Gives the blocks back to the buffer. */
void nauha__flight_fini(struct nauha__flight *flight, struct nauha__buffer *buffer);

/* Holds the elements of a message with the number seq, a contiguous tensor of `bytes` bytes, and
 * lets older steps go to make room. Does nothing if the step has no room by itself. */
void nauha__flight_hold(struct nauha__flight *flight, struct nauha__buffer *buffer, uint32_t kind,
                        const struct nauha_tensor *tensor, size_t bytes, uint64_t step,
                        uint64_t seq);

/* Whether messages of this step are written in full, as it follows a dump. */
bool nauha__flight_writes(struct nauha__flight *flight, uint64_t step);

/* Asks for a dump. Any thread; waits for nothing. A second reason before the dump is left out. */
void nauha__flight_ask(struct nauha__flight *flight, const char *reason);

/* Does what was asked for, if anything was: writes the held steps. step: the open one. A reason in
 * steps that are written in full anyway changes nothing. */
void nauha__flight_answer(struct nauha__flight *flight, struct nauha__writer *writer,
                          uint64_t step);

#endif
