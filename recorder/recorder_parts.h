/* SPDX-License-Identifier: MIT */
/* The recorder's state, shared by the source files of the recorder.
 *
 * Threads: the writer's publish lock protects everything but `names` and `alive`; `global_step` is
 * also read without it.
 */
#ifndef NAUHA_RECORDER_RECORDER_PARTS_H
#define NAUHA_RECORDER_RECORDER_PARTS_H

#include "nauha/internal/message.h"
#include "recorder/flight.h"
#include "recorder/repeats.h"
#include "recorder/writer.h"

/* A parameter's value that a step's forward pass used. */
struct nauha__held {
    uint32_t module, slot;
    bool bias;
    enum nauha_dtype dtype;
    uint32_t shape;
    size_t bytes;
    bool stored; /* its elements lie at `place` */
    struct nauha__place place;
    uint64_t hash[2]; /* of the elements; after an explicit end_step only */
    bool copied;      /* its elements lie in `copy`: for the tap, hashes and fingerprints */
    void *copy;       /* memory of `bytes` bytes, or NULL */
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
    unsigned char *alive;            /* a page that is zero in a forked child */
    size_t page_bytes;
    struct nauha__writer writer; /* its publish lock is used without a path, too */
    nauha_message_fn tap;
    void *tap_context;
    bool tap_failed, tap_told;    /* told: a publisher has been given its failure */
    struct nauha_error tap_error; /* why it failed */

    bool paused;
    bool step_open;
    bool any_step;        /* a step has begun at all */
    bool epoch_begun;     /* a step of this epoch has begun, here or before the interruption */
    bool epoch_over;      /* the next step begins a new epoch */
    bool held_paused;     /* `held` was made while paused: nothing refers to it */
    bool loss_not_finite; /* of the last loss */
    bool after_end;       /* `held` comes from an explicit end_step */
    _Atomic uint64_t global_step;
    uint32_t train_step;
    uint32_t epoch;
    uint32_t tag;
    uint64_t started_ns;
    uint64_t stored_seq; /* messages that got a row, or were lost */
    uint64_t tapped_seq;
    uint64_t messages, bytes_published;
    struct nauha__held_list held;       /* of the open step, or after the last one */
    struct nauha__held_list newly_held; /* being made */
    struct nauha__repeats repeats;
    struct nauha__flight flight; /* not used without a path */
    void *scratch;               /* for the tap's differences and gathered tensors */
    size_t scratch_bytes;
};

/* A message on its way to the index and the tap, without its step, epoch and time. */
struct nauha__outgoing {
    uint32_t kind, module, slot, call, tag;
    const struct nauha_tensor *tensor; /* NULL: event. data may be NULL if there is no tap */
    uint32_t shape;                    /* number in names; NAUHA_NONE for events */
    size_t bytes;
    /* The fingerprint of the tensor, whose elements are elsewhere; else NULL. */
    const struct nauha__fingerprint_words *print;
    bool derived;
    struct nauha__place place, base; /* where the elements lie already */
    bool placed;                     /* false: copy the tensor now */
    bool
        stored; /* placed: its elements lie there. Hashes and fingerprints need the tensor's data */
};

/* Stores a message and gives it to the tap; publish lock held. Failures are noted, not returned: a
 * live metric that fails takes nothing from the trace. */
void nauha__emit(struct nauha_recorder *recorder, const struct nauha__outgoing *out);

/* Gives the file its final name, if it does not have it yet; publish lock held. A failure is noted,
 * and the recording goes on under the present name. */
void nauha__settle(struct nauha_recorder *recorder);

/* The return value of a publishing call: `status`, or the tap's failure if no call has returned it
 * yet. */
enum nauha_status nauha__outcome(struct nauha_recorder *recorder, enum nauha_status status,
                                 struct nauha_error *err);

/* What is kept of such a message of `bytes` bytes; publish lock held. Tensors that are no larger
 * than a fingerprint are kept in full in place of it. */
enum nauha_grade nauha__grade(struct nauha_recorder *recorder, uint32_t kind, uint32_t module,
                              uint32_t tag, uint64_t step, uint32_t epoch, size_t bytes);

/* Whether there is a tap that has not failed. */
static inline bool nauha__is_tapped(const struct nauha_recorder *recorder) {
    return recorder->tap && !recorder->tap_failed;
}

/* Scratch memory of at least `bytes` bytes, which the next call reuses; NULL when out of memory. */
void *nauha__scratch(struct nauha_recorder *recorder, size_t bytes);

/* Gets the number of the shape of a tensor, which is whole (placement 0) or a shard. INVALID: there
 * is no such placement, or it has another shape; the tensor is malformed. */
enum nauha_status nauha__shape_number(struct nauha_names *names, const struct nauha_tensor *tensor,
                                      uint32_t placement, uint32_t *shape, struct nauha_error *err);

void nauha__held_fini(struct nauha__held_list *held);

#endif
