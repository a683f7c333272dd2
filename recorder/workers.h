/* SPDX-License-Identifier: MIT */
/* The threads that encode sealed blocks as chunks.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_RECORDER_WORKERS_H
#define NAUHA_RECORDER_WORKERS_H

#include "nauha/internal/codec.h"
#include "recorder/buffer.h"

struct nauha__compressor {
    pthread_t thread;
    bool reserve; /* it calls nauha__buffer_take_urgent */
    struct nauha__buffer *buffer;
    struct nauha__codec *codec; /* NULL: chunks are the blocks as they are */
    unsigned char *spare;       /* where the next chunk is encoded; NULL without a codec */
};

struct nauha__workers {
    struct nauha__compressor list[NAUHA__WORKERS_MAX + 1];
    size_t count;
};

struct nauha__workers_plan {
    size_t count; /* at most NAUHA__WORKERS_MAX */
    /* The workers have idle priority, and one more, in reserve, has normal priority and helps where
     * waiting for them would cost something. */
    bool idle;
};

/* Half of the processors that this process may use; the buffer lets most of them sleep while few
 * suffice. They are idle if OMP_WAIT_POLICY=passive says that the threads of the training sleep
 * while they wait. */
struct nauha__workers_plan nauha__workers_plan(void);
/* Starts them; those that were started before a failure run until nauha__workers_join. NOMEM, or
 * what pthread_create fails with. */
enum nauha_status nauha__workers_start(struct nauha__workers *workers, struct nauha__buffer *buffer,
                                       const struct nauha__codec_config *codec,
                                       struct nauha__workers_plan plan, struct nauha_error *err);
/* Waits, after nauha__buffer_close, until the workers have encoded all sealed blocks and ended. */
void nauha__workers_join(struct nauha__workers *workers);

#endif
