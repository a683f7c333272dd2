/* SPDX-License-Identifier: MIT */
/* The threads that turn sealed blocks into encoded chunks. */
#ifndef NAUHA_RECORDER_WORKERS_H
#define NAUHA_RECORDER_WORKERS_H

#include "nauha/internal/codec.h"
#include "recorder/buffer.h"

#define NAUHA__WORKERS_MAX 8u

struct nauha__worker {
    pthread_t thread;
    struct nauha__buffer *buffer;
    struct nauha__codec *codec;
    unsigned char *spare; /* what the next chunk is encoded into */
};

struct nauha__workers {
    struct nauha__worker list[NAUHA__WORKERS_MAX];
    size_t count;
};

/* Starts as many workers as leave the training most of the machine. NOMEM. */
enum nauha_status nauha__workers_start(struct nauha__workers *workers, struct nauha__buffer *buffer,
                                       const struct nauha__codec_config *codec,
                                       struct nauha_error *err);
/* Waits for them after nauha__buffer_close; they encode what is sealed first. */
void nauha__workers_join(struct nauha__workers *workers);

#endif
