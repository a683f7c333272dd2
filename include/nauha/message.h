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

/* What a trace holds of a tensor. */
enum nauha_kept {
    NAUHA_KEPT_ELEMENTS,    /* the elements; so it is in live messages, too */
    NAUHA_KEPT_HASH,        /* only their hash */
    NAUHA_KEPT_FINGERPRINT, /* their fingerprint, see nauha/fingerprint.h */
    NAUHA_KEPT_COUNT
};

/* Everything about a message except its elements. kind, tag, module and slot are numbers of the
 * names object that the source uses. Strings are never NULL and live as long as that object. */
struct nauha_message_info {
    uint64_t seq;         /* position in the order of publication of this rank, from 0 */
    uint64_t time_ns;     /* since the recorder was opened, on a monotonic clock */
    uint64_t global_step; /* from 0, over all epochs */
    uint32_t train_step;  /* from 0 in each epoch */
    uint32_t epoch;       /* 0-based */
    uint32_t rank;        /* data-parallel rank */
    uint32_t call;        /* how many times the module ran before in this step */
    uint32_t kind;
    uint32_t tag;
    uint32_t module; /* NAUHA_NONE for network messages */
    uint32_t slot;   /* which tensor of the module; 0, named "", if it has one only */
    const char *kind_name;
    const char *tag_name;
    const char *module_name;  /* as in PyTorch's named_modules(); the root module is "" */
    const char *module_class; /* "Conv2d" */
    const char *slot_name;
    bool has_tensor; /* false: an event; the fields below are 0 */
    enum nauha_dtype dtype;
    uint32_t ndim;
    const int64_t *shape;
    uint64_t bytes;
    uint8_t kept; /* an enum nauha_kept */
    uint8_t hash; /* an enum nauha_hash: how nauha_message_hash is computed */
    /* 0: the tensor is whole. Else it is a shard, and this is the number of its placement, see
     * nauha_names_placement. */
    uint32_t placement;
};

/* Borrowed until the message ends. */
NAUHA_API const struct nauha_message_info *nauha_message_info(const struct nauha_message *message);

/* The tensor, contiguous, borrowed until the message ends. A recorded one is read from the trace on
 * first use. INVALID: an event. UNAVAILABLE: only a hash or a fingerprint was recorded. LIMIT: a
 * recorded tensor is larger than the limit of the bus (nauha_bus_set_tensor_limit). DAMAGED, IO,
 * FORMAT, NOMEM. */
NAUHA_API enum nauha_status nauha_message_tensor(struct nauha_message *message,
                                                 struct nauha_tensor *tensor,
                                                 struct nauha_error *err);

/* The same, but the caller owns tensor->data, release with nauha_memory_free; the shape is still
 * borrowed until the message ends. The elements of a recorded message are handed over without a
 * copy, so that the next call that needs them reads them again; those of a live message are copied.
 * Fails as nauha_message_tensor. */
NAUHA_API enum nauha_status nauha_message_take(struct nauha_message *message,
                                               struct nauha_tensor *tensor,
                                               struct nauha_error *err);
NAUHA_API void nauha_memory_free(void *memory);

/* The number of elements in a piece is a multiple of this, except in the last piece. */
#define NAUHA_PIECE_ELEMENTS 4096u

/* Receives the elements from number `first` on, in row-major order, as a contiguous tensor of one
 * dimension that is borrowed for the call. A result other than NAUHA_OK ends the visit and becomes
 * its result. */
typedef enum nauha_status (*nauha_piece_fn)(void *context, const struct nauha_tensor *piece,
                                            uint64_t first, struct nauha_error *err);

/* Calls fn for the elements in pieces, in order. Of a recorded tensor only one piece is in memory
 * at a time, so that tensors larger than memory can be reduced. The lengths of pieces may differ
 * from visit to visit. But all except the last are multiples of NAUHA_PIECE_ELEMENTS, so that a
 * result which is computed in blocks of a divisor of it does not depend on them. Without elements,
 * fn is not called. fn may read other messages, but not this one. INVALID: an event. UNAVAILABLE:
 * only a hash or a fingerprint was recorded. DAMAGED, IO, FORMAT, NOMEM, possibly after some calls
 * of fn. */
NAUHA_API enum nauha_status nauha_message_for_each_piece(struct nauha_message *message,
                                                         nauha_piece_fn fn, void *context,
                                                         struct nauha_error *err);

/* Copies the elements [first, first + count), in row-major order, to `out`. Of a recorded tensor
 * only the chunks that hold them are read, one or two at a time. INVALID: an event, or the message
 * has fewer elements. Else fails as nauha_message_for_each_piece. */
NAUHA_API enum nauha_status nauha_message_read(struct nauha_message *message, uint64_t first,
                                               uint64_t count, void *out, struct nauha_error *err);

/* The hash of the contiguous elements, in two words. If the trace holds the hash or the
 * fingerprint, that hash is returned, which in older traces is another function of the elements:
 * see nauha_message_info. Else NAUHA_HASH_SUMS is computed, piece by piece, and fails as
 * nauha_message_for_each_piece. */
NAUHA_API enum nauha_status nauha_message_hash(struct nauha_message *message, uint64_t hash[2],
                                               struct nauha_error *err);
/* The hash by a certain function. UNAVAILABLE: the trace holds only a hash by another one, or it is
 * NAUHA_HASH_OTHER and the trace holds elements. */
NAUHA_API enum nauha_status nauha_message_hash_by(struct nauha_message *message,
                                                  enum nauha_hash function, uint64_t hash[2],
                                                  struct nauha_error *err);

/* Receives the messages of a source, such as a recorder's tap. The message is borrowed for the
 * call. After a result other than NAUHA_OK the source does not call the function again. */
typedef enum nauha_status (*nauha_message_fn)(void *context, struct nauha_message *message,
                                              struct nauha_error *err);

#ifdef __cplusplus
}
#endif
#endif
