/* SPDX-License-Identifier: MIT */
/* A cache of decoded chunks, which replaces the least recently used one.
 *
 * Threads: one at a time.
 */
#include <stdlib.h>

#include "nauha/array.h"
#include "replay/trace/chunks_parts.h"

#define NONE UINT32_MAX
/* For a run of sliced chunks, the cache grows by at most so many slots: 256 MB. */
#define RUN_MAX 1024u

static void unlink_slot(struct nauha__chunks *chunks, uint32_t at) {
    struct nauha__slot *slots = chunks->slots;
    slots[slots[at].newer].older = slots[at].older;
    slots[slots[at].older].newer = slots[at].newer;
    if (chunks->head == at)
        chunks->head = slots[at].older;
}

/* Inserts a slot that is in no ring before the latest one. */
static void link_front(struct nauha__chunks *chunks, uint32_t at, bool first) {
    struct nauha__slot *slots = chunks->slots;
    if (first) {
        slots[at].newer = slots[at].older = at;
    } else {
        uint32_t head = chunks->head, tail = slots[head].newer;
        slots[at].older = head;
        slots[at].newer = tail;
        slots[head].newer = at;
        slots[tail].older = at;
    }
    chunks->head = at;
}

static void touch(struct nauha__chunks *chunks, uint32_t at) {
    if (chunks->head == at)
        return;
    unlink_slot(chunks, at);
    link_front(chunks, at, false);
}

static uint32_t new_slot(struct nauha__chunks *chunks) {
    uint32_t at = chunks->slot_count;
    unsigned char *data = malloc(chunks->chunk_bytes);
    if (!data)
        return NONE;
    chunks->slots[at] = (struct nauha__slot){.data = data};
    chunks->slot_count++;
    chunks->counts.cache_bytes += chunks->chunk_bytes;
    link_front(chunks, at, at == 0);
    return at;
}

/* The least recently used slot that is neither pinned nor the latest one. */
static uint32_t find_victim(const struct nauha__chunks *chunks) {
    if (chunks->slot_count == 0)
        return NONE;
    uint32_t at = chunks->slots[chunks->head].newer;
    while (at != chunks->head && chunks->slots[at].pins > 0)
        at = chunks->slots[at].newer;
    return at == chunks->head ? NONE : at;
}

/* Returns a slot to fill, as the latest one. A slot that is spent is taken before a new one,
 * because its memory may still be in the processor's cache. */
static enum nauha_status take_slot(struct nauha__chunks *chunks, uint32_t *taken,
                                   struct nauha_error *err) {
    uint32_t at = find_victim(chunks);
    if ((at == NONE || !chunks->slots[at].spent) && chunks->slot_count < chunks->slot_max) {
        *taken = new_slot(chunks);
        if (*taken != NONE)
            return NAUHA_OK;
        if (at == NONE)
            return nauha__chunks_no_memory(chunks, err);
    }
    if (at == NONE)
        return nauha_error_set(err, NAUHA_LIMIT,
                               "trace \"%s\": visits of messages are nested too deeply",
                               chunks->path);
    touch(chunks, at);
    if (chunks->slots[at].chunk)
        chunks->slots[at].chunk->slot = 0;
    chunks->slots[at].chunk = NULL;
    chunks->slots[at].spent = false;
    *taken = at;
    return NAUHA_OK;
}

/* A sliced chunk is read again for each of its slices, after all other chunks of its run, so the
 * cache should have room for all of them. When reading goes back in the stream, the next slice
 * begins. */
static void make_room(struct nauha__chunks *chunks, const struct nauha__chunk *chunk) {
    struct nauha__trace_stream *stream = chunks->streams[chunk->stream];
    if (stream->slices == 1 || chunk->number >= stream->highest) {
        stream->highest = chunk->number;
        return;
    }
    uint64_t run = stream->highest - chunk->number + 1;
    stream->highest = chunk->number;
    if (run <= stream->run || run > RUN_MAX)
        return;
    uint32_t wanted = chunks->slot_max + (uint32_t)run - stream->run;
    if (wanted > NAUHA__SLOTS_MAX)
        return;
    if (!NAUHA_GROW(chunks->slots, chunks->slot_capacity, wanted))
        return; /* without more room reading is slower, but not wrong */
    chunks->slot_max = wanted;
    stream->run = (uint32_t)run;
}

enum nauha_status nauha__chunk_fetch(struct nauha__chunks *chunks, struct nauha__chunk *chunk,
                                     const unsigned char **data, struct nauha_error *err) {
    make_room(chunks, chunk);
    if (chunk->slot) {
        chunks->counts.reused++;
        touch(chunks, chunk->slot - 1);
        chunks->slots[chunk->slot - 1].spent = false;
        *data = chunks->slots[chunk->slot - 1].data;
        return NAUHA_OK;
    }
    uint32_t at = 0;
    enum nauha_status status = take_slot(chunks, &at, err);
    if (status == NAUHA_OK)
        status = nauha__chunk_decode(chunks, chunk, chunks->slots[at].data, err);
    if (status != NAUHA_OK)
        return status;
    chunks->slots[at].chunk = chunk;
    chunk->slot = at + 1;
    *data = chunks->slots[at].data;
    return NAUHA_OK;
}

uint32_t nauha__chunk_pin(struct nauha__chunks *chunks) {
    chunks->slots[chunks->head].pins++;
    return chunks->head;
}

void nauha__chunk_unpin(struct nauha__chunks *chunks, uint32_t pinned, bool spent) {
    struct nauha__slot *slot = &chunks->slots[pinned];
    if (--slot->pins > 0 || !spent)
        return;
    /* The ring is closed: the slot before the latest one is the next to be replaced. */
    slot->spent = true;
    touch(chunks, pinned);
    chunks->head = slot->older;
}
