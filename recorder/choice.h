/* SPDX-License-Identifier: MIT */
/* Whether the next chunk is compressed or stored as it is, for the codec `auto`.
 *
 * Compressing takes processor time and leaves less to write. Which of the two is short shows in the
 * queues: blocks pile up before the workers where processors are short, and behind them, before the
 * writer, where the disk is. So the choice needs no clock and no measured speed. As zstd's --adapt,
 * it goes on as it did while neither queue says otherwise.
 *
 * Threads: the caller's lock.
 */
#ifndef NAUHA_RECORDER_CHOICE_H
#define NAUHA_RECORDER_CHOICE_H

#include <stdbool.h>
#include <stddef.h>

/* What there is at the moment at which a worker takes a block, in blocks. */
struct nauha__fill {
    size_t sealed;  /* that wait for a worker */
    size_t encoded; /* that wait for the writer */
    size_t room;    /* all that the buffer can have */
    size_t workers; /* how many threads encode, at least 1 */
};

/* Begins as {0}: chunks are compressed. */
struct nauha__choice {
    bool raw; /* what was chosen last */
};

/* Whether the next chunk is stored as it is. */
bool nauha__choose_raw(struct nauha__choice *choice, const struct nauha__fill *fill);

#endif
