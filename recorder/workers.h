/* SPDX-License-Identifier: MIT */
/* The threads that turn sealed blocks into encoded chunks. */
#ifndef NAUHA_RECORDER_WORKERS_H
#define NAUHA_RECORDER_WORKERS_H

#include "nauha/internal/codec.h"
#include "recorder/buffer.h"

struct nauha__compressor {
    pthread_t thread;
    bool reserve; /* works only where waiting costs somebody */
    struct nauha__buffer *buffer;
    struct nauha__codec *codec;
    unsigned char *spare; /* what the next chunk is encoded into */
};

struct nauha__workers {
    struct nauha__compressor list[NAUHA__WORKERS_MAX + 1];
    size_t count;
};

struct nauha__workers_plan {
    size_t count; /* at most NAUHA__WORKERS_MAX */
    /* They run while nobody else would use the processor, and one more, in reserve, runs like any
     * thread where waiting for them costs somebody. */
    bool idle;
};

/* How many there may be use for on this machine; most sleep while few suffice. Idle ones where
 * OMP_WAIT_POLICY says that the training's threads sleep while they wait. */
struct nauha__workers_plan nauha__workers_plan(void);
/* Starts them. NOMEM. */
enum nauha_status nauha__workers_start(struct nauha__workers *workers, struct nauha__buffer *buffer,
                                       const struct nauha__codec_config *codec,
                                       struct nauha__workers_plan plan, struct nauha_error *err);
/* Waits for them after nauha__buffer_close; they encode what is sealed first. */
void nauha__workers_join(struct nauha__workers *workers);

#endif
