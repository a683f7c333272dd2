/* SPDX-License-Identifier: MIT */
/* Blocks, streams and queues; see buffer.h.
 *
 * Threads: see buffer.h.
 */
#include "recorder/buffer.h"

#include <stdlib.h>
#include <string.h>

#include "nauha/array.h"
#include "nauha/internal/arithmetic.h"
#include "nauha/internal/clock.h"
#include "nauha/internal/codec.h"
#include "nauha/internal/gather.h"
#include "nauha/internal/hash.h"
#include "recorder/reduce.h"
#include "recorder/sliced.h"

#define UNASSIGNED NAUHA__NO_STREAM
#define BLOCKS_MIN 4u
/* Entries of by_kind for one kind: two widths of four item sizes. */
#define PLACES_OF_KIND 8u

/* ---- streams ---- */

static const uint8_t item_sizes[] = {4, 2, 8, 1};

struct nauha__stream_shape nauha__stream_shape(uint16_t number) {
    unsigned rest = number;
    for (size_t i = 0; i < sizeof item_sizes; i++) {
        unsigned each = NAUHA__STREAMS_OF_SIZE(item_sizes[i]);
        if (rest < 2 * each)
            return (struct nauha__stream_shape){item_sizes[i], 1, rest >= each};
        rest -= 2 * each;
    }
    return nauha__sliced_stream_shape((uint16_t)rest);
}

static bool grow_by_kind(struct nauha__buffer *buffer, uint32_t kind) {
    const size_t before = buffer->by_kind_count, wanted = ((size_t)kind + 32) * PLACES_OF_KIND;
    if (!NAUHA_GROW(buffer->by_kind, buffer->by_kind_count, wanted))
        return false;
    for (size_t i = before; i < buffer->by_kind_count; i++)
        buffer->by_kind[i] = UNASSIGNED;
    return true;
}

/* The first free stream of this shape or, if there is none, the last one, which kinds then
 * share. */
static uint16_t assign(struct nauha__buffer *buffer, uint32_t kind, size_t item_size, bool big) {
    uint16_t last = UNASSIGNED;
    for (uint16_t i = 0; i < NAUHA__PLAIN_STREAMS; i++) {
        struct nauha__buffer_stream *stream = &buffer->streams[i];
        if (stream->item_size != item_size || stream->big != big)
            continue;
        last = i;
        if (!stream->used) {
            stream->used = true;
            stream->kind = (uint16_t)kind;
            return i;
        }
    }
    buffer->streams[last].kind = UINT16_MAX;
    return last;
}

uint16_t nauha__buffer_stream(struct nauha__buffer *buffer, uint32_t kind, size_t item_size,
                              size_t bytes) {
    bool big = bytes >= NAUHA__BIG_BYTES;
    size_t place = (size_t)kind * PLACES_OF_KIND + (big ? 4u : 0u) +
                   (item_size == 1   ? 0u
                    : item_size == 2 ? 1u
                    : item_size == 4 ? 2u
                                     : 3u);
    if (place >= buffer->by_kind_count && !grow_by_kind(buffer, kind))
        return UNASSIGNED;
    if (buffer->by_kind[place] == UNASSIGNED)
        buffer->by_kind[place] = assign(buffer, kind, item_size, big);
    return buffer->by_kind[place];
}

/* ---- blocks ---- */

static void queue_init(struct nauha__queue *queue) {
    queue->head = NULL;
    queue->tail = &queue->head;
}

static void queue_push(struct nauha__queue *queue, struct nauha__block *block) {
    block->next = NULL;
    *queue->tail = block;
    queue->tail = &block->next;
}

static struct nauha__block *queue_pop(struct nauha__queue *queue) {
    struct nauha__block *block = queue->head;
    if (block) {
        queue->head = block->next;
        if (!queue->head)
            queue->tail = &queue->head;
    }
    return block;
}

static struct nauha__block *allocate(struct nauha__buffer *buffer) {
    struct nauha__block *block = calloc(1, sizeof *block);
    if (block && posix_memalign((void **)&block->data, 64, buffer->block_bytes) != 0) {
        free(block);
        block = NULL;
    }
    return block;
}

/* Whether one more worker should take a block; pool lock held. */
static bool wants_worker(const struct nauha__buffer *buffer) {
    const size_t each = buffer->max_blocks / (2 * NAUHA__WORKERS_MAX);
    return buffer->waiting > buffer->encoding * each;
}

void nauha__buffer_seal(struct nauha__buffer *buffer, struct nauha__block *block) {
    pthread_mutex_lock(&buffer->lock);
    block->ticket = buffer->sealed_count++;
    queue_push(&buffer->sealed, block);
    buffer->waiting++;
    if (wants_worker(buffer))
        pthread_cond_signal(&buffer->sealed_more);
    pthread_mutex_unlock(&buffer->lock);
}

static void pad_and_seal(struct nauha__buffer *buffer, struct nauha__block *block) {
    if (block->used < NAUHA__CHUNK_BYTES)
        memset(block->data + block->used, 0, NAUHA__CHUNK_BYTES - block->used);
    nauha__buffer_seal(buffer, block);
}

static void seal(struct nauha__buffer *buffer, struct nauha__buffer_stream *stream) {
    struct nauha__block *block = stream->open;
    stream->open = NULL;
    pad_and_seal(buffer, block);
}

void nauha__buffer_adopt(struct nauha__buffer *buffer, struct nauha__block *block) {
    block->number = buffer->streams[block->stream].next_number++;
    pad_and_seal(buffer, block);
}

static void seal_streams(struct nauha__buffer *buffer) {
    for (size_t i = 0; i < NAUHA__PLAIN_STREAMS; i++) {
        if (buffer->streams[i].open)
            seal(buffer, &buffer->streams[i]);
    }
}

uint64_t nauha__buffer_seal_all(struct nauha__buffer *buffer) {
    seal_streams(buffer);
    nauha__sliced_seal(buffer);
    pthread_mutex_lock(&buffer->lock);
    uint64_t count = buffer->sealed_count;
    pthread_mutex_unlock(&buffer->lock);
    return count;
}

/* Called with the pool lock held. Memory is allocated when it is first needed. */
static struct nauha__block *try_take_free(struct nauha__buffer *buffer) {
    struct nauha__block *block = buffer->free;
    if (block) {
        buffer->free = block->next;
        buffer->free_count--;
    } else if (buffer->allocated < buffer->max_blocks && (block = allocate(buffer))) {
        buffer->allocated++;
    } else if (buffer->allocated > 0) {
        buffer->max_blocks = buffer->allocated; /* all blocks, or as many as memory allows */
    }
    return block;
}

/* The publish lock is held while this waits, so no other thread can seal the blocks that are partly
 * filled: this function does it. Runs are left to grow as long as other blocks become free. */
struct nauha__block *nauha__buffer_take_free(struct nauha__buffer *buffer) {
    pthread_mutex_lock(&buffer->lock);
    struct nauha__block *block = try_take_free(buffer);
    if (!block && buffer->allocated > 0) {
        uint64_t since = nauha__now_ns();
        bool all_in_runs = buffer->run_blocks + buffer->held_blocks == buffer->allocated;
        pthread_mutex_unlock(&buffer->lock);
        seal_streams(buffer);
        if (all_in_runs)
            nauha__sliced_seal(buffer);
        pthread_mutex_lock(&buffer->lock);
        buffer->out_of_room = true;
        pthread_cond_signal(&buffer->urgent);
        while (!(block = try_take_free(buffer)))
            pthread_cond_wait(&buffer->freed, &buffer->lock);
        buffer->out_of_room = false;
        buffer->blocked_ns += nauha__now_ns() - since;
    }
    pthread_mutex_unlock(&buffer->lock);
    return block;
}

static bool open_block(struct nauha__buffer *buffer, uint16_t number) {
    struct nauha__buffer_stream *stream = &buffer->streams[number];
    struct nauha__block *block = nauha__buffer_take_free(buffer);
    if (!block)
        return false;
    block->used = 0;
    block->slices = block->rows = 1;
    block->number = stream->next_number++;
    block->stream = number;
    block->item_size = stream->item_size;
    stream->open = block;
    return true;
}

size_t nauha__buffer_free_blocks(struct nauha__buffer *buffer) {
    pthread_mutex_lock(&buffer->lock);
    size_t count = buffer->free_count + (buffer->max_blocks - buffer->allocated);
    pthread_mutex_unlock(&buffer->lock);
    return count;
}

/* Whether `bytes` more fit without waiting for a free block. */
static bool has_room(struct nauha__buffer *buffer, const struct nauha__buffer_stream *stream,
                     size_t bytes) {
    size_t left = stream->open ? NAUHA__CHUNK_BYTES - stream->open->used : 0;
    if (bytes <= left)
        return true;
    size_t blocks = (bytes - left + NAUHA__CHUNK_BYTES - 1) / NAUHA__CHUNK_BYTES;
    return blocks <= nauha__buffer_free_blocks(buffer);
}

enum nauha_status nauha__buffer_put(struct nauha__buffer *buffer, uint32_t kind,
                                    const struct nauha_tensor *tensor, size_t bytes, unsigned bits,
                                    bool wait, struct nauha__place *place, uint64_t *hash) {
    *place = (struct nauha__place){NAUHA__NO_STREAM, 0};
    if (bytes == 0)
        return NAUHA_OK;
    size_t item_size = nauha_dtype_size(tensor->dtype);
    uint16_t number = nauha__buffer_stream(buffer, kind, item_size, bytes);
    if (number == UNASSIGNED)
        return NAUHA_NOMEM;
    struct nauha__buffer_stream *stream = &buffer->streams[number];
    if (!wait && !has_room(buffer, stream, bytes)) {
        nauha__buffer_hurry(buffer, UINT64_MAX);
        return NAUHA_LIMIT;
    }
    if (!stream->open && !open_block(buffer, number))
        return NAUHA_NOMEM;
    place->stream = number;
    place->offset = (stream->open->number * NAUHA__CHUNK_BYTES + stream->open->used) / item_size;

    size_t done = 0;
    if (hash)
        nauha__hasher_begin(buffer->hasher);
    while (done < bytes) {
        /* The pool has at least the block of this stream, so waiting for a block ends. */
        if (!stream->open && !open_block(buffer, number))
            return NAUHA_NOMEM;
        struct nauha__block *block = stream->open;
        size_t part = NAUHA__CHUNK_BYTES - block->used;
        if (part > bytes - done)
            part = bytes - done;
        if (tensor->strides)
            nauha__gather(tensor, done / item_size, part / item_size, block->data + block->used);
        else
            memcpy(block->data + block->used, (const unsigned char *)tensor->data + done, part);
        if (hash)
            nauha__hasher_add(buffer->hasher, block->data + block->used, part);
        if (bits)
            nauha__round(tensor->dtype, bits, block->data + block->used, part / item_size);
        block->used += part;
        done += part;
        if (block->used == NAUHA__CHUNK_BYTES)
            seal(buffer, stream);
    }
    if (hash)
        nauha__hasher_end(buffer->hasher, hash);
    return NAUHA_OK;
}

/* ---- between the threads ---- */

void nauha__buffer_choose(struct nauha__buffer *buffer, size_t workers) {
    pthread_mutex_lock(&buffer->lock);
    buffer->choosers = workers;
    pthread_mutex_unlock(&buffer->lock);
}

/* Pool lock held. */
static bool is_better_raw(struct nauha__buffer *buffer) {
    const struct nauha__fill fill = {.sealed = buffer->waiting,
                                     .encoded = buffer->ready,
                                     .room = buffer->max_blocks,
                                     .workers = buffer->choosers};
    return buffer->choosers > 0 && nauha__choose_raw(&buffer->choice, &fill);
}

/* Pool lock held. */
static struct nauha__block *begin_encoding(struct nauha__buffer *buffer) {
    struct nauha__block *block = queue_pop(&buffer->sealed);
    if (block) {
        buffer->waiting--;
        buffer->encoding++;
        block->raw = is_better_raw(buffer);
    }
    return block;
}

struct nauha__block *nauha__buffer_take_sealed(struct nauha__buffer *buffer) {
    pthread_mutex_lock(&buffer->lock);
    while (!wants_worker(buffer) && !buffer->closing)
        pthread_cond_wait(&buffer->sealed_more, &buffer->lock);
    struct nauha__block *block = begin_encoding(buffer);
    pthread_mutex_unlock(&buffer->lock);
    return block;
}

/* Pool lock held. */
static bool is_urgent(const struct nauha__buffer *buffer) {
    const struct nauha__block *next = buffer->sealed.head;
    return next && (buffer->out_of_room || next->ticket < buffer->urgent_count);
}

struct nauha__block *nauha__buffer_take_urgent(struct nauha__buffer *buffer) {
    pthread_mutex_lock(&buffer->lock);
    while (!is_urgent(buffer) && !buffer->closing) {
        if (wants_worker(buffer)) /* a worker may have left the block to this thread */
            pthread_cond_signal(&buffer->sealed_more);
        pthread_cond_wait(&buffer->urgent, &buffer->lock);
    }
    struct nauha__block *block = begin_encoding(buffer);
    pthread_mutex_unlock(&buffer->lock);
    return block;
}

void nauha__buffer_hurry(struct nauha__buffer *buffer, uint64_t ticket) {
    pthread_mutex_lock(&buffer->lock);
    if (ticket > buffer->sealed_count)
        ticket = buffer->sealed_count;
    if (buffer->urgent_count < ticket)
        buffer->urgent_count = ticket;
    pthread_cond_signal(&buffer->urgent);
    pthread_mutex_unlock(&buffer->lock);
}

void nauha__buffer_give_encoded(struct nauha__buffer *buffer, struct nauha__block *block) {
    pthread_mutex_lock(&buffer->lock);
    buffer->encoding--;
    buffer->ready++;
    queue_push(&buffer->encoded, block);
    pthread_cond_signal(&buffer->encoded_more);
    pthread_mutex_unlock(&buffer->lock);
}

struct nauha__block *nauha__buffer_take_encoded(struct nauha__buffer *buffer,
                                                const struct timespec *deadline) {
    pthread_mutex_lock(&buffer->lock);
    struct nauha__block *block = queue_pop(&buffer->encoded);
    if (!block && !buffer->woken) {
        pthread_cond_timedwait(&buffer->encoded_more, &buffer->lock, deadline);
        block = queue_pop(&buffer->encoded);
    }
    buffer->woken = false;
    if (block)
        buffer->ready--;
    pthread_mutex_unlock(&buffer->lock);
    return block;
}

bool nauha__buffer_writer_is_late(struct nauha__buffer *buffer) {
    pthread_mutex_lock(&buffer->lock);
    const bool late = buffer->closing || buffer->ready > buffer->max_blocks / 8;
    pthread_mutex_unlock(&buffer->lock);
    return late;
}

void nauha__buffer_give_free(struct nauha__buffer *buffer, struct nauha__block *block) {
    pthread_mutex_lock(&buffer->lock);
    block->next = buffer->free;
    buffer->free = block;
    buffer->free_count++;
    pthread_cond_signal(&buffer->freed);
    pthread_mutex_unlock(&buffer->lock);
}

void nauha__buffer_wake_writer(struct nauha__buffer *buffer) {
    pthread_mutex_lock(&buffer->lock);
    buffer->woken = true;
    pthread_cond_signal(&buffer->encoded_more);
    pthread_mutex_unlock(&buffer->lock);
}

void nauha__buffer_close(struct nauha__buffer *buffer) {
    pthread_mutex_lock(&buffer->lock);
    buffer->closing = true;
    pthread_cond_broadcast(&buffer->sealed_more);
    pthread_cond_broadcast(&buffer->urgent);
    pthread_cond_broadcast(&buffer->encoded_more);
    pthread_mutex_unlock(&buffer->lock);
}

/* ---- making and freeing ---- */

enum nauha_status nauha__buffer_init(struct nauha__buffer *buffer, uint64_t bytes,
                                     struct nauha_error *err) {
    memset(buffer, 0, sizeof *buffer);
    buffer->block_bytes = nauha__codec_bound(NAUHA__CHUNK_BYTES);
    buffer->max_blocks = (size_t)(bytes / NAUHA__CHUNK_BYTES);
    if (buffer->max_blocks < BLOCKS_MIN)
        buffer->max_blocks = BLOCKS_MIN;
    for (uint16_t i = 0; i < NAUHA__STREAMS; i++) {
        struct nauha__stream_shape shape = nauha__stream_shape(i);
        buffer->streams[i] = (struct nauha__buffer_stream){
            .item_size = shape.item_size, .slices = shape.slices, .big = shape.big};
    }
    queue_init(&buffer->sealed);
    queue_init(&buffer->encoded);
    pthread_condattr_t monotonic;
    buffer->hasher = nauha__hasher_new();
    if (!buffer->hasher || pthread_condattr_init(&monotonic) != 0) {
        nauha__hasher_free(buffer->hasher);
        return nauha_error_set(err, NAUHA_NOMEM, "no memory for the recorder's buffer");
    }
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&buffer->lock, NULL);
    pthread_cond_init(&buffer->freed, NULL);
    pthread_cond_init(&buffer->sealed_more, NULL);
    pthread_cond_init(&buffer->urgent, NULL);
    pthread_cond_init(&buffer->encoded_more, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return NAUHA_OK;
}

static void free_blocks(struct nauha__block *block) {
    while (block) {
        struct nauha__block *next = block->next;
        free(block->data);
        free(block);
        block = next;
    }
}

void nauha__buffer_fini(struct nauha__buffer *buffer) {
    for (size_t i = 0; i < NAUHA__STREAMS; i++) {
        if (buffer->streams[i].open)
            buffer->streams[i].open->next = NULL;
        free_blocks(buffer->streams[i].open);
    }
    nauha__sliced_fini(buffer);
    free_blocks(buffer->free);
    free_blocks(buffer->sealed.head);
    free_blocks(buffer->encoded.head);
    free(buffer->by_kind);
    nauha__hasher_free(buffer->hasher);
    pthread_mutex_destroy(&buffer->lock);
    pthread_cond_destroy(&buffer->freed);
    pthread_cond_destroy(&buffer->sealed_more);
    pthread_cond_destroy(&buffer->urgent);
    pthread_cond_destroy(&buffer->encoded_more);
}
