/* SPDX-License-Identifier: MIT */
/* The internals of nauha__chunks: the table of chunks, the datasets, and the cache of decoded
 * chunks.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_REPLAY_TRACE_CHUNKS_PARTS_H
#define NAUHA_REPLAY_TRACE_CHUNKS_PARTS_H

#include "replay/trace/chunks.h"

#define NAUHA__CODEC_METHODS (NAUHA__CODEC_ZSTD + 1)
/* The largest number of slots; more are of no use, however small the chunks. */
#define NAUHA__SLOTS_MAX 4096u

struct nauha__trace_stream {
    size_t item_size;
    uint16_t kind;       /* the trace's number; UINT16_MAX: several */
    uint16_t slices;     /* to a chunk; 1: not sliced */
    uint32_t run;        /* longest run seen, in chunks; the cache has room for it */
    uint64_t highest;    /* highest chunk read since reading last went back */
    size_t first, count; /* its chunks, in chunks->entries */
    uint64_t extent;     /* elements that they reach to */
    hid_t dataset;       /* negative until opened */
    enum nauha__codec_method method;
    char *fault;     /* why it cannot be opened, to avoid trying again; NULL: it can */
    bool subtracted; /* differences were read from it: chunks are needed again */
    bool stale;      /* it has chunks that were written after its dataset was opened */
};

/* One decoded chunk. The slots form a ring in order of use; `head` is the latest. */
struct nauha__slot {
    unsigned char *data;
    struct nauha__chunk *chunk;
    uint32_t newer, older;
    uint32_t pins; /* visits that are reading it */
    bool spent;    /* nobody is expected to ask for it again */
};

struct nauha__chunks {
    hid_t file;
    int fd;
    const char *path;
    size_t chunk_bytes;
    struct nauha__trace_stream *streams[NAUHA__NO_STREAM];
    size_t stream_bound; /* past the last stream in use */
    struct nauha__chunk *entries;
    size_t count, capacity;
    uint32_t added; /* rows of the table taken so far */
    bool incomplete;
    struct nauha__slot *slots;
    size_t slot_capacity;
    uint32_t slot_count, slot_max, head;
    unsigned char *stored; /* one chunk as it lies in the file */
    size_t stored_max;
    unsigned char *scratch; /* one decoded chunk, for nauha__chunks_check */
    void *staging;          /* room to put a piece together; NULL while a visit uses it */
    struct nauha__codec *codecs[NAUHA__CODEC_METHODS];
    struct nauha__chunk_counts counts;
};

/* ---- chunk_file.c ---- */

enum nauha_status nauha__chunks_no_memory(const struct nauha__chunks *chunks,
                                          struct nauha_error *err);
/* Sets the error "chunk 7 of stream ... HOW"; returns DAMAGED. */
enum nauha_status nauha__chunks_damaged(const struct nauha__chunks *chunks,
                                        const struct nauha__chunk *chunk, const char *how,
                                        struct nauha_error *err);

/* Opens the dataset of a stream in use, or refreshes it if its writer has added chunks. FORMAT. */
enum nauha_status nauha__chunk_open_stream(struct nauha__chunks *chunks, uint16_t number,
                                           struct nauha_error *err);
/* Reads a chunk, checks it against the table, and decodes it to dst: chunk_bytes bytes. */
enum nauha_status nauha__chunk_decode(struct nauha__chunks *chunks,
                                      const struct nauha__chunk *chunk, void *dst,
                                      struct nauha_error *err);

/* ---- chunk_cache.c ---- */

/* Gets a decoded chunk, borrowed until the second call after this one. LIMIT: all slots of the
 * cache are pinned. */
enum nauha_status nauha__chunk_fetch(struct nauha__chunks *chunks, struct nauha__chunk *chunk,
                                     const unsigned char **data, struct nauha_error *err);
/* Pins the chunk that was fetched last: it stays until it is unpinned. Returns what to pass to
 * nauha__chunk_unpin. */
uint32_t nauha__chunk_pin(struct nauha__chunks *chunks);
/* spent: the chunk is not expected to be needed again. */
void nauha__chunk_unpin(struct nauha__chunks *chunks, uint32_t pinned, bool spent);

#endif
