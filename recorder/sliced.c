/* SPDX-License-Identifier: MIT */
/* Filling sliced chunks, row by row; see sliced.h.
 *
 * Threads: the recorder's publish lock.
 */
#include "recorder/sliced.h"

#include <stdlib.h>
#include <string.h>

#include "nauha/array.h"
#include "nauha/internal/arithmetic.h"
#include "nauha/internal/gather.h"

#define CLASSES 4u
static const uint16_t slices_of_class[CLASSES] = {16, 8, 4, 2};
#define SIZES 4u

/* ---- streams ---- */

/* Weights or biases, then item size, then class. */
struct nauha__stream_shape nauha__sliced_stream_shape(uint16_t number) {
    if (number >= NAUHA__SLICED_STREAMS)
        return (struct nauha__stream_shape){0, 1, false};
    return (struct nauha__stream_shape){.item_size = (uint8_t)(1u << number / CLASSES % SIZES),
                                        .slices = slices_of_class[number % CLASSES]};
}

static size_t log2_of(size_t item_size) {
    return item_size == 1 ? 0 : item_size == 2 ? 1 : item_size == 4 ? 2 : 3;
}

static size_t slice_bytes(const struct nauha__buffer *buffer,
                          const struct nauha__sliced_blocks *run) {
    return NAUHA__CHUNK_BYTES / buffer->streams[run->stream].slices;
}

/* ---- sealing ---- */

static void seal(struct nauha__buffer *buffer, struct nauha__sliced_blocks *run) {
    for (size_t i = 0; i < run->count; i++) {
        struct nauha__block *block = run->blocks[i];
        block->rows = (uint16_t)(run->row + 1);
        /* A block that was reserved but not filled holds one zero. */
        if (block->used == 0)
            block->used = block->item_size;
        nauha__buffer_seal(buffer, block);
    }
    buffer->run_blocks -= run->count;
    run->count = run->filled = run->row = 0;
    run->row_ended = false;
}

void nauha__sliced_seal(struct nauha__buffer *buffer) {
    for (size_t bias = 0; bias < 2; bias++)
        for (size_t size = 0; size < SIZES; size++)
            seal(buffer, &buffer->runs[bias][size]);
}

void nauha__sliced_fini(struct nauha__buffer *buffer) {
    for (size_t bias = 0; bias < 2; bias++) {
        for (size_t size = 0; size < SIZES; size++) {
            struct nauha__sliced_blocks *run = &buffer->runs[bias][size];
            for (size_t i = 0; i < run->count; i++) {
                free(run->blocks[i]->data);
                free(run->blocks[i]);
            }
            free(run->blocks);
        }
    }
}

/* ---- rows ---- */

void nauha__sliced_next_row(struct nauha__buffer *buffer, size_t row_bytes) {
    buffer->row_bytes = row_bytes;
    for (size_t bias = 0; bias < 2; bias++)
        for (size_t size = 0; size < SIZES; size++)
            buffer->runs[bias][size].row_ended = buffer->runs[bias][size].count > 0;
}

/* Begins a run in the stream whose chunks have as many slices as the buffer has room for. Returns
 * false if there is no room for two. */
static bool begin(struct nauha__buffer *buffer, struct nauha__sliced_blocks *run, bool bias,
                  size_t size) {
    size_t room = buffer->max_blocks / 4 * NAUHA__CHUNK_BYTES;
    for (size_t class = 0; class < CLASSES; class ++) {
        if (buffer->row_bytes > room / slices_of_class[class])
            continue;
        size_t number = NAUHA__PLAIN_STREAMS + ((bias ? SIZES : 0) + size) * CLASSES + class;
        run->stream = (uint16_t)number;
        buffer->streams[number].used = true;
        buffer->streams[number].kind = bias ? NAUHA_KIND_BIASES : NAUHA_KIND_WEIGHTS;
        return true;
    }
    return false;
}

static void next_row(struct nauha__buffer *buffer, struct nauha__sliced_blocks *run) {
    if (run->row + 1u == buffer->streams[run->stream].slices) {
        seal(buffer, run);
        return;
    }
    run->row++;
    run->filled = 0;
    run->row_ended = false;
}

/* Reserves blocks until the run has `count`. LIMIT: that would mean waiting. NOMEM: out of memory,
 * or waiting for blocks of the run itself, which is sealed then. */
static enum nauha_status reserve(struct nauha__buffer *buffer, struct nauha__sliced_blocks *run,
                                 size_t count, bool wait) {
    struct nauha__buffer_stream *stream = &buffer->streams[run->stream];
    if (count > run->count && !wait && count - run->count > nauha__buffer_free_blocks(buffer))
        return NAUHA_LIMIT;
    if (!NAUHA_GROW(run->blocks, run->capacity, count))
        return NAUHA_NOMEM;
    while (run->count < count) {
        size_t before = run->count;
        struct nauha__block *block = nauha__buffer_take_free(buffer);
        if (block && run->count != before) {
            nauha__buffer_give_free(buffer, block);
            block = NULL;
        }
        if (!block)
            return NAUHA_NOMEM;
        memset(block->data, 0, NAUHA__CHUNK_BYTES);
        block->used = 0;
        block->slices = stream->slices;
        block->number = stream->next_number++;
        block->stream = run->stream;
        block->item_size = stream->item_size;
        run->blocks[run->count++] = block;
        buffer->run_blocks++;
    }
    return NAUHA_OK;
}

static void copy(struct nauha__buffer *buffer, struct nauha__sliced_blocks *run,
                 const struct nauha_tensor *tensor, size_t bytes) {
    size_t slice = slice_bytes(buffer, run), item_size = buffer->streams[run->stream].item_size;
    for (size_t done = 0; done < bytes;) {
        struct nauha__block *block = run->blocks[run->filled / slice];
        size_t within = run->filled % slice;
        size_t part = slice - within < bytes - done ? slice - within : bytes - done;
        unsigned char *at = block->data + run->row * slice + within;
        if (tensor->strides)
            nauha__gather(tensor, done / item_size, part / item_size, at);
        else
            memcpy(at, (const unsigned char *)tensor->data + done, part);
        if (block->used < within + part)
            block->used = within + part;
        run->filled += part;
        done += part;
    }
}

enum nauha_status nauha__sliced_put(struct nauha__buffer *buffer, bool bias,
                                    const struct nauha_tensor *tensor, size_t bytes, bool wait,
                                    struct nauha__place *place) {
    const uint32_t kind = bias ? NAUHA_KIND_BIASES : NAUHA_KIND_WEIGHTS;
    size_t item_size = nauha_dtype_size(tensor->dtype), size = log2_of(item_size);
    struct nauha__sliced_blocks *run = &buffer->runs[bias][size];
    if (run->row_ended)
        next_row(buffer, run);
    if (bytes == 0 || (run->count == 0 && !begin(buffer, run, bias, size)))
        return nauha__buffer_put(buffer, kind, tensor, bytes, 0, wait, place, NULL);
    size_t slice = slice_bytes(buffer, run), each = NAUHA__CHUNK_BYTES / item_size;
    enum nauha_status status =
        reserve(buffer, run, (run->filled + bytes + slice - 1) / slice, wait);
    if (status == NAUHA_NOMEM)
        return nauha__buffer_put(buffer, kind, tensor, bytes, 0, wait, place, NULL);
    if (status != NAUHA_OK)
        return status;
    place->stream = run->stream;
    place->offset =
        nauha__slice_position(run->blocks[0]->number * each + run->row * slice / item_size,
                              run->filled / item_size, each, slice / item_size);
    copy(buffer, run, tensor, bytes);
    return NAUHA_OK;
}
