/* SPDX-License-Identifier: MIT */
/* A message: one event or tensor of a training, with its stamps.
 *
 * Threads: one at a time; a message is borrowed until the callback that received it returns.
 */
#ifndef NAUHA_MESSAGE_H
#define NAUHA_MESSAGE_H

#include "nauha/names.h"

#ifdef __cplusplus
extern "C" {
#endif

struct nauha_message;

/* Everything about a message but its elements. Numbers are those of the names object that the
 * source was given; strings are never NULL. */
struct nauha_message_info {
    uint64_t seq;         /* 0-based order of publication in this rank's run */
    uint64_t time_ns;     /* since the recorder opened, monotonic */
    uint64_t global_step; /* 0-based, never resets */
    uint32_t train_step;  /* 0-based batch in the epoch */
    uint32_t epoch;       /* 0-based */
    uint32_t rank;        /* data-parallel rank */
    uint32_t call;        /* how many times the module ran before in this step */
    uint32_t kind;
    uint32_t tag;
    uint32_t module; /* NAUHA_NONE for network messages */
    uint32_t slot;   /* which tensor of the module; 0 is "", the only one */
    const char *kind_name;
    const char *tag_name;
    const char *module_name;  /* as in state_dict; the root module is "" */
    const char *module_class; /* "Conv2d" */
    const char *slot_name;
    bool has_tensor; /* false: an event, and the fields below are 0 */
    enum nauha_dtype dtype;
    uint32_t ndim;
    const int64_t *shape;
    uint64_t bytes;
    bool hash_only; /* recorded without its elements: there is their hash alone */
};

/* Borrowed until the message ends. */
NAUHA_API const struct nauha_message_info *nauha_message_info(const struct nauha_message *message);

/* The elements, contiguous, read from the trace on first use; borrowed until the message ends.
 * INVALID for an event; UNAVAILABLE where only their hash was recorded; LIMIT where a bus has one
 * (see nauha_bus_set_tensor_limit); DAMAGED, IO, FORMAT, NOMEM from the source. */
NAUHA_API enum nauha_status nauha_message_tensor(struct nauha_message *message,
                                                 struct nauha_tensor *tensor,
                                                 struct nauha_error *err);

/* The same elements in memory that outlives the message: tensor->data is the caller's, release with
 * nauha_memory_free; the shape still is the message's. Read from a trace, nothing is copied, and
 * who asks the message again has it read again; live, this is a copy. Fails as nauha_message_tensor
 * does. */
NAUHA_API enum nauha_status nauha_message_take(struct nauha_message *message,
                                               struct nauha_tensor *tensor,
                                               struct nauha_error *err);
NAUHA_API void nauha_memory_free(void *memory);

/* Elements a piece of a message holds a multiple of, but for the last piece. */
#define NAUHA_PIECE_ELEMENTS 4096u

/* A piece of a message's elements in row-major order, the first of which is element `first`. piece
 * has one dimension and is borrowed until the call returns. Returning anything but NAUHA_OK ends
 * the visit with that. */
typedef enum nauha_status (*nauha_piece_fn)(void *context, const struct nauha_tensor *piece,
                                            uint64_t first, struct nauha_error *err);

/* Visits the elements in pieces, in order, without holding more of a recorded tensor than a piece
 * of it at a time, so that a tensor larger than memory can be reduced. How long pieces are may
 * change from one visit to the next, only that all but the last are multiples of
 * NAUHA_PIECE_ELEMENTS: what is computed in blocks of a divisor of that comes out the same. No
 * elements: no call. fn may ask other messages for theirs, but not this one. INVALID for an event;
 * DAMAGED, IO, FORMAT, NOMEM from the source, possibly after some calls. */
NAUHA_API enum nauha_status nauha_message_for_each_piece(struct nauha_message *message,
                                                         nauha_piece_fn fn, void *context,
                                                         struct nauha_error *err);

/* Copies `count` elements from element `first` on, row-major, to `out`, contiguous, without holding
 * more of a recorded tensor than these and a chunk or two. INVALID: the message does not have so
 * many. Else fails as nauha_message_tensor does. */
NAUHA_API enum nauha_status nauha_message_read(struct nauha_message *message, uint64_t first,
                                               uint64_t count, void *out, struct nauha_error *err);

/* XXH3 with 128 bits, seed 0, of the elements as they lie in memory, contiguous: the lower half and
 * the upper one. Out of the trace where it was recorded in place of them, else computed from them;
 * then fails as nauha_message_tensor does. */
NAUHA_API enum nauha_status nauha_message_hash(struct nauha_message *message, uint64_t hash[2],
                                               struct nauha_error *err);

/* What a tap or a bus takes. Returning anything but NAUHA_OK stops the source. */
typedef enum nauha_status (*nauha_message_fn)(void *context, struct nauha_message *message,
                                              struct nauha_error *err);

#ifdef __cplusplus
}
#endif
#endif
