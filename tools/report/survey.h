/* SPDX-License-Identifier: MIT */
/* What is in the chosen messages, from the index alone: tensors and their shapes, kinds under each
 * tag, steps and epochs. Nothing is decoded for it.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_REPORT_SURVEY_H
#define NAUHA_TOOLS_REPORT_SURVEY_H

#include "tools/commands/opened.h"

#define SURVEY_DIMS 8u
#define SURVEY_EPOCHS 64u

/* The messages of a kind, module and slot, whatever their tag. */
struct survey_tensor {
    uint32_t kind, module, slot;
    uint64_t messages;
    enum nauha_dtype dtype; /* of the latest one */
    uint32_t ndim;
    int64_t shape[SURVEY_DIMS]; /* the first of them */
    uint64_t elements;
    bool varies; /* not all have this shape */
};

/* The messages of a kind under a tag. */
struct survey_kind {
    uint32_t kind, tag;
    uint64_t messages, keys; /* keys: tensors of it, each at its call and rank */
    uint32_t least_ndim, most_ndim;
    uint64_t most_elements;
    uint64_t rows;        /* elements of the latest one over its dimension 1 */
    int64_t least_second; /* smallest dimension 1 */
    bool whole_numbers;   /* all are of integers */
    bool hash_only;       /* of some there is the hash alone */
    bool odd_labels;      /* input_labels that do not go with the network_output before them */
};

struct survey {
    struct survey_tensor *tensors;
    size_t tensor_count, tensor_capacity;
    struct survey_kind *kinds;
    size_t kind_count, kind_capacity;
    struct seen *seen; /* keys, by hash */
    uint64_t messages, first_step, last_step;
    uint64_t epochs[SURVEY_EPOCHS]; /* steps that the second epoch and later ones begin with */
    uint64_t epoch_count;           /* of them all; more than are kept: none are told */
    uint32_t epoch;
};

/* Walks over the chosen messages of all traces. Damaged rows are passed over. Release with
 * survey_fini in any case. */
enum nauha_status survey_init(struct survey *survey, const struct opened *opened,
                              struct nauha_error *err);
void survey_fini(struct survey *survey);

/* The first tensor of a kind and module; NULL: there is none. */
const struct survey_tensor *survey_find(const struct survey *survey, uint32_t kind,
                                        uint32_t module);
/* NULL: no such messages. */
const struct survey_kind *survey_kind_of(const struct survey *survey, uint32_t kind, uint32_t tag);
/* Whether a kind is there under any tag, with its elements. */
bool survey_has_elements(const struct survey *survey, uint32_t kind);
/* Whether outputs and labels of a tag are those of a classification. */
bool survey_is_classification(const struct survey *survey, uint32_t tag);

#endif
