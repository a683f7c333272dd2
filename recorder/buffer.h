/* SPDX-License-Identifier: MIT */
/* The bounded memory between the training and the file.
 *
 * A message is copied into the open block of its stream. A full block is sealed, a worker encodes
 * it as one chunk, the writer writes the chunk, and the block is free again. The streams of
 * parameters are sliced (see layout.h): such a stream has several open blocks at a time, a run (see
 * sliced.h).
 *
 * Threads: the recorder's publish lock protects the streams. The pool lock protects the free list
 * and the two queues; it is held briefly, and a thread that needs both locks takes the publish lock
 * first.
 */
#ifndef NAUHA_RECORDER_BUFFER_H
#define NAUHA_RECORDER_BUFFER_H

#include <pthread.h>
#include <time.h>

#include "nauha/internal/layout.h"
#include "recorder/choice.h"

/* How many streams there are for each item size (1, 2, 4, 8 bytes), for small and for large tensors
 * each. */
#define NAUHA__STREAMS_OF_SIZE(item_size) ((item_size) == 4 ? 24u : (item_size) == 1 ? 8u : 12u)
#define NAUHA__PLAIN_STREAMS (2u * (24u + 12u + 12u + 8u))
/* Sliced streams: for weights and for biases, of four item sizes, with 16, 8, 4 and 2 slices to a
 * chunk. */
#define NAUHA__SLICED_STREAMS (2u * 4u * 4u)
#define NAUHA__STREAMS (NAUHA__PLAIN_STREAMS + NAUHA__SLICED_STREAMS)

/* The largest number of workers; one more may stand in reserve (see workers.h). */
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
    bool raw; /* it is to be stored as it is */
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
    bool row_ended; /* the next value goes to the next slice */
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
    size_t held_blocks;                     /* that the flight recorder has; publish lock */
    struct nauha__hasher *hasher;           /* of what is copied in; publish lock */

    pthread_mutex_t lock; /* the pool lock: everything below */
    pthread_cond_t freed;
    pthread_cond_t sealed_more;
    pthread_cond_t urgent;       /* wakes the worker in reserve */
    pthread_cond_t encoded_more; /* also signalled by nauha__buffer_wake_writer */
    struct nauha__block *free;
    size_t allocated, max_blocks, free_count;
    size_t block_bytes; /* size of `data`, which also holds encoded chunks */
    struct nauha__queue sealed, encoded;
    size_t waiting, encoding; /* sealed blocks, and blocks that workers have */
    size_t ready;             /* encoded blocks that the writer has not taken */
    uint64_t sealed_count;    /* tickets given */
    uint64_t urgent_count;    /* blocks with smaller tickets are urgent */
    bool out_of_room;         /* a publisher waits */
    uint64_t blocked_ns;
    struct nauha__choice choice; /* of blocks to be stored as they are */
    size_t choosers;             /* workers, if they compress what they can; 0: all, or nothing */
    bool closing;                /* no more blocks will be sealed */
    bool woken;                  /* nauha__buffer_wake_writer was called */
};

/* Where a message's elements lie. */
struct nauha__place {
    uint16_t stream; /* NAUHA__NO_STREAM for no bytes */
    uint64_t offset; /* first element */
};

enum nauha_status nauha__buffer_init(struct nauha__buffer *buffer, uint64_t bytes,
                                     struct nauha_error *err);
void nauha__buffer_fini(struct nauha__buffer *buffer);

/* What a stream number means. It is the same in every trace. */
struct nauha__stream_shape {
    uint8_t item_size;
    uint16_t slices; /* to a chunk; 1: not sliced */
    bool big;
};
struct nauha__stream_shape nauha__stream_shape(uint16_t number);

/* Copies a tensor of `bytes` bytes of `kind` into the buffer, with its elements rounded to `bits`
 * significand bits (see reduce.h; 0: not rounded); publish lock held. hash receives the 128-bit
 * hash of the elements before rounding; NULL: it is not wanted. LIMIT: wait is false, and too few
 * blocks are free. NOMEM: there is no memory for the first block. In both cases nothing was copied.
 */
enum nauha_status nauha__buffer_put(struct nauha__buffer *buffer, uint32_t kind,
                                    const struct nauha_tensor *tensor, size_t bytes, unsigned bits,
                                    bool wait, struct nauha__place *place, uint64_t *hash);

/* The stream for a tensor of this kind; NAUHA__NO_STREAM when out of memory. Publish lock held. */
uint16_t nauha__buffer_stream(struct nauha__buffer *buffer, uint32_t kind, size_t item_size,
                              size_t bytes);

/* For sliced.c and flight.c; publish lock held. Takes a free block. Where none is free, seals the
 * open blocks of all streams and waits for a block to become free; seals the runs, too, if they
 * hold all blocks. NULL: out of memory. */
struct nauha__block *nauha__buffer_take_free(struct nauha__buffer *buffer);
/* How many blocks can be taken without waiting. */
size_t nauha__buffer_free_blocks(struct nauha__buffer *buffer);
/* Hands an open block to the workers. */
void nauha__buffer_seal(struct nauha__buffer *buffer, struct nauha__block *block);
/* For flight.c. Gives a block that was filled elsewhere the next number of its stream, and hands it
 * to the workers; publish lock held. The stream has no open block. */
void nauha__buffer_adopt(struct nauha__buffer *buffer, struct nauha__block *block);

/* Pads every open block with zeros and seals it; publish lock held. Returns the number of blocks
 * sealed so far: the blocks with smaller tickets hold everything that was put in before this call.
 */
uint64_t nauha__buffer_seal_all(struct nauha__buffer *buffer);

/* Takes the next sealed block for a worker; NULL when there will be no more. Waits for one. If
 * other workers are encoding, it waits until they do not keep up: each worker more begins when 1/32
 * of the buffer more is sealed. */
struct nauha__block *nauha__buffer_take_sealed(struct nauha__buffer *buffer);
/* The same for the worker in reserve. It gets a block only where waiting would cost something:
 * while a publisher waits for room, for blocks that nauha__buffer_hurry has made urgent (also after
 * a message was lost because the buffer was full), and after nauha__buffer_close. */
struct nauha__block *nauha__buffer_take_urgent(struct nauha__buffer *buffer);
/* Makes the blocks urgent that are sealed by now and have smaller tickets than this. */
void nauha__buffer_hurry(struct nauha__buffer *buffer, uint64_t ticket);
/* From now on, `raw` of each block that a worker takes is set by what waits before and behind the
 * workers (see choice.h), of which there are so many. */
void nauha__buffer_choose(struct nauha__buffer *buffer, size_t workers);
void nauha__buffer_give_encoded(struct nauha__buffer *buffer, struct nauha__block *block);
/* Takes the next encoded block. Waits for one until `deadline` (of the monotonic clock) or until
 * nauha__buffer_wake_writer is called, and then returns NULL. */
struct nauha__block *nauha__buffer_take_encoded(struct nauha__buffer *buffer,
                                                const struct timespec *deadline);
/* Whether the training waits for the writer, or soon will: an eighth of the buffer waits to be
 * written, or nauha__buffer_close was called. */
bool nauha__buffer_writer_is_late(struct nauha__buffer *buffer);
void nauha__buffer_give_free(struct nauha__buffer *buffer, struct nauha__block *block);

void nauha__buffer_wake_writer(struct nauha__buffer *buffer);
void nauha__buffer_close(struct nauha__buffer *buffer);

#endif
