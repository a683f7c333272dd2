/* SPDX-License-Identifier: MIT */
/* The threads that turn sealed blocks into encoded chunks. */
#ifndef NAUHA_RECORDER_WORKERS_H
#define NAUHA_RECORDER_WORKERS_H

#include "nauha/internal/codec.h"
#include "recorder/buffer.h"

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

/* How many there may be use for on this machine; most sleep while few suffice. */
size_t nauha__workers_wanted(void);
/* Starts them, at most NAUHA__WORKERS_MAX. NOMEM. */
enum nauha_status nauha__workers_start(struct nauha__workers *workers, struct nauha__buffer *buffer,
                                       const struct nauha__codec_config *codec, size_t wanted,
                                       struct nauha_error *err);
/* Waits for them after nauha__buffer_close; they encode what is sealed first. */
void nauha__workers_join(struct nauha__workers *workers);

#endif
