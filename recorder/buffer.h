/* SPDX-License-Identifier: MIT */
/* The bounded memory between the training and the file.
 *
 * A message is copied into the open block of its stream; a full block is sealed and becomes one
 * chunk. Blocks go round: free -> open -> sealed -> encoded -> written -> free. Sliced streams, of
 * parameters (see layout.h), have a run of open blocks instead: see sliced.h.
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
#define NAUHA__PLAIN_STREAMS (2u * (24u + 12u + 12u + 8u))
/* Sliced streams: for weights and for biases, of four item sizes, with 16, 8, 4 and 2 slices to a
 * chunk. */
#define NAUHA__SLICED_STREAMS (2u * 4u * 4u)
#define NAUHA__STREAMS (NAUHA__PLAIN_STREAMS + NAUHA__SLICED_STREAMS)

/* No more workers than this. */
#define NAUHA__WORKERS_MAX 16u

/* One block of elements on its way to the file. */
struct nauha__block {
    struct nauha__block *next;
    unsigned char *data; /* NAUHA__CHUNK_BYTES of elements; encoded: `stored` bytes of a chunk */
    uint64_t number;     /* chunk number in the stream */
    uint64_t ticket;     /* order of sealing */
    uint64_t hash;
    size_t used;           /* bytes of elements so far; in a run, in its fullest slice */
    uint16_t slices, rows; /* of a sliced stream: all slices, and those that are used; else 1 */
    size_t stored;
    uint32_t filter_mask;
    uint16_t stream;
    uint8_t item_size;
};

struct nauha__buffer_stream {
    struct nauha__block *open; /* NULL in sliced streams */
    uint64_t next_number;
    uint16_t kind; /* UINT16_MAX: shared by several */
    uint8_t item_size;
    uint16_t slices; /* to a chunk; 1: not sliced */
    bool big;
    bool used;
};

/* The open blocks of a sliced stream: successive chunks, which are filled slice by slice. */
struct nauha__sliced_blocks {
    struct nauha__block **blocks;
    size_t count, capacity;
    uint16_t stream;
    uint16_t row;   /* the slice that is being filled */
    size_t filled;  /* bytes of this slice, over all blocks */
    bool row_ended; /* the next message goes to the next slice */
};

struct nauha__queue {
    struct nauha__block *head, **tail;
};

struct nauha__buffer {
    struct nauha__buffer_stream streams[NAUHA__STREAMS]; /* publish lock */
    uint16_t *by_kind; /* kind * 8 + width * 4 + log2(size) -> stream; publish lock */
    size_t by_kind_count;
    struct nauha__sliced_blocks runs[2][4]; /* of weights and biases, by log2(size); publish lock */
    size_t run_blocks;                      /* in all of them */
    size_t row_bytes;                       /* of all parameters of a step */
    struct nauha__hasher *hasher;           /* of what is copied in; publish lock */

    pthread_mutex_t lock; /* the pool lock: everything below */
    pthread_cond_t freed;
    pthread_cond_t sealed_more;
    pthread_cond_t urgent;       /* for the reserve */
    pthread_cond_t encoded_more; /* also: something else for the writer to do */
    struct nauha__block *free;
    size_t allocated, max_blocks, free_count;
    size_t block_bytes; /* of `data`: room to encode in place of it */
    struct nauha__queue sealed, encoded;
    size_t waiting, encoding; /* blocks that are sealed, and that workers have */
    uint64_t sealed_count;    /* tickets given */
    uint64_t urgent_count;    /* tickets before this are not to wait */
    bool out_of_room;         /* a publisher waits */
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

/* What a stream number stands for, the same in every trace. */
struct nauha__stream_shape {
    uint8_t item_size;
    uint16_t slices; /* to a chunk; 1: not sliced */
    bool big;
};
struct nauha__stream_shape nauha__stream_shape(uint16_t number);

/* Copies a tensor of `bytes` bytes of `kind` in, rounded to `bits` significand bits (see reduce.h;
 * 0: as it is); publish lock held. hash: the 128 bits of the elements as they were copied, before
 * rounding; NULL: not wanted. wait false: LIMIT, and nothing copied, where too few blocks are
 * free. NOMEM, with the same effect, where memory for the first block is refused. */
enum nauha_status nauha__buffer_put(struct nauha__buffer *buffer, uint32_t kind,
                                    const struct nauha_tensor *tensor, size_t bytes, unsigned bits,
                                    bool wait, struct nauha__place *place, uint64_t *hash);

/* For sliced.c; publish lock held. A free block, which may wait, and seal what is open, the runs
 * too where there is nothing else to wait for; NULL: out of memory. */
struct nauha__block *nauha__buffer_take_free(struct nauha__buffer *buffer);
/* How many blocks can be taken without waiting. */
size_t nauha__buffer_free_blocks(struct nauha__buffer *buffer);
/* Hands an open block to the workers. */
void nauha__buffer_seal(struct nauha__buffer *buffer, struct nauha__block *block);

/* Seals every open block, zero-padded; publish lock held. Returns the number of blocks sealed so
 * far: all with a smaller ticket hold what was put in before. */
uint64_t nauha__buffer_seal_all(struct nauha__buffer *buffer);

/* The next sealed block, for a worker; NULL when there will be none. Waits for one, and where other
 * workers have blocks, for so many that they do not keep up: how many work follows from how much
 * waits, up to half of the buffer for all of them. */
struct nauha__block *nauha__buffer_take_sealed(struct nauha__buffer *buffer);
/* The same for a worker of the reserve, which is to help only where waiting costs somebody: while a
 * publisher waits for room, or after one has lost a message for lack of it, with blocks that
 * nauha__buffer_hurry names, and at the end. */
struct nauha__block *nauha__buffer_take_urgent(struct nauha__buffer *buffer);
/* Blocks that are sealed by now, with smaller tickets than this, are urgent, and stay so. */
void nauha__buffer_hurry(struct nauha__buffer *buffer, uint64_t ticket);
void nauha__buffer_give_encoded(struct nauha__buffer *buffer, struct nauha__block *block);
/* The next encoded block, waiting until `deadline` (monotonic) or a wake-up; NULL then. */
struct nauha__block *nauha__buffer_take_encoded(struct nauha__buffer *buffer,
                                                const struct timespec *deadline);
void nauha__buffer_give_free(struct nauha__buffer *buffer, struct nauha__block *block);

void nauha__buffer_wake_writer(struct nauha__buffer *buffer);
void nauha__buffer_close(struct nauha__buffer *buffer);

#endif
