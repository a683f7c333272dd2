/* SPDX-License-Identifier: MIT */
/* What a message is made of, for the sources that make them and the bus that keeps them. */
#ifndef NAUHA_INTERNAL_MESSAGE_H
#define NAUHA_INTERNAL_MESSAGE_H

#include "nauha/message.h"
#include "nauha/stats.h"

/* A source that reads elements on demand. */
struct nauha__source {
    /* Makes the elements of info->bytes bytes at `location` of a row (see layout.h); *data is
     * allocated with malloc, message owns it. */
    enum nauha_status (*load)(void *context, const struct nauha_message_info *info, uint64_t row,
                              void **data, struct nauha_error *err);
    void *context;
    /* Hands over the same elements in pieces, as nauha_message_for_each_piece has them. again: they
     * will be asked for once more. NULL: only `load`. */
    enum nauha_status (*visit)(void *context, const struct nauha_message_info *info, uint64_t row,
                               bool again, nauha_piece_fn fn, void *fn_context,
                               struct nauha_error *err);
    /* Makes `count` elements from element `first` on, which are there, in `out`. NULL: only `load`.
     */
    enum nauha_status (*read)(void *context, const struct nauha_message_info *info, uint64_t row,
                              uint64_t first, uint64_t count, void *out, struct nauha_error *err);
};

/* What subscribers ask of one message. */
struct nauha__use {
    unsigned readings;   /* times that a source has been asked for the elements */
    unsigned statistics; /* enum nauha_statistics */
};

struct nauha_message {
    struct nauha_message_info info;
    const void *data;                   /* elements, NULL while not loaded or for events */
    void *owned;                        /* data where the message owns it, else NULL */
    const struct nauha__source *source; /* NULL: data is there from the start */
    uint64_t row;                       /* for the source */
    uint64_t hash[2];                   /* of the elements, where info.hash_only */
    struct nauha_stats *stats;          /* computed on first use, owned */
    unsigned known;                     /* which of them */
    struct nauha__use asked;            /* so far */
    struct nauha__use expected; /* of this message, by what was asked of others of its kind */
    uint64_t tensor_limit;      /* largest tensor in bytes to be read whole; 0: none */
    bool damaged;               /* the source could not make the elements */
    bool left_out;              /* the bus has taken note of that */
};

/* Frees what the message owns and leaves it empty; not the message itself. */
void nauha__message_fini(struct nauha_message *message);

/* Makes `copy` last beyond the callback: keeps a reference where a source can load the elements
 * again, a copy of them where they are the training's own memory. Release copy with
 * nauha__message_fini. NOMEM. */
enum nauha_status nauha__message_retain(const struct nauha_message *message,
                                        struct nauha_message *copy, struct nauha_error *err);

/* Fills the strings and the shape of info from its numbers. */
void nauha__message_resolve(struct nauha_message_info *info, const struct nauha_names *names,
                            uint32_t shape);

#endif
