/* SPDX-License-Identifier: MIT */
/* The bounded memory between the training and the file.
 *
 * A message is copied into the open block of its stream; a full block is sealed and becomes one
 * chunk. Blocks go round: free -> open -> sealed -> encoded -> written -> free.
 *
 * Threads: the streams belong to whoever holds the recorder's publish lock. The free list and the
 * two queues have the pool lock, taken inside and held briefly.
 */
#ifndef NAUHA_RECORDER_BUFFER_H
#define NAUHA_RECORDER_BUFFER_H

#include <pthread.h>
#include <time.h>

#include "nauha/internal/layout.h"

/* How many streams of each item size (1, 2, 4, 8 bytes) and width a trace has. */
#define NAUHA__STREAMS_OF_SIZE(item_size) ((item_size) == 4 ? 24u : (item_size) == 1 ? 8u : 12u)
#define NAUHA__STREAMS (2u * (24u + 12u + 12u + 8u))

/* One block of elements on its way to the file. */
struct nauha__block {
    struct nauha__block *next;
    unsigned char *data; /* NAUHA__CHUNK_BYTES of elements; encoded: `stored` bytes of a chunk */
    uint64_t number;     /* chunk number in the stream */
    uint64_t ticket;     /* order of sealing */
    uint64_t hash;
    size_t used; /* bytes of elements so far */
    size_t stored;
    uint32_t filter_mask;
    uint16_t stream;
    uint8_t item_size;
};

struct nauha__stream {
    struct nauha__block *open;
    uint64_t next_number;
    uint16_t kind; /* UINT16_MAX: shared by several */
    uint8_t item_size;
    bool big;
    bool used;
};

struct nauha__queue {
    struct nauha__block *head, **tail;
};

struct nauha__buffer {
    struct nauha__stream streams[NAUHA__STREAMS]; /* publish lock */
    uint16_t *by_kind; /* kind * 8 + width * 4 + log2(size) -> stream; publish lock */
    size_t by_kind_count;

    pthread_mutex_t lock; /* the pool lock: everything below */
    pthread_cond_t freed;
    pthread_cond_t sealed_more;
    pthread_cond_t encoded_more; /* also: something else for the writer to do */
    struct nauha__block *free;
    size_t allocated, max_blocks, free_count;
    size_t block_bytes; /* of `data`: room to encode in place of it */
    struct nauha__queue sealed, encoded;
    uint64_t sealed_count; /* tickets given */
    uint64_t blocked_ns;
    bool closing; /* no more blocks will be sealed */
    bool woken;   /* the writer is to look around, even where there is no block */
};

/* Where a message's elements lie. */
struct nauha__place {
    uint16_t stream; /* NAUHA__NO_STREAM for no bytes */
    uint64_t offset; /* first element */
};

enum nauha_status nauha__buffer_init(struct nauha__buffer *buffer, uint64_t bytes,
                                     struct nauha_error *err);
void nauha__buffer_fini(struct nauha__buffer *buffer);

/* Item size and width of a stream number, the same in every trace. */
void nauha__stream_shape(uint16_t number, uint8_t *item_size, bool *big);

/* Copies a tensor of `bytes` bytes of `kind` in, rounded to `bits` significand bits (see reduce.h;
 * 0: as it is); publish lock held. wait false: LIMIT, and nothing copied, where too few blocks are
 * free. NOMEM, with the same effect, where memory for the first block is refused. */
enum nauha_status nauha__buffer_put(struct nauha__buffer *buffer, uint32_t kind,
                                    const struct nauha_tensor *tensor, size_t bytes, unsigned bits,
                                    bool wait, struct nauha__place *place);

/* Seals every open block, zero-padded; publish lock held. Returns the number of blocks sealed so
 * far: all with a smaller ticket hold what was put in before. */
uint64_t nauha__buffer_seal_all(struct nauha__buffer *buffer);

/* The next sealed block, waiting for one; NULL when there will be none. */
struct nauha__block *nauha__buffer_take_sealed(struct nauha__buffer *buffer);
void nauha__buffer_give_encoded(struct nauha__buffer *buffer, struct nauha__block *block);
/* The next encoded block, waiting until `deadline` (monotonic) or a wake-up; NULL then. */
struct nauha__block *nauha__buffer_take_encoded(struct nauha__buffer *buffer,
                                                const struct timespec *deadline);
void nauha__buffer_give_free(struct nauha__buffer *buffer, struct nauha__block *block);

void nauha__buffer_wake_writer(struct nauha__buffer *buffer);
void nauha__buffer_close(struct nauha__buffer *buffer);

#endif
