/* SPDX-License-Identifier: MIT */
/* Reading elements from the streams of a trace, whose chunks are decoded and cached.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_REPLAY_TRACE_CHUNKS_H
#define NAUHA_REPLAY_TRACE_CHUNKS_H

#include "nauha/internal/codec.h"
#include "nauha/internal/h5.h"
#include "nauha/message.h"
#include "nauha/trace.h"

/* The default size of the cache of decoded chunks, in bytes. */
#define NAUHA__CHUNK_CACHE_BYTES ((size_t)64 << 20)

/* The row of a chunk in /chunks, and what is known of the chunk. */
struct nauha__chunk {
    uint64_t number;
    uint64_t hash;
    uint32_t stored;
    uint32_t filter_mask;
    uint32_t order; /* number of its row in the table */
    uint32_t slot;  /* its slot in the cache, plus one; 0: not cached */
    uint16_t stream;
    bool damaged; /* nauha__chunks_check found it damaged */
};

/* What reading has cost so far. */
struct nauha__chunk_counts {
    uint64_t decoded;     /* chunks read and decoded */
    uint64_t reused;      /* taken from the cache instead */
    uint64_t cache_bytes; /* memory of the cache */
};

/* Elements [offset, offset + count) of a stream. derived: these minus the elements at base. */
struct nauha__range {
    uint16_t stream;
    enum nauha_dtype dtype;
    bool derived;
    uint64_t offset, base, count;
};

struct nauha__chunks;

/* file must be opened through the driver of replay/trace/file_driver.h; fd is a descriptor of the
 * same file. Both, and path, are borrowed until nauha__chunks_free. chunk_bytes is a multiple of 8.
 * NULL when out of memory. Caller owns, release with nauha__chunks_free. */
struct nauha__chunks *nauha__chunks_new(hid_t file, int fd, const char *path, size_t chunk_bytes,
                                        size_t cache_bytes);
void nauha__chunks_free(struct nauha__chunks *chunks);
/* Limits the size of the cache; a cache that is larger already keeps its size. */
void nauha__chunks_limit_cache(struct nauha__chunks *chunks, size_t cache_bytes);

/* Adds a row of /streams_used. FORMAT: its item size is not valid. */
enum nauha_status nauha__chunks_add_stream(struct nauha__chunks *chunks,
                                           const struct nauha__stream_row *row,
                                           struct nauha_error *err);
/* Adds a row of /chunks. capacity: the largest number of rows that there will be. */
enum nauha_status nauha__chunks_add(struct nauha__chunks *chunks,
                                    const struct nauha__chunk_row *row, uint64_t capacity,
                                    struct nauha_error *err);
/* Notes that rows of /chunks are damaged, so that the ends of the streams are unknown. */
void nauha__chunks_set_incomplete(struct nauha__chunks *chunks);
/* To be called after the last row that there is for now: makes the chunks findable. NOMEM: those
 * added since the last call cannot be found. */
enum nauha_status nauha__chunks_seal(struct nauha__chunks *chunks, struct nauha_error *err);

/* Bytes of one element of a stream; 0 if the stream is not in use. */
size_t nauha__chunks_item_size(const struct nauha__chunks *chunks, uint16_t stream);
/* The number of elements up to the end of the last known chunk of a stream; UINT64_MAX if it is not
 * known. */
uint64_t nauha__chunks_extent(const struct nauha__chunks *chunks, uint16_t stream);

/* Whether the known chunks of a stream in use contain the last of the `count` elements, at least
 * one, of a message at `offset`; see nauha__slice_position. */
bool nauha__chunks_reach(const struct nauha__chunks *chunks, uint16_t stream, uint64_t offset,
                         uint64_t count);
/* The number of the chunk with the last of these elements. The chunk with the first is offset /
 * (elements of a chunk), and the chunks between are in order. */
uint64_t nauha__chunks_last(const struct nauha__chunks *chunks, uint16_t stream, uint64_t offset,
                            uint64_t count);

/* How many bytes are stored in the streams of a kind, by the trace's number of it; UINT16_MAX: in
 * the streams that several kinds share. */
uint64_t nauha__chunks_stored(const struct nauha__chunks *chunks, uint16_t kind);

/* Adds up the chunks by their coding; does not touch the rest of *totals. */
void nauha__chunks_count_codings(const struct nauha__chunks *chunks,
                                 struct nauha_trace_chunks *totals);

/* Reads a range into memory from malloc, which the caller owns. DAMAGED: a chunk is missing, or is
 * not what was stored. */
enum nauha_status nauha__chunks_load(struct nauha__chunks *chunks, const struct nauha__range *range,
                                     void **data, struct nauha_error *err);

/* Calls fn for a range piece by piece, as nauha_message_for_each_piece does, without holding more
 * than one or two chunks of it. again: the same range will be read again soon. Fails as
 * nauha__chunks_load does, or with what fn returns. */
enum nauha_status nauha__chunks_visit(struct nauha__chunks *chunks,
                                      const struct nauha__range *range, bool again,
                                      nauha_piece_fn fn, void *context, struct nauha_error *err);

/* Reads `count` elements of a range, beginning with its element `first`, into `out`. Fails as
 * nauha__chunks_load does. */
enum nauha_status nauha__chunks_read(struct nauha__chunks *chunks, const struct nauha__range *range,
                                     uint64_t first, uint64_t count, void *out,
                                     struct nauha_error *err);

/* The number of chunks, and the chunk at a position in order of stream and number; NULL past the
 * last. */
size_t nauha__chunks_count(const struct nauha__chunks *chunks);
struct nauha__chunk *nauha__chunks_at(struct nauha__chunks *chunks, size_t position);
/* Finds a chunk of a stream; NULL if the table has none of this number. */
struct nauha__chunk *nauha__chunks_find(struct nauha__chunks *chunks, uint16_t stream,
                                        uint64_t number);
/* How many elements a chunk of a stream in use has. */
uint64_t nauha__chunks_elements(const struct nauha__chunks *chunks, uint16_t stream);
/* Reads, checks and decodes a chunk, and notes in chunk->damaged whether that failed. */
enum nauha_status nauha__chunks_check(struct nauha__chunks *chunks, struct nauha__chunk *chunk,
                                      struct nauha_error *err);
/* Counts the bytes of entropy-coded literals in a stored chunk; see nauha__codec_coded_bytes. Fails
 * as reading the chunk does. */
enum nauha_status nauha__chunks_count_coded(struct nauha__chunks *chunks,
                                            const struct nauha__chunk *chunk, uint64_t *bytes,
                                            struct nauha_error *err);
/* Opens the dataset of a stream and checks that it is what /streams_used says. */
enum nauha_status nauha__chunks_check_stream(struct nauha__chunks *chunks, uint16_t stream,
                                             struct nauha_error *err);

void nauha__chunks_get_counts(const struct nauha__chunks *chunks,
                              struct nauha__chunk_counts *counts);

#endif
