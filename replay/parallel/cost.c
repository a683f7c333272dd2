/* SPDX-License-Identifier: MIT */
/* The cost of messages; see cost.h. Decoding a chunk may cost ten times as much as decoding another
 * of the same size on disk, depending on how much of it is entropy coded. The first chunk of each
 * kind of each module stands for the others.
 *
 * Threads: one at a time.
 */
#include "replay/parallel/cost.h"

#include <stdlib.h>

#include "replay/trace/parts.h"
#include "replay/trace/shards.h"

/* Costs measured with norms of tensors of trainings, in units of 0.06 ns, which a norm takes for a
 * byte: reading and checking a byte, decoding an entropy-coded byte, putting a byte in its place,
 * and a message of any size. */
enum { READ = 3, CODED = 20, PLACED = 1, MESSAGE = 12000 };
/* At most so many chunks are examined; later chunks are taken to be like others of their stream. */
#define LOOKS_MAX 256u

/* Parts of the bytes of a chunk; negative if not known. */
struct makeup {
    float stored, coded;
};

/* The last chunk of a stream that was examined. */
struct look {
    const struct nauha_trace *trace;
    const struct nauha__chunk *chunk;
    struct makeup makeup;
};

struct nauha__cost {
    uint32_t kinds, modules;
    uint32_t looks;
    struct makeup *units; /* by kind and module; those of the network come first */
    struct look *streams;
};

struct nauha__cost *nauha__cost_new(const struct nauha_names *names) {
    struct nauha__cost *cost = calloc(1, sizeof *cost);
    if (!cost)
        return NULL;
    cost->kinds = nauha_names_kinds(names);
    cost->modules = nauha_names_modules(names);
    const size_t count = (size_t)cost->kinds * ((size_t)cost->modules + 1);
    cost->units = malloc(count * sizeof *cost->units);
    cost->streams = calloc(NAUHA__NO_STREAM, sizeof *cost->streams);
    if (!cost->units || !cost->streams) {
        nauha__cost_free(cost);
        return NULL;
    }
    for (size_t i = 0; i < count; i++)
        cost->units[i].stored = -1;
    return cost;
}

void nauha__cost_free(struct nauha__cost *cost) {
    if (!cost)
        return;
    free(cost->units);
    free(cost->streams);
    free(cost);
}

/* The first chunk of a message; NULL if there is none. */
static const struct nauha__chunk *first_chunk(const struct nauha_trace *trace,
                                              const struct nauha_message *message) {
    const struct nauha__index_row *row = NULL;
    if (nauha__index_get(trace->index, message->row, &row) != NAUHA__ROW_FAULT_NONE)
        return NULL;
    const uint64_t each = nauha__chunks_elements(trace->chunks, row->stream);
    return each ? nauha__chunks_find(trace->chunks, row->stream, row->offset / each) : NULL;
}

static struct makeup look_at(struct nauha__cost *cost, const struct nauha_message *message) {
    const struct nauha_trace *trace = message->source->context;
    const struct nauha__chunk *chunk = first_chunk(trace, message);
    if (!chunk)
        return (struct makeup){0, 0};
    struct look *look = &cost->streams[chunk->stream];
    if (look->trace == trace && look->chunk == chunk)
        return look->makeup;
    const float whole = (float)trace->chunk_bytes;
    uint64_t coded = 0;
    if (cost->looks < LOOKS_MAX &&
        nauha__chunks_count_coded(trace->chunks, chunk, &coded, NULL) == NAUHA_OK) {
        cost->looks++;
        *look = (struct look){trace, chunk, {(float)chunk->stored / whole, (float)coded / whole}};
        return look->makeup;
    }
    return (struct makeup){(float)chunk->stored / whole, look->makeup.coded};
}

uint64_t nauha__cost_of(struct nauha__cost *cost, const struct nauha_message *message,
                        uint32_t metrics) {
    const struct nauha_message_info *info = &message->info;
    if (info->bytes == 0 || info->kept != NAUHA_KEPT_ELEMENTS)
        return MESSAGE;
    const size_t column = info->module < cost->modules ? (size_t)info->module + 1 : 0;
    struct makeup *unit = &cost->units[info->kind * ((size_t)cost->modules + 1) + column];
    if (unit->stored < 0)
        *unit = look_at(cost, nauha__shards_stored(message));
    const float each = READ * unit->stored + CODED * unit->coded + PLACED + (float)metrics;
    return (uint64_t)(each * (float)info->bytes) + MESSAGE;
}
