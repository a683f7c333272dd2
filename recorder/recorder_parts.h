/* SPDX-License-Identifier: MIT */
/* The recorder's state, for the files that make it up.
 *
 * Threads: everything but `names` and `alive` is under the writer's publish lock; `global_step` is
 * read without it as well.
 */
#ifndef NAUHA_RECORDER_RECORDER_PARTS_H
#define NAUHA_RECORDER_RECORDER_PARTS_H

#include "nauha/internal/message.h"
#include "recorder/repeats.h"
#include "recorder/writer.h"

/* A parameter's value as a step's forward saw it. */
struct nauha__held {
    uint32_t module, slot;
    bool bias;
    enum nauha_dtype dtype;
    uint32_t shape;
    size_t bytes;
    bool stored; /* its elements lie at `place`; where hashes are recorded, in `copy` */
    struct nauha__place place;
    uint64_t hash[2]; /* of the elements; after an explicit end_step only */
    void *copy;       /* the elements, for the tap and for hashes; NULL without either */
};

struct nauha__held_list {
    struct nauha__held *list;
    size_t count, capacity;
};

struct nauha_recorder {
    struct nauha_recorder_config *config;
    struct nauha_names *names;
    const char *path; /* NULL: tap only */
    struct nauha__naming naming;
    struct nauha_error naming_error; /* why the file could not be given its name */
    unsigned char *alive;            /* a page that a forked child finds wiped */
    size_t page_bytes;
    struct nauha__writer writer; /* its publish lock is also the recorder's without a path */
    nauha_message_fn tap;
    void *tap_context;
    bool tap_failed, tap_told;    /* ... and its failure has been returned to a publisher */
    struct nauha_error tap_error; /* why */

    bool paused;
    bool step_open;
    bool any_step;    /* a step has begun at all */
    bool epoch_begun; /* a step of this epoch has begun */
    bool epoch_over;  /* the next step begins a new epoch */
    bool held_paused; /* `held` was made while paused: nothing refers to it */
    bool after_end;   /* `held` comes from an explicit end_step */
    _Atomic uint64_t global_step;
    uint32_t train_step;
    uint32_t epoch;
    uint32_t tag;
    uint64_t started_ns;
    uint64_t stored_seq; /* messages with a row, or lost for one */
    uint64_t tapped_seq;
    uint64_t messages, bytes_published;
    struct nauha__held_list held;       /* of the open step, or after the last one */
    struct nauha__held_list newly_held; /* being made */
    struct nauha__repeats repeats;
    void *scratch; /* for the tap's differences and gathered tensors */
    size_t scratch_bytes;
};

/* What a message is besides its stamps, on its way to row and tap. */
struct nauha__outgoing {
    uint32_t kind, module, slot, call, tag;
    const struct nauha_tensor *tensor; /* NULL: event. data may be NULL where only stored */
    uint32_t shape;                    /* number in names; NAUHA_NONE for events */
    size_t bytes;
    bool derived;
    struct nauha__place place, base; /* where the elements lie already */
    bool placed;                     /* false: copy the tensor now */
    bool lost;                       /* placed, but its elements could not be kept */
};

/* Stores and taps one message; publish lock held. What fails is noted: a live metric that fails
 * costs the trace nothing. */
void nauha__emit(struct nauha_recorder *recorder, const struct nauha__outgoing *out);

/* Gives the file its name, where it has not got it; publish lock held. A failure is noted: the
 * recording goes on under the name that the file has. */
void nauha__settle(struct nauha_recorder *recorder);

/* What a publishing call returns: `status`, or the tap's failure where nobody was told of it. */
enum nauha_status nauha__outcome(struct nauha_recorder *recorder, enum nauha_status status,
                                 struct nauha_error *err);

/* Whether the trace takes such a message in this step; publish lock held. */
bool nauha__stores(struct nauha_recorder *recorder, uint32_t kind, uint32_t module, uint32_t tag,
                   uint64_t step, uint32_t epoch);

/* At least `bytes` of scratch memory; NULL when out of memory. */
void *nauha__scratch(struct nauha_recorder *recorder, size_t bytes);

void nauha__held_fini(struct nauha__held_list *held);

#endif
