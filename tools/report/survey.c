/* SPDX-License-Identifier: MIT */
/* A walk over the index of the traces; see survey.h.
 *
 * Threads: the main thread.
 */
#include "tools/report/survey.h"

#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "nauha/array.h"

/* A key that occurs in the traces, and the position of its entry. */
struct seen {
    UT_hash_handle hh;
    struct seen_key {
        uint32_t kind, module, slot, tag, call,
            rank; /* tag NAUHA_NONE: for all tags and calls together */
    } key;
    size_t position;
};

/* The entry of a key; a new one has position SIZE_MAX. NULL when out of memory. */
static struct seen *find_seen(struct survey *survey, const struct seen_key *key) {
    struct seen *found = NULL;
    HASH_FIND(hh, survey->seen, key, sizeof *key, found);
    if (found)
        return found;
    found = calloc(1, sizeof *found);
    if (!found)
        return NULL;
    found->key = *key;
    found->position = SIZE_MAX;
    HASH_ADD(hh, survey->seen, key, sizeof found->key, found);
    return found;
}

/* ---- kinds ---- */

const struct survey_kind *survey_kind_of(const struct survey *survey, uint32_t kind, uint32_t tag) {
    for (size_t i = 0; i < survey->kind_count; i++)
        if (survey->kinds[i].kind == kind && survey->kinds[i].tag == tag)
            return &survey->kinds[i];
    return NULL;
}

static struct survey_kind *make_kind(struct survey *survey, uint32_t kind, uint32_t tag) {
    struct survey_kind *found = (struct survey_kind *)survey_kind_of(survey, kind, tag);
    if (found)
        return found;
    if (!NAUHA_GROW(survey->kinds, survey->kind_capacity, survey->kind_count + 1))
        return NULL;
    struct survey_kind *made = &survey->kinds[survey->kind_count++];
    *made = (struct survey_kind){.kind = kind,
                                 .tag = tag,
                                 .least_ndim = UINT32_MAX,
                                 .least_second = INT64_MAX,
                                 .whole_numbers = true};
    return made;
}

static uint64_t elements_of(const struct nauha_message_info *info) {
    const size_t size = nauha_dtype_size(info->dtype);
    return size ? info->bytes / size : 0;
}

static bool is_whole(enum nauha_dtype dtype) {
    return dtype == NAUHA_DTYPE_U8 || dtype == NAUHA_DTYPE_I8 || dtype == NAUHA_DTYPE_I16 ||
           dtype == NAUHA_DTYPE_I32 || dtype == NAUHA_DTYPE_I64;
}

static void take_kind(const struct survey *survey, struct survey_kind *kind,
                      const struct nauha_message_info *info) {
    const uint64_t elements = elements_of(info);
    const int64_t second = info->ndim > 1 ? info->shape[1] : 0;
    kind->messages++;
    kind->least_ndim = info->ndim < kind->least_ndim ? info->ndim : kind->least_ndim;
    kind->most_ndim = info->ndim > kind->most_ndim ? info->ndim : kind->most_ndim;
    kind->least_second = second < kind->least_second ? second : kind->least_second;
    kind->rows = second > 0 ? elements / (uint64_t)second : 0;
    kind->whole_numbers &= is_whole(info->dtype);
    if (info->kept != NAUHA_KEPT_ELEMENTS && kind->kept != NAUHA_KEPT_HASH)
        kind->kept = info->kept;
    if (info->kind == NAUHA_KIND_INPUT_LABELS) {
        const struct survey_kind *output =
            survey_kind_of(survey, NAUHA_KIND_NETWORK_OUTPUT, info->tag);
        kind->odd_labels |= !output || output->rows != elements;
    }
}

/* Whether what is kept of some messages is enough for an analyzer. */
static bool is_enough(const struct survey_kind *kind, const struct nauha_analyzer *analyzer) {
    return kind->kept == NAUHA_KEPT_ELEMENTS ||
           (kind->kept == NAUHA_KEPT_FINGERPRINT && (analyzer->flags & NAUHA_ANALYZER_STATISTICS));
}

bool survey_serves(const struct survey *survey, const struct nauha_analyzer *analyzer,
                   uint32_t kind) {
    bool found = false;
    for (size_t i = 0; i < survey->kind_count; i++) {
        if (survey->kinds[i].kind != kind)
            continue;
        if (!is_enough(&survey->kinds[i], analyzer))
            return false;
        found = true;
    }
    return found;
}

bool survey_serves_tag(const struct survey *survey, const struct nauha_analyzer *analyzer,
                       uint32_t kind, uint32_t tag) {
    const struct survey_kind *found = survey_kind_of(survey, kind, tag);
    return found && is_enough(found, analyzer);
}

bool survey_is_classification(const struct survey *survey, uint32_t tag) {
    const struct survey_kind *output = survey_kind_of(survey, NAUHA_KIND_NETWORK_OUTPUT, tag);
    const struct survey_kind *labels = survey_kind_of(survey, NAUHA_KIND_INPUT_LABELS, tag);
    return output && labels && output->kept == NAUHA_KEPT_ELEMENTS &&
           labels->kept == NAUHA_KEPT_ELEMENTS && labels->whole_numbers && !labels->odd_labels &&
           output->least_ndim == output->most_ndim && labels->least_ndim == labels->most_ndim &&
           labels->least_ndim + 1 == output->least_ndim && output->least_second > 1;
}

/* ---- tensors ---- */

static bool same_shape(const struct survey_tensor *tensor, const struct nauha_message_info *info) {
    const uint32_t kept = info->ndim < SURVEY_DIMS ? info->ndim : SURVEY_DIMS;
    return tensor->ndim == info->ndim && tensor->elements == elements_of(info) &&
           (kept == 0 || memcmp(tensor->shape, info->shape, kept * sizeof *info->shape) == 0);
}

static struct survey_tensor *add_tensor(struct survey *survey,
                                        const struct nauha_message_info *info) {
    if (!NAUHA_GROW(survey->tensors, survey->tensor_capacity, survey->tensor_count + 1))
        return NULL;
    struct survey_tensor *added = &survey->tensors[survey->tensor_count++];
    *added = (struct survey_tensor){.kind = info->kind, .module = info->module, .slot = info->slot};
    return added;
}

static enum nauha_status take_tensor(struct survey *survey, const struct nauha_message_info *info,
                                     struct nauha_error *err) {
    const struct seen_key key = {info->kind, info->module, info->slot, NAUHA_NONE, 0, 0};
    struct seen *seen = find_seen(survey, &key);
    if (!seen)
        return nauha_error_nomem(err);
    struct survey_tensor *tensor;
    if (seen->position == SIZE_MAX) {
        seen->position = survey->tensor_count;
        tensor = add_tensor(survey, info);
        if (!tensor)
            return nauha_error_nomem(err);
    } else {
        tensor = &survey->tensors[seen->position];
    }
    const uint32_t kept = info->ndim < SURVEY_DIMS ? info->ndim : SURVEY_DIMS;
    tensor->varies |= tensor->messages > 0 && !same_shape(tensor, info);
    tensor->messages++;
    tensor->dtype = info->dtype;
    tensor->ndim = info->ndim;
    tensor->elements = elements_of(info);
    memcpy(tensor->shape, info->shape, kept * sizeof *info->shape);
    return NAUHA_OK;
}

const struct survey_tensor *survey_find(const struct survey *survey, uint32_t kind,
                                        uint32_t module) {
    for (size_t i = 0; i < survey->tensor_count; i++)
        if (survey->tensors[i].kind == kind && survey->tensors[i].module == module)
            return &survey->tensors[i];
    return NULL;
}

/* ---- the walk ---- */

static void take_step(struct survey *survey, const struct nauha_message_info *info) {
    if (survey->messages == 0) {
        survey->first_step = survey->last_step = info->global_step;
        survey->epoch = info->epoch;
    }
    if (info->global_step < survey->first_step)
        survey->first_step = info->global_step;
    if (info->global_step > survey->last_step)
        survey->last_step = info->global_step;
    if (info->epoch > survey->epoch) {
        if (survey->epoch_count < SURVEY_EPOCHS)
            survey->epochs[survey->epoch_count] = info->global_step;
        survey->epoch_count++;
        survey->epoch = info->epoch;
    }
    survey->messages++;
}

static enum nauha_status take(struct survey *survey, const struct nauha_message_info *info,
                              struct nauha_error *err) {
    take_step(survey, info);
    if (!info->has_tensor)
        return NAUHA_OK;
    struct survey_kind *kind = make_kind(survey, info->kind, info->tag);
    const struct seen_key key = {info->kind, info->module, info->slot,
                                 info->tag,  info->call,   info->rank};
    struct seen *seen = kind ? find_seen(survey, &key) : NULL;
    if (!seen)
        return nauha_error_nomem(err);
    if (seen->position == SIZE_MAX) {
        seen->position = 0;
        kind->keys++;
    }
    take_kind(survey, kind, info);
    return take_tensor(survey, info, err);
}

enum nauha_status survey_init(struct survey *survey, const struct opened *opened,
                              struct nauha_error *err) {
    struct nauha_cursor *cursor = NULL;
    struct nauha_message *message;
    *survey = (struct survey){0};
    enum nauha_status status =
        nauha_cursor_new_ranks(opened->traces, opened->trace_count, opened->selector, &cursor, err);
    while (status == NAUHA_OK) {
        status = nauha_cursor_next(cursor, &message, err);
        if (status == NAUHA_OK)
            status = take(survey, nauha_message_info(message), err);
        else if (status == NAUHA_DAMAGED)
            status = NAUHA_OK; /* replay reports it */
    }
    nauha_cursor_free(cursor);
    return status == NAUHA_END ? NAUHA_OK : status;
}

void survey_fini(struct survey *survey) {
    struct seen *entry, *next;
    HASH_ITER(hh, survey->seen, entry, next) {
        HASH_DEL(survey->seen, entry);
        free(entry);
    }
    free(survey->tensors);
    free(survey->kinds);
}
