/* SPDX-License-Identifier: MIT */
/* A stream of bytes between two threads. The writer fills one buffer while the reader uses the
 * other. The writer wakes the reader only when much has been put, because waking it costs more than
 * writing the rows of a series; otherwise the reader looks by itself every few milliseconds.
 *
 * Threads: one writer and one reader, which may run at the same time.
 */
#include "replay/parallel/channel.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "nauha/array.h"
#include "nauha/internal/clock.h"

/* The reader is woken when so many bytes are waiting, */
#define WAKE_BYTES ((size_t)64 << 10)
/* and otherwise looks this often. */
#define LOOK_EVERY_NS 5000000u
/* The writer waits while so many bytes are waiting. */
#define FULL_BYTES ((size_t)1 << 20)

struct buffer {
    unsigned char *bytes;
    size_t size, capacity;
};

struct nauha__channel {
    pthread_mutex_t mutex;
    /* Signals: many bytes are waiting, all have been read, one of the two has left. */
    pthread_cond_t changed;
    struct buffer filling; /* lock: mutex */
    struct buffer taken;   /* the reader's */
    bool ended, left;      /* lock: mutex */
};

struct nauha__channel *nauha__channel_new(void) {
    struct nauha__channel *channel = calloc(1, sizeof *channel);
    if (!channel)
        return NULL;
    pthread_mutex_init(&channel->mutex, NULL);
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&channel->changed, &clock);
    pthread_condattr_destroy(&clock);
    return channel;
}

void nauha__channel_free(struct nauha__channel *channel) {
    if (!channel)
        return;
    pthread_cond_destroy(&channel->changed);
    pthread_mutex_destroy(&channel->mutex);
    free(channel->filling.bytes);
    free(channel->taken.bytes);
    free(channel);
}

static bool append(struct buffer *buffer, const void *bytes, size_t size) {
    if (!NAUHA_GROW(buffer->bytes, buffer->capacity, buffer->size + size))
        return false;
    memcpy(buffer->bytes + buffer->size, bytes, size);
    buffer->size += size;
    return true;
}

enum nauha_status nauha__channel_put(struct nauha__channel *channel, const void *bytes, size_t size,
                                     struct nauha_error *err) {
    pthread_mutex_lock(&channel->mutex);
    while (channel->filling.size >= FULL_BYTES && !channel->left)
        pthread_cond_wait(&channel->changed, &channel->mutex);
    const bool left = channel->left;
    const bool little = channel->filling.size < WAKE_BYTES;
    const bool put = !left && append(&channel->filling, bytes, size);
    if (put && little && channel->filling.size >= WAKE_BYTES)
        pthread_cond_signal(&channel->changed);
    pthread_mutex_unlock(&channel->mutex);
    if (left)
        return nauha_error_set(err, NAUHA_STATE, "the results of this worker are no longer needed");
    return put ? NAUHA_OK : nauha_error_nomem(err);
}

void nauha__channel_end(struct nauha__channel *channel) {
    pthread_mutex_lock(&channel->mutex);
    channel->ended = true;
    pthread_cond_signal(&channel->changed);
    pthread_mutex_unlock(&channel->mutex);
}

bool nauha__channel_left(struct nauha__channel *channel) {
    pthread_mutex_lock(&channel->mutex);
    const bool left = channel->left;
    pthread_mutex_unlock(&channel->mutex);
    return left;
}

/* Called with the mutex held. */
static void wait_a_little(struct nauha__channel *channel) {
    const struct timespec until = nauha__timespec(nauha__now_ns() + LOOK_EVERY_NS);
    pthread_cond_timedwait(&channel->changed, &channel->mutex, &until);
}

bool nauha__channel_take(struct nauha__channel *channel, bool wait, const unsigned char **bytes,
                         size_t *size) {
    pthread_mutex_lock(&channel->mutex);
    while (wait && channel->filling.size == 0 && !channel->ended)
        wait_a_little(channel);
    const struct buffer empty = {channel->taken.bytes, 0, channel->taken.capacity};
    channel->taken = channel->filling;
    channel->filling = empty;
    if (channel->taken.size >= FULL_BYTES)
        pthread_cond_signal(&channel->changed);
    pthread_mutex_unlock(&channel->mutex);
    *bytes = channel->taken.bytes;
    *size = channel->taken.size;
    return *size > 0;
}

void nauha__channel_leave(struct nauha__channel *channel) {
    pthread_mutex_lock(&channel->mutex);
    channel->left = true;
    pthread_cond_signal(&channel->changed);
    pthread_mutex_unlock(&channel->mutex);
}
