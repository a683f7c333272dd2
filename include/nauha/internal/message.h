/* SPDX-License-Identifier: MIT */
/* The inside of a message, for the sources that create messages and the bus that keeps them.
 *
 * Threads: one at a time per source.
 */
#ifndef NAUHA_INTERNAL_MESSAGE_H
#define NAUHA_INTERNAL_MESSAGE_H

#include "nauha/fingerprint.h"

/* A source that reads the elements of a message on demand. `row` is the message's row in /index. */
struct nauha__source {
    /* Reads all elements, info->bytes bytes. Caller owns *data, release with free. */
    enum nauha_status (*load)(void *context, const struct nauha_message_info *info, uint64_t row,
                              void **data, struct nauha_error *err);
    void *context;
    /* Calls fn for the elements in pieces, as nauha_message_for_each_piece. again: the same
     * elements will probably be needed once more. NULL: `load` is used instead. */
    enum nauha_status (*visit)(void *context, const struct nauha_message_info *info, uint64_t row,
                               bool again, nauha_piece_fn fn, void *fn_context,
                               struct nauha_error *err);
    /* Copies the elements [first, first + count), which exist, to `out`. NULL: `load` is used. */
    enum nauha_status (*read)(void *context, const struct nauha_message_info *info, uint64_t row,
                              uint64_t first, uint64_t count, void *out, struct nauha_error *err);
    /* Reads the fingerprint that is kept instead of the elements. NULL: there are none. */
    enum nauha_status (*fingerprint)(void *context, const struct nauha_message_info *info,
                                     uint64_t row, struct nauha_fingerprint *fingerprint,
                                     struct nauha_error *err);
};

/* What subscribers need of a message. */
struct nauha__use {
    unsigned readings;   /* how often the elements are read from the source */
    unsigned statistics; /* a set of enum nauha_statistics */
};

struct nauha_message {
    struct nauha_message_info info;
    const void *data;                   /* the elements; NULL: not loaded, or an event */
    void *owned;                        /* data if the message owns it, else NULL */
    const struct nauha__source *source; /* NULL: a live message, which has its data */
    uint64_t row;                       /* for the source */
    uint64_t hash[2];                   /* of the elements, if only that is kept */
    struct nauha_fingerprint *print;    /* if that is kept; read on first use, owned */
    struct nauha_stats *stats;          /* computed on first use, owned */
    unsigned known;                     /* the statistics in `stats` that are computed */
    struct nauha__use asked;            /* so far, of this message */
    struct nauha__use expected; /* of this message, as earlier ones of its kind were asked */
    uint64_t tensor_limit;      /* in bytes, see nauha_bus_set_tensor_limit; 0: none */
    bool damaged;               /* the source could not decode the elements */
    bool unreadable;            /* the source could not read its file */
    bool left_out;              /* the bus has counted it as damaged */
};

/* Frees what the message owns, not the message itself, and sets it to zero. */
void nauha__message_fini(struct nauha_message *message);

/* Makes a copy that outlives the callback. It refers to the source if there is one; else it has its
 * own copy of the elements and the shape. Caller owns *copy, release with nauha__message_fini.
 * NOMEM. */
enum nauha_status nauha__message_retain(const struct nauha_message *message,
                                        struct nauha_message *copy, struct nauha_error *err);

/* The fingerprint that is kept instead of the elements, borrowed until the message ends. */
enum nauha_status nauha__message_kept_fingerprint(struct nauha_message *message,
                                                  const struct nauha_fingerprint **fingerprint,
                                                  struct nauha_error *err);

/* Sets the strings in info from its numbers, and ndim, shape and placement from the number of a
 * shape. */
void nauha__message_resolve(struct nauha_message_info *info, const struct nauha_names *names,
                            uint32_t shape);

#endif
