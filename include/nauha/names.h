/* SPDX-License-Identifier: MIT */
/* The names of a run: kinds, modules, slots, tags and shapes, each a list of entries with a
 * small number. Messages carry the numbers; the strings live here.
 *
 * Threads: any thread. Entries are only ever added, and a returned string or shape stays valid
 * and unmoved until nauha_names_free.
 */
#ifndef NAUHA_NAMES_H
#define NAUHA_NAMES_H

#include "nauha/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NAUHA_NONE UINT32_MAX

/* Longest names a trace can hold, in bytes without the terminating zero. */
#define NAUHA_MODULE_NAME_MAX 255u
#define NAUHA_CLASS_NAME_MAX 127u
#define NAUHA_NAME_MAX 127u /* kinds, slots and tags */

enum nauha_scope { NAUHA_SCOPE_NETWORK, NAUHA_SCOPE_MODULE };

/* What the messages of a kind hold. */
enum nauha_form {
    NAUHA_FORM_EVENT,    /* no data */
    NAUHA_FORM_TENSOR,   /* any tensor */
    NAUHA_FORM_SCALAR,   /* f64, ndim 0 */
    NAUHA_FORM_HISTOGRAM /* f64, [bins, 3]: low edge, high edge, count */
};

/* X(NAME, "name", SCOPE, FORM): the built-in kinds. Their numbers are the positions here, in
 * every names object and every trace. */
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
    X(BUFFERS, "buffers", MODULE, TENSOR)

enum nauha_kind {
#define NAUHA_KIND_ENUM(id, name, scope, form) NAUHA_KIND_##id,
    NAUHA_KINDS(NAUHA_KIND_ENUM)
#undef NAUHA_KIND_ENUM
        NAUHA_KIND_BUILTIN_COUNT
};

struct nauha_names;

/* Holds the built-in kinds, the tag "default" and the slot "" (each number 0). NULL when out of
 * memory. Caller owns, release with nauha_names_free. */
NAUHA_API struct nauha_names *nauha_names_new(void);
NAUHA_API void nauha_names_free(struct nauha_names *names);

/* Each returns the number of the entry, adding it where it is new. Strings are copied.
 * INVALID: too long, empty (kinds and tags), not valid in a file name (kinds: letters, digits,
 * '_', '.', '-'), or known with another scope, form or class. */
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

/* The number of a known name, or NAUHA_NONE. */
NAUHA_API uint32_t nauha_names_find_kind(const struct nauha_names *names, const char *name);
NAUHA_API uint32_t nauha_names_find_module(const struct nauha_names *names, const char *name);
NAUHA_API uint32_t nauha_names_find_tag(const struct nauha_names *names, const char *name);

/* How many there are; numbers run from 0 without gaps. */
NAUHA_API uint32_t nauha_names_kinds(const struct nauha_names *names);
NAUHA_API uint32_t nauha_names_modules(const struct nauha_names *names);
NAUHA_API uint32_t nauha_names_slots(const struct nauha_names *names);
NAUHA_API uint32_t nauha_names_tags(const struct nauha_names *names);
NAUHA_API uint32_t nauha_names_shapes(const struct nauha_names *names);

/* The entry of a number; "" (or NETWORK, EVENT, ndim 0) for NAUHA_NONE and numbers not given. */
NAUHA_API const char *nauha_names_kind(const struct nauha_names *names, uint32_t id);
NAUHA_API enum nauha_scope nauha_names_kind_scope(const struct nauha_names *names, uint32_t id);
NAUHA_API enum nauha_form nauha_names_kind_form(const struct nauha_names *names, uint32_t id);
NAUHA_API const char *nauha_names_module(const struct nauha_names *names, uint32_t id);
NAUHA_API const char *nauha_names_module_class(const struct nauha_names *names, uint32_t id);
NAUHA_API const char *nauha_names_slot(const struct nauha_names *names, uint32_t id);
NAUHA_API const char *nauha_names_tag(const struct nauha_names *names, uint32_t id);
NAUHA_API const int64_t *nauha_names_shape(const struct nauha_names *names, uint32_t id,
                                           uint32_t *ndim);

#ifdef __cplusplus
}
#endif
#endif
