/* SPDX-License-Identifier: MIT */
/* The names of a run: lists of kinds, modules, slots, tags and shapes, whose entries are numbered
 * from 0. Messages carry the numbers.
 *
 * Threads: any thread. Entries are added but never removed: a returned string or shape is borrowed
 * until nauha_names_free.
 */
#ifndef NAUHA_NAMES_H
#define NAUHA_NAMES_H

#include "nauha/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NAUHA_NONE UINT32_MAX /* no entry */

/* The greatest lengths of names, in bytes without the terminating zero. */
#define NAUHA_MODULE_NAME_MAX 255u
#define NAUHA_CLASS_NAME_MAX 127u
#define NAUHA_NAME_MAX 127u /* kinds, slots and tags */

/* Whether the messages of a kind belong to the network as a whole or to one of its modules. */
enum nauha_scope { NAUHA_SCOPE_NETWORK, NAUHA_SCOPE_MODULE };

/* What the messages of a kind contain. */
enum nauha_form {
    NAUHA_FORM_EVENT,    /* no tensor */
    NAUHA_FORM_TENSOR,   /* any tensor */
    NAUHA_FORM_SCALAR,   /* f64, ndim 0 */
    NAUHA_FORM_HISTOGRAM /* f64, [bins, 3]: low edge, high edge, count */
};

/* X(NAME, "name", SCOPE, FORM): the built-in kinds. The position in this list is the number of the
 * kind in every names object, so new kinds go to the end. A trace has its own numbers: readers find
 * its kinds by name. docs/messages.md describes them. */
#define NAUHA_KINDS(X)                                                                             \
    X(BATCH_STARTED, "batch_started", NETWORK, EVENT)                                              \
    X(BATCH_FINISHED, "batch_finished", NETWORK, EVENT)                                            \
    X(EPOCH_STARTED, "epoch_started", NETWORK, EVENT)                                              \
    X(EPOCH_FINISHED, "epoch_finished", NETWORK, EVENT)                                            \
    X(INPUT_DATA, "input_data", NETWORK, TENSOR)                                                   \
    X(INPUT_LABELS, "input_labels", NETWORK, TENSOR)                                               \
    X(NETWORK_OUTPUT, "network_output", NETWORK, TENSOR)                                           \
    X(LOSS, "loss", NETWORK, TENSOR)                                                               \
    X(WEIGHTS, "weights", MODULE, TENSOR)                                                          \
    X(WEIGHT_GRADIENTS, "weight_gradients", MODULE, TENSOR)                                        \
    X(WEIGHT_UPDATES, "weight_updates", MODULE, TENSOR)                                            \
    X(BIASES, "biases", MODULE, TENSOR)                                                            \
    X(BIAS_GRADIENTS, "bias_gradients", MODULE, TENSOR)                                            \
    X(BIAS_UPDATES, "bias_updates", MODULE, TENSOR)                                                \
    X(ACTIVATIONS, "activations", MODULE, TENSOR)                                                  \
    X(LAYER_GRADIENTS, "layer_gradients", MODULE, TENSOR)                                          \
    X(INPUTS, "inputs", MODULE, TENSOR)                                                            \
    X(BUFFERS, "buffers", MODULE, TENSOR)                                                          \
    X(SAMPLES_IN_LOSS, "samples_in_loss", NETWORK, SCALAR)                                         \
    X(PASS_CONTEXT, "pass_context", NETWORK, TENSOR)                                               \
    X(PASS_STATE, "pass_state", MODULE, TENSOR)                                                    \
    X(GENERATOR_STATE, "generator_state", NETWORK, TENSOR)                                         \
    X(OUTPUT_GRADIENTS, "output_gradients", NETWORK, TENSOR)                                       \
    X(HYPERPARAMETERS, "hyperparameters", MODULE, TENSOR)                                          \
    X(PARAMETER_GROUPS, "parameter_groups", MODULE, TENSOR)

enum nauha_kind {
#define NAUHA_KIND_ENUM(id, name, scope, form) NAUHA_KIND_##id,
    NAUHA_KINDS(NAUHA_KIND_ENUM)
#undef NAUHA_KIND_ENUM
        NAUHA_KIND_BUILTIN_COUNT
};

struct nauha_names;

/* Creates a names object with the built-in kinds, the tag "default" (number 0) and the slot ""
 * (number 0). NULL when out of memory. Caller owns, release with nauha_names_free. */
NAUHA_API struct nauha_names *nauha_names_new(void);
NAUHA_API void nauha_names_free(struct nauha_names *names);

/* Each of these functions adds an entry unless it exists, and returns its number. Strings and
 * shapes are copied; class_name NULL means "". INVALID: a name that is too long, is not UTF-8,
 * holds control characters or, for kinds and tags, is empty; a kind with characters other than
 * letters, digits, '_', '.' and '-', or that begins with '.' or '-'; an entry that exists with
 * another scope, form or class; a shape with a negative dimension or more than NAUHA_MAX_NDIM.
 * LIMIT: no number is left. NOMEM. */
NAUHA_API enum nauha_status nauha_names_add_kind(struct nauha_names *names, const char *name,
                                                 enum nauha_scope scope, enum nauha_form form,
                                                 uint32_t *id, struct nauha_error *err);
NAUHA_API enum nauha_status nauha_names_add_module(struct nauha_names *names, const char *name,
                                                   const char *class_name, uint32_t *id,
                                                   struct nauha_error *err);
NAUHA_API enum nauha_status nauha_names_add_slot(struct nauha_names *names, const char *name,
                                                 uint32_t *id, struct nauha_error *err);
NAUHA_API enum nauha_status nauha_names_add_tag(struct nauha_names *names, const char *name,
                                                uint32_t *id, struct nauha_error *err);
NAUHA_API enum nauha_status nauha_names_add_shape(struct nauha_names *names, const int64_t *shape,
                                                  uint32_t ndim, uint32_t *id,
                                                  struct nauha_error *err);

/* Where a shard, the part of a tensor that one rank of a training holds, lies in the whole tensor.
 * It is the box that begins at `offset` and has the shape of the shard, which has as many
 * dimensions as the whole. If `flat`, it is a range of the whole's elements in row-major order
 * instead: the shard has one dimension, and offset[0] is the number of its first element. A shard
 * may be empty, and several ranks may hold the same one. If `summands` is not 0, the whole is the
 * sum of so many tensors (PyTorch's Partial), and this is a shard of the one with number `summand`,
 * from 0. 1 is the same as 0. */
struct nauha_placement {
    uint32_t ndim;         /* of the whole */
    const int64_t *shape;  /* of the whole */
    const int64_t *offset; /* ndim numbers, or one if `flat`; in elements */
    bool flat;
    uint32_t summand, summands;
};

/* Adds the shape of a shard with its placement, unless it exists, and returns its number, which is
 * never 0. It is also the number of a shape, for which nauha_names_shape returns the shard's own
 * dimensions. Copied. INVALID: the shape of the shard or of the whole is not valid, the shard does
 * not lie in the whole, or their numbers of dimensions do not fit each other. LIMIT, NOMEM. */
NAUHA_API enum nauha_status nauha_names_add_placement(struct nauha_names *names,
                                                      const int64_t *shape, uint32_t ndim,
                                                      const struct nauha_placement *placement,
                                                      uint32_t *id, struct nauha_error *err);

/* The number of a name, or NAUHA_NONE if there is no such entry. */
NAUHA_API uint32_t nauha_names_find_kind(const struct nauha_names *names, const char *name);
NAUHA_API uint32_t nauha_names_find_module(const struct nauha_names *names, const char *name);
NAUHA_API uint32_t nauha_names_find_tag(const struct nauha_names *names, const char *name);

/* The number of entries in each list; their numbers run from 0 without gaps. */
NAUHA_API uint32_t nauha_names_kinds(const struct nauha_names *names);
NAUHA_API uint32_t nauha_names_modules(const struct nauha_names *names);
NAUHA_API uint32_t nauha_names_slots(const struct nauha_names *names);
NAUHA_API uint32_t nauha_names_tags(const struct nauha_names *names);
NAUHA_API uint32_t nauha_names_shapes(const struct nauha_names *names);

/* The entry with a number. For a number without entry, such as NAUHA_NONE: "", NETWORK, EVENT, or a
 * shape with ndim 0. */
NAUHA_API const char *nauha_names_kind(const struct nauha_names *names, uint32_t id);
NAUHA_API enum nauha_scope nauha_names_kind_scope(const struct nauha_names *names, uint32_t id);
NAUHA_API enum nauha_form nauha_names_kind_form(const struct nauha_names *names, uint32_t id);
NAUHA_API const char *nauha_names_module(const struct nauha_names *names, uint32_t id);
NAUHA_API const char *nauha_names_module_class(const struct nauha_names *names, uint32_t id);
NAUHA_API const char *nauha_names_slot(const struct nauha_names *names, uint32_t id);
NAUHA_API const char *nauha_names_tag(const struct nauha_names *names, uint32_t id);
NAUHA_API const int64_t *nauha_names_shape(const struct nauha_names *names, uint32_t id,
                                           uint32_t *ndim);
/* The placement of the shape with a number; its pointers are borrowed until nauha_names_free. False
 * if it is not the shape of a shard, or there is none with this number. placement may be NULL. */
NAUHA_API bool nauha_names_placement(const struct nauha_names *names, uint32_t id,
                                     struct nauha_placement *placement);

#ifdef __cplusplus
}
#endif
#endif
