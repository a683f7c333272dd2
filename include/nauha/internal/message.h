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
};

struct nauha_message {
    struct nauha_message_info info;
    const void *data;                   /* elements, NULL while not loaded or for events */
    void *owned;                        /* data where the message owns it, else NULL */
    const struct nauha__source *source; /* NULL: data is there from the start */
    uint64_t row;                       /* for the source */
    struct nauha_stats *stats;          /* computed on first use, owned */
    bool damaged;                       /* the source could not make the elements */
    bool left_out;                      /* the bus has taken note of that */
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
