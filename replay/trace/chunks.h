/* SPDX-License-Identifier: MIT */
/* The streams of a trace: elements out of stored chunks, through a cache of decoded ones.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_REPLAY_TRACE_CHUNKS_H
#define NAUHA_REPLAY_TRACE_CHUNKS_H

#include "nauha/internal/codec.h"
#include "nauha/internal/h5.h"
#include "nauha/message.h"

/* Decoded chunks kept by default, in bytes. */
#define NAUHA__CHUNK_CACHE_BYTES ((size_t)64 << 20)

/* What /chunks says of one chunk, and what is known of it here. */
struct nauha__chunk {
    uint64_t number;
    uint64_t hash;
    uint32_t stored;
    uint32_t filter_mask;
    uint32_t order; /* of its row in the table */
    uint32_t slot;  /* of the cache, plus one; 0: not cached */
    uint16_t stream;
    bool damaged; /* nauha__chunks_check found so */
};

/* What reading has cost so far. */
struct nauha__chunk_counts {
    uint64_t decoded;     /* chunks read and decoded */
    uint64_t reused;      /* taken from the cache instead */
    uint64_t cache_bytes; /* memory of the cache */
};

/* Elements [offset, offset + count) of a stream; derived: minus those at base. */
struct nauha__range {
    uint16_t stream;
    enum nauha_dtype dtype;
    bool derived;
    uint64_t offset, base, count;
};

struct nauha__chunks;

/* file, opened through the driver of replay/trace/file_driver.h, fd, of the same file, and path are
 * borrowed until nauha__chunks_free; chunk_bytes is a multiple of 8. NULL when out of memory.
 * Caller owns, release with nauha__chunks_free. */
struct nauha__chunks *nauha__chunks_new(hid_t file, int fd, const char *path, size_t chunk_bytes,
                                        size_t cache_bytes);
void nauha__chunks_free(struct nauha__chunks *chunks);
/* The cache grows no further than that, or stays as it is where it has. */
void nauha__chunks_limit_cache(struct nauha__chunks *chunks, size_t cache_bytes);

/* Takes a row of /streams_used. FORMAT: an impossible item size. */
enum nauha_status nauha__chunks_add_stream(struct nauha__chunks *chunks,
                                           const struct nauha__stream_row *row,
                                           struct nauha_error *err);
/* Takes a row of /chunks; `capacity` is how many there will be at most. */
enum nauha_status nauha__chunks_add(struct nauha__chunks *chunks,
                                    const struct nauha__chunk_row *row, uint64_t capacity,
                                    struct nauha_error *err);
/* Rows of /chunks are damaged, so that the ends of the streams are not known. */
void nauha__chunks_set_incomplete(struct nauha__chunks *chunks);
/* After the last row for now: makes the chunks ready to be found. NOMEM: those added since the last
 * time are not. */
enum nauha_status nauha__chunks_seal(struct nauha__chunks *chunks, struct nauha_error *err);

/* Bytes of one element of a stream, 0 where the stream is not in use. */
size_t nauha__chunks_item_size(const struct nauha__chunks *chunks, uint16_t stream);
/* Elements that the known chunks of a stream reach to; UINT64_MAX where that is not known. */
uint64_t nauha__chunks_extent(const struct nauha__chunks *chunks, uint16_t stream);

/* Whether the known chunks of a stream in use reach to the last of `count` elements, at least one,
 * of a message at `offset`; see nauha__slice_position. */
bool nauha__chunks_reach(const struct nauha__chunks *chunks, uint16_t stream, uint64_t offset,
                         uint64_t count);
/* Number of the chunk in which they end; the first is offset / elements of a chunk, and those
 * between come in order. */
uint64_t nauha__chunks_last(const struct nauha__chunks *chunks, uint16_t stream, uint64_t offset,
                            uint64_t count);

/* Bytes stored in the streams that were given to a kind, by the trace's number; UINT16_MAX: to
 * several. */
uint64_t nauha__chunks_stored(const struct nauha__chunks *chunks, uint16_t kind);

/* Reads a range into memory from malloc, caller owns. DAMAGED: a chunk is missing, or is not what
 * was stored. */
enum nauha_status nauha__chunks_load(struct nauha__chunks *chunks, const struct nauha__range *range,
                                     void **data, struct nauha_error *err);

/* Visits a range in pieces as nauha_message_for_each_piece has it, without holding more than a
 * chunk or two of it. again: somebody else is about to ask for the same range. Fails as
 * nauha__chunks_load does, or with what fn returns. */
enum nauha_status nauha__chunks_visit(struct nauha__chunks *chunks,
                                      const struct nauha__range *range, bool again,
                                      nauha_piece_fn fn, void *context, struct nauha_error *err);

/* Reads `count` elements of a range from its element `first` on into `out`; a range of whose
 * elements that is a part. Fails as nauha__chunks_load does. */
enum nauha_status nauha__chunks_read(struct nauha__chunks *chunks, const struct nauha__range *range,
                                     uint64_t first, uint64_t count, void *out,
                                     struct nauha_error *err);

/* The chunks in order of stream and number, and how many; NULL past the end. */
size_t nauha__chunks_count(const struct nauha__chunks *chunks);
struct nauha__chunk *nauha__chunks_at(struct nauha__chunks *chunks, size_t position);
/* One chunk of a stream; NULL where the table has none. */
struct nauha__chunk *nauha__chunks_find(struct nauha__chunks *chunks, uint16_t stream,
                                        uint64_t number);
/* Elements of one chunk of a stream in use. */
uint64_t nauha__chunks_elements(const struct nauha__chunks *chunks, uint16_t stream);
/* Reads, checks and decodes one chunk, and notes in it whether that failed. */
enum nauha_status nauha__chunks_check(struct nauha__chunks *chunks, struct nauha__chunk *chunk,
                                      struct nauha_error *err);
/* Bytes of entropy-coded literals in a chunk as it is stored; see nauha__codec_coded_bytes. Fails
 * as reading it does. */
enum nauha_status nauha__chunks_count_coded(struct nauha__chunks *chunks,
                                            const struct nauha__chunk *chunk, uint64_t *bytes,
                                            struct nauha_error *err);
/* Opens the dataset of a stream and checks that it is what /streams_used says. */
enum nauha_status nauha__chunks_check_stream(struct nauha__chunks *chunks, uint16_t stream,
                                             struct nauha_error *err);

void nauha__chunks_get_counts(const struct nauha__chunks *chunks,
                              struct nauha__chunk_counts *counts);

#endif
