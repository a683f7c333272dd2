/* SPDX-License-Identifier: MIT */
/* What the selected messages are, from the index alone: tensors and their shapes, kinds under each
 * tag, steps and epochs. No tensor is decoded for it.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_REPORT_SURVEY_H
#define NAUHA_TOOLS_REPORT_SURVEY_H

#include "nauha/analyzer.h"
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
    bool varies; /* not all messages have this shape */
};

/* The messages of a kind under a tag. */
struct survey_kind {
    uint32_t kind, tag;
    uint64_t messages, keys; /* keys: combinations of module, slot, call and rank */
    uint32_t least_ndim, most_ndim;
    uint64_t rows;        /* elements of the latest one over its dimension 1 */
    int64_t least_second; /* smallest dimension 1 */
    bool whole_numbers;   /* all messages are of integers */
    uint8_t kept;         /* an enum nauha_kept: of some of them no more */
    bool odd_labels;      /* some input_labels do not fit the network_output before them */
};

struct survey {
    struct survey_tensor *tensors;
    size_t tensor_count, tensor_capacity;
    struct survey_kind *kinds;
    size_t kind_count, kind_capacity;
    struct seen *seen; /* keys, by hash */
    uint64_t messages, first_step, last_step;
    uint64_t epochs[SURVEY_EPOCHS]; /* first steps of the second and later epochs */
    uint64_t epoch_count;           /* how many there are, also beyond those kept */
    uint32_t epoch;
};

/* Walks over the selected messages of all traces, skipping damaged rows. Release with survey_fini
 * in any case. */
enum nauha_status survey_init(struct survey *survey, const struct opened *opened,
                              struct nauha_error *err);
void survey_fini(struct survey *survey);

/* The first tensor of a kind and module; NULL: there is none. */
const struct survey_tensor *survey_find(const struct survey *survey, uint32_t kind,
                                        uint32_t module);
/* The messages of a kind under a tag; NULL if there are none. */
const struct survey_kind *survey_kind_of(const struct survey *survey, uint32_t kind, uint32_t tag);
/* Whether there are messages of a kind, under any tag or under this one, and what is kept of them,
 * elements or fingerprints, is enough for an analyzer. */
bool survey_serves(const struct survey *survey, const struct nauha_analyzer *analyzer,
                   uint32_t kind);
bool survey_serves_tag(const struct survey *survey, const struct nauha_analyzer *analyzer,
                       uint32_t kind, uint32_t tag);
/* Whether the outputs and labels under a tag are those of a classification. */
bool survey_is_classification(const struct survey *survey, uint32_t tag);

#endif
