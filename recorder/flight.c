/* SPDX-License-Identifier: MIT */
/* Holding the last steps, and writing them; see flight.h.
 *
 * Threads: the recorder's publish lock, but for nauha__flight_ask.
 */
#include "recorder/flight.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nauha/array.h"
#include "recorder/keeping.h"

/* ---- life ---- */

void nauha__flight_init(struct nauha__flight *flight, const struct nauha_recorder_config *config) {
    memset(flight, 0, sizeof *flight);
    pthread_mutex_init(&flight->lock, NULL);
    flight->steps = nauha__keeping_flight(config->keeping, &flight->after);
    flight->fits = flight->steps;
}

/* ---- letting go ---- */

/* The first held block of a stream, which is held no longer. */
static struct nauha__block *take_first(struct nauha__held_blocks *held,
                                       struct nauha__buffer *buffer) {
    struct nauha__block *block = held->first;
    held->first = block->next;
    if (!held->first)
        held->last = NULL;
    buffer->held_blocks--;
    return block;
}

static void drop_oldest_step(struct nauha__flight *flight, struct nauha__buffer *buffer) {
    const uint64_t step = flight->list[flight->first].step;
    while (flight->first < flight->count && flight->list[flight->first].step == step)
        flight->first++;
    flight->held_steps--;
    for (size_t i = 0; i < NAUHA__PLAIN_STREAMS; i++)
        while (flight->streams[i].first && flight->streams[i].first->ticket <= step)
            nauha__buffer_give_free(buffer, take_first(&flight->streams[i], buffer));
}

void nauha__flight_fini(struct nauha__flight *flight, struct nauha__buffer *buffer) {
    while (flight->held_steps > 0)
        drop_oldest_step(flight, buffer);
    free(flight->list);
    pthread_mutex_destroy(&flight->lock);
}

/* ---- holding ---- */

/* A quarter of the buffer remains for what is written. */
static size_t most_blocks(const struct nauha__buffer *buffer) {
    return buffer->max_blocks - buffer->max_blocks / 4 - 1;
}

/* Makes room for one more block by letting go of steps before this one. */
static bool make_room(struct nauha__flight *flight, struct nauha__buffer *buffer, uint64_t step) {
    while (buffer->held_blocks >= most_blocks(buffer)) {
        if (flight->list[flight->first].step == step) {
            flight->fits = 0;
            return false;
        }
        drop_oldest_step(flight, buffer);
        if (flight->held_steps < flight->fits)
            flight->fits = flight->held_steps;
    }
    return true;
}

static struct nauha__block *add_block(struct nauha__flight *flight, struct nauha__buffer *buffer,
                                      uint16_t stream, uint64_t step) {
    struct nauha__held_blocks *held = &flight->streams[stream];
    struct nauha__block *block =
        make_room(flight, buffer, step) ? nauha__buffer_take_free(buffer) : NULL;
    if (!block)
        return NULL;
    buffer->held_blocks++;
    block->next = NULL;
    block->used = 0;
    block->slices = block->rows = 1;
    block->number = held->next_ordinal++;
    block->stream = stream;
    block->item_size = buffer->streams[stream].item_size;
    *(held->last ? &held->last->next : &held->first) = block;
    held->last = block;
    return block;
}

/* The block that takes the next bytes of a stream. */
static struct nauha__block *open_block(struct nauha__flight *flight, struct nauha__buffer *buffer,
                                       uint16_t stream, uint64_t step) {
    struct nauha__block *block = flight->streams[stream].last;
    if (!block || block->used == NAUHA__CHUNK_BYTES)
        block = add_block(flight, buffer, stream, step);
    if (block)
        block->ticket = step;
    return block;
}

static bool copy(struct nauha__flight *flight, struct nauha__buffer *buffer, const void *data,
                 size_t bytes, struct nauha__held_message *message) {
    for (size_t done = 0; done < bytes;) {
        struct nauha__block *block = open_block(flight, buffer, message->stream, message->step);
        if (!block)
            return false;
        const size_t room = NAUHA__CHUNK_BYTES - block->used;
        const size_t part = bytes - done < room ? bytes - done : room;
        if (done == 0) {
            message->ordinal = block->number;
            message->used = (uint32_t)block->used;
        }
        memcpy(block->data + block->used, (const unsigned char *)data + done, part);
        block->used += part;
        done += part;
    }
    return true;
}

/* Room for one more message in the list, whose front may be free. */
static bool grow(struct nauha__flight *flight) {
    if (flight->first > flight->count / 2) {
        flight->count -= flight->first;
        memmove(flight->list, flight->list + flight->first, flight->count * sizeof *flight->list);
        flight->first = 0;
    }
    return NAUHA_GROW(flight->list, flight->capacity, flight->count + 1);
}

/* Lets go of everything that is held, which is of this step alone, and of what follows in it. */
static void drop_step(struct nauha__flight *flight, struct nauha__buffer *buffer, uint64_t step) {
    while (flight->held_steps > 0)
        drop_oldest_step(flight, buffer);
    flight->dropping = true;
    flight->dropped = step;
}

void nauha__flight_hold(struct nauha__flight *flight, struct nauha__buffer *buffer, uint32_t kind,
                        const struct nauha_tensor *tensor, size_t bytes, uint64_t step,
                        uint64_t seq) {
    if (flight->steps == 0 || bytes == 0 || (flight->dropping && flight->dropped == step))
        return;
    struct nauha__held_message message = {
        .seq = seq,
        .step = step,
        .stream = nauha__buffer_stream(buffer, kind, nauha_dtype_size(tensor->dtype), bytes)};
    if (message.stream == NAUHA__NO_STREAM || !grow(flight)) {
        drop_step(flight, buffer, step);
        return;
    }
    const bool begins = flight->held_steps == 0 || flight->list[flight->count - 1].step != step;
    if (begins && flight->held_steps == flight->steps)
        drop_oldest_step(flight, buffer);
    flight->held_steps += begins;
    flight->list[flight->count++] = message;
    if (!copy(flight, buffer, tensor->data, bytes, &message))
        drop_step(flight, buffer, step);
    else
        flight->list[flight->count - 1] = message;
}

/* ---- writing ---- */

bool nauha__flight_writes(struct nauha__flight *flight, uint64_t step) {
    flight->writing = flight->writing && step <= flight->until;
    return flight->writing;
}

void nauha__flight_ask(struct nauha__flight *flight, const char *reason) {
    pthread_mutex_lock(&flight->lock);
    if (!atomic_load(&flight->asked))
        snprintf(flight->reason, sizeof flight->reason, "%s", reason);
    atomic_store(&flight->asked, true);
    pthread_mutex_unlock(&flight->lock);
}

/* Hands the held blocks of a stream, which has no open one, to the workers. Returns what their
 * ordinals have to be increased by to become numbers of chunks. */
static uint64_t write_blocks(struct nauha__held_blocks *held, struct nauha__buffer *buffer,
                             uint16_t stream) {
    if (!held->first)
        return 0;
    const uint64_t shift = buffer->streams[stream].next_number - held->first->number;
    while (held->first)
        nauha__buffer_adopt(buffer, take_first(held, buffer));
    return shift;
}

static void write_held(struct nauha__flight *flight, struct nauha__writer *writer) {
    struct nauha__buffer *buffer = &writer->buffer;
    uint64_t shifts[NAUHA__PLAIN_STREAMS];
    nauha__buffer_seal_all(
        buffer); /* fingerprints come first, if there is no room for everything */
    for (uint16_t i = 0; i < NAUHA__PLAIN_STREAMS; i++)
        shifts[i] = write_blocks(&flight->streams[i], buffer, i);
    for (size_t i = flight->first; i < flight->count; i++) {
        const struct nauha__held_message *message = &flight->list[i];
        const uint64_t chunk = message->ordinal + shifts[message->stream];
        const struct nauha__elements_row row = {.seq = message->seq,
                                                .stream = message->stream,
                                                .offset =
                                                    (chunk * NAUHA__CHUNK_BYTES + message->used) /
                                                    buffer->streams[message->stream].item_size};
        nauha__writer_add_elements(writer, &row);
    }
    flight->first = flight->count = 0;
    flight->held_steps = 0;
}

void nauha__flight_answer(struct nauha__flight *flight, struct nauha__writer *writer,
                          uint64_t step) {
    if (!atomic_load_explicit(&flight->asked, memory_order_acquire))
        return;
    struct nauha__dump_row row = {
        .step = step, .first_step = step + 1, .last_step = step + flight->after};
    pthread_mutex_lock(&flight->lock);
    memcpy(row.reason, flight->reason, sizeof row.reason);
    atomic_store(&flight->asked, false);
    pthread_mutex_unlock(&flight->lock);
    if (nauha__flight_writes(flight, step))
        return;
    if (flight->held_steps > 0)
        row.first_step = flight->list[flight->first].step;
    flight->writing = true;
    flight->until = row.last_step;
    write_held(flight, writer);
    nauha__writer_add_dump(writer, &row);
    flight->dumps++;
}
