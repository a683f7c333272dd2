/* SPDX-License-Identifier: MIT */
/* What a nauha_reading remembers of a comparison: the messages of this step and of the one before.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_REPLAY_DIFF_VERDICT_H
#define NAUHA_REPLAY_DIFF_VERDICT_H

#include "nauha/diff.h"
#include "replay/diff/compare.h"

/* The order in which a step's values follow from each other. */
enum nauha__stage {
    NAUHA__STAGE_PARAMETERS,
    NAUHA__STAGE_DATA,
    NAUHA__STAGE_FORWARD,
    NAUHA__STAGE_LOSS,
    NAUHA__STAGE_BACKWARD,
    NAUHA__STAGE_BUFFERS,
    NAUHA__STAGE_UPDATES,
    NAUHA__STAGE_OTHER
};

/* A message that was compared. */
struct nauha__seen {
    uint32_t kind, module;
    bool is_default; /* its tag */
    bool differs;
    bool same_values; /* it differs only in its type */
};

struct nauha__seen_list {
    struct nauha__seen *list;
    size_t count, capacity;
};

struct nauha_reading {
    char *name_a, *name_b;
    bool ranks;
    bool any;     /* a step was compared */
    bool found;   /* a message differs */
    bool decided; /* a message differs, and its step has ended */
    uint64_t first_step, before_step, step;
    struct nauha__seen_list before, now; /* of the step before, and of this one */
    struct nauha_first first;
    enum nauha__stage stage; /* of `first` */
    bool any_alone;          /* only one trace has some activations of this step; the first: */
    bool alone_in_a;
    struct nauha_message_info alone;
    bool any_within; /* a message before `first` differs within the tolerance; the first: */
    struct nauha_message_info within;
    uint64_t backward_seq; /* of the first gradient of this step in a; UINT64_MAX: none */
    char text[4096];
    size_t used;
};

/* The position of a message in the order in which a step's values follow from each other. Of two
 * messages with one position the one published first comes first. */
unsigned nauha__reading_place(const struct nauha_message_info *info);

/* Writes into reading->text what `first` means. */
void nauha__reading_explain(struct nauha_reading *reading);

/* Whether the elements of two types are equal up to the precision of the coarser type. */
bool nauha__reading_same_values(const struct nauha_pair *pair);

/* How many messages of a kind and module are in a list (NAUHA__ANY: of all kinds, of all modules),
 * and how many of these differ in more than their types. */
#define NAUHA__ANY (NAUHA_NONE - 1)
size_t nauha__seen_of(const struct nauha__seen_list *seen, uint32_t kind, uint32_t module,
                      size_t *differing);

#endif
