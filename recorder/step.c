/* SPDX-License-Identifier: MIT */
/* Steps and epochs: when parameters are copied, and what is published when a step ends.
 *
 * A parameter is copied once between two steps: the copy is its value after the one and before the
 * other. The message of its weights or biases is published when the step that used this value ends,
 * and the message of the update refers to the copies before and after that step.
 *
 * Threads: public calls take the publish lock.
 */
#include <stdlib.h>
#include <string.h>

#include "nauha/array.h"
#include "nauha/internal/arithmetic.h"
#include "nauha/internal/gather.h"
#include "nauha/internal/hash.h"
#include "recorder/recorder_parts.h"
#include "recorder/sliced.h"

void nauha__held_fini(struct nauha__held_list *held) {
    for (size_t i = 0; i < held->capacity; i++)
        free(held->list[i].copy);
    free(held->list);
}

static uint32_t value_kind(bool bias) {
    return bias ? NAUHA_KIND_BIASES : NAUHA_KIND_WEIGHTS;
}

static uint32_t update_kind(bool bias) {
    return bias ? NAUHA_KIND_BIAS_UPDATES : NAUHA_KIND_WEIGHT_UPDATES;
}

static bool same_parameter(const struct nauha__held *a, const struct nauha__held *b) {
    return a->module == b->module && a->slot == b->slot && a->bias == b->bias &&
           a->dtype == b->dtype && a->shape == b->shape;
}

/* The held value of the same parameter in another list, most likely at the same position. */
static struct nauha__held *find_same(const struct nauha__held_list *held,
                                     const struct nauha__held *like, size_t position) {
    if (position < held->count && same_parameter(&held->list[position], like))
        return &held->list[position];
    for (size_t i = 0; i < held->count; i++) {
        if (same_parameter(&held->list[i], like))
            return &held->list[i];
    }
    return NULL;
}

/* ---- copying ---- */

/* How a parameter's value has to be kept so that messages can be made of it. */
struct need {
    bool elements; /* in the trace */
    bool copy;     /* in memory, for a hash or a fingerprint */
};

static void add_need(struct nauha_recorder *recorder, const struct nauha__held *held, uint32_t kind,
                     uint64_t step, uint32_t epoch, struct need *need) {
    if (recorder->paused)
        return;
    const enum nauha_grade grade =
        nauha__grade(recorder, kind, held->module, 0, step, epoch, held->bytes);
    if (grade == NAUHA_GRADE_ELEMENTS)
        need->elements = true;
    else if (grade != NAUHA_GRADE_NOTHING)
        need->copy = true;
}

/* The contiguous elements: the memory of the tensor itself, or a copy of them in scratch. */
static const void *in_one_piece(struct nauha_recorder *recorder, const struct nauha_tensor *tensor,
                                size_t bytes) {
    if (!tensor->strides || bytes == 0)
        return tensor->data;
    void *scratch = nauha__scratch(recorder, bytes);
    if (scratch)
        nauha__gather(tensor, 0, bytes / nauha_dtype_size(tensor->dtype), scratch);
    return scratch;
}

/* Sets what identifies a parameter; its copy and the position of the copy are set later. */
static enum nauha_status describe(struct nauha_recorder *recorder,
                                  const struct nauha_parameter *parameter, struct nauha__held *held,
                                  struct nauha_error *err) {
    size_t count;
    const struct nauha_tensor *tensor = &parameter->tensor;
    enum nauha_status status = nauha_tensor_count(tensor, &count, err);
    uint32_t shape = 0;
    if (status == NAUHA_OK)
        status = nauha__shape_number(recorder->names, tensor, parameter->placement, &shape, err);
    if (status != NAUHA_OK)
        return status;
    if (parameter->module >= nauha_names_modules(recorder->names) ||
        parameter->slot >= nauha_names_slots(recorder->names))
        return nauha_error_set(err, NAUHA_INVALID,
                               "the module or slot of a parameter is not registered");
    void *copy = held->copy;
    size_t room = held->copy ? held->bytes : 0;
    *held = (struct nauha__held){.module = parameter->module,
                                 .slot = parameter->slot,
                                 .bias = parameter->bias,
                                 .dtype = tensor->dtype,
                                 .shape = shape,
                                 .bytes = count * nauha_dtype_size(tensor->dtype),
                                 .place = {.stream = NAUHA__NO_STREAM},
                                 .copy = copy};
    if (held->bytes && !tensor->data)
        return nauha_error_set(err, NAUHA_INVALID, "a parameter has no data");
    if (copy && room != held->bytes) {
        free(copy);
        held->copy = NULL;
    }
    return NAUHA_OK;
}

static enum nauha_status put_value(struct nauha_recorder *recorder, struct nauha__held *held,
                                   const struct nauha_tensor *tensor) {
    struct nauha__buffer *buffer = &recorder->writer.buffer;
    bool wait = !recorder->config->drop;
    if (recorder->config->codec.temporal)
        return nauha__sliced_put(buffer, held->bias, tensor, held->bytes, wait, &held->place);
    return nauha__buffer_put(buffer, value_kind(held->bias), tensor, held->bytes, 0, wait,
                             &held->place, NULL);
}

/* Copies a parameter's elements into its stream, if a row will refer to them, and into memory, if
 * the tap, a hash or a fingerprint needs them. */
static enum nauha_status copy_value(struct nauha_recorder *recorder,
                                    const struct nauha_parameter *parameter,
                                    struct nauha__held *held, struct need need,
                                    struct nauha_error *err) {
    const struct nauha_tensor *tensor = &parameter->tensor;
    if (need.elements && !held->stored && !atomic_load(&recorder->writer.failed))
        held->stored = put_value(recorder, held, tensor) == NAUHA_OK;
    const bool tapped = recorder->tap && !recorder->tap_failed;
    held->copied = held->bytes > 0 && (tapped || need.copy);
    if (!held->copied)
        return NAUHA_OK;
    if (!held->copy && !(held->copy = malloc(held->bytes))) {
        held->copied = false;
        return nauha_error_set(err, NAUHA_NOMEM, "no memory for a copy of a parameter");
    }
    if (tensor->strides)
        nauha__gather(tensor, 0, held->bytes / nauha_dtype_size(held->dtype), held->copy);
    else
        memcpy(held->copy, tensor->data, held->bytes);
    return NAUHA_OK;
}

/* The bytes of all parameters in one step. */
static size_t total_bytes(const struct nauha_parameter *parameters, size_t count) {
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        const struct nauha_tensor *tensor = &parameters[i].tensor;
        size_t elements = 0;
        if (nauha_tensor_count(tensor, &elements, NULL) == NAUHA_OK)
            total += elements * nauha_dtype_size(tensor->dtype);
    }
    return total;
}

/* ---- publishing what a step held ---- */

static struct nauha_tensor tensor_of(const struct nauha_recorder *recorder,
                                     const struct nauha__held *held, const void *data) {
    struct nauha_tensor tensor = {.data = data, .dtype = held->dtype};
    tensor.shape = nauha_names_shape(recorder->names, held->shape, &tensor.ndim);
    return tensor;
}

static void emit_value(struct nauha_recorder *recorder, const struct nauha__held *held) {
    struct nauha_tensor tensor = tensor_of(recorder, held, held->copied ? held->copy : NULL);
    struct nauha__outgoing out = {.kind = value_kind(held->bias),
                                  .module = held->module,
                                  .slot = held->slot,
                                  .tensor = &tensor,
                                  .shape = held->shape,
                                  .bytes = held->bytes,
                                  .place = held->place,
                                  .placed = true,
                                  .stored = held->stored};
    nauha__emit(recorder, &out);
}

static enum nauha_status emit_update(struct nauha_recorder *recorder,
                                     const struct nauha__held *before,
                                     const struct nauha__held *after, struct nauha_error *err) {
    void *difference = NULL;
    if (before->copied && after->copied) {
        difference = nauha__scratch(recorder, before->bytes);
        if (!difference)
            return nauha_error_set(err, NAUHA_NOMEM, "no memory for an update");
        nauha__subtract(before->dtype, after->copy, before->copy,
                        before->bytes / nauha_dtype_size(before->dtype), difference);
    }
    struct nauha_tensor tensor = tensor_of(recorder, before, difference);
    struct nauha__outgoing out = {.kind = update_kind(before->bias),
                                  .module = before->module,
                                  .slot = before->slot,
                                  .tensor = &tensor,
                                  .shape = before->shape,
                                  .bytes = before->bytes,
                                  .derived = true,
                                  .place = after->place,
                                  .base = before->place,
                                  .placed = true,
                                  .stored = before->stored && after->stored};
    nauha__emit(recorder, &out);
    return NAUHA_OK;
}

static void emit_event(struct nauha_recorder *recorder, uint32_t kind) {
    struct nauha__outgoing out = {.kind = kind, .module = NAUHA_NONE, .shape = NAUHA_NONE};
    if (!recorder->paused)
        nauha__emit(recorder, &out);
}

/* Ends the open step; `newly_held` holds the values after it. */
static enum nauha_status publish_end(struct nauha_recorder *recorder, struct nauha_error *err) {
    enum nauha_status status = NAUHA_OK;
    size_t count = recorder->paused || recorder->held_paused ? 0 : recorder->held.count;
    for (size_t i = 0; i < count; i++)
        emit_value(recorder, &recorder->held.list[i]);
    for (size_t i = 0; i < count && status == NAUHA_OK; i++) {
        const struct nauha__held *before = &recorder->held.list[i];
        const struct nauha__held *after = find_same(&recorder->newly_held, before, i);
        if (after)
            status = emit_update(recorder, before, after, err);
    }
    recorder->step_open = false;
    emit_event(recorder, NAUHA_KIND_BATCH_FINISHED);
    if (!recorder->config->tentative)
        nauha__settle(recorder);
    return status;
}

static void swap_held(struct nauha_recorder *recorder) {
    struct nauha__held_list held = recorder->held;
    recorder->held = recorder->newly_held;
    recorder->newly_held = held;
}

/* Copies the present values of the parameters to `newly_held`, for the next step. With explicit_end
 * it is not known yet whether the next step uses these values, so hashes of them are kept to find
 * out. */
static enum nauha_status take_values(struct nauha_recorder *recorder,
                                     const struct nauha_parameter *parameters, size_t count,
                                     bool explicit_end, struct nauha_error *err) {
    uint64_t next = recorder->global_step + (recorder->any_step ? 1 : 0);
    uint32_t next_epoch = recorder->epoch + (recorder->epoch_over ? 1 : 0);
    enum nauha_status status = NAUHA_OK;
    /* Items keep the memory of earlier copies for the next ones. */
    if (!NAUHA_GROW_ZEROED(recorder->newly_held.list, recorder->newly_held.capacity, count))
        return nauha_error_set(err, NAUHA_NOMEM, "no memory for the parameters of a step");
    recorder->newly_held.count = 0;
    if (recorder->config->codec.temporal && recorder->path)
        nauha__sliced_next_row(&recorder->writer.buffer, total_bytes(parameters, count));
    for (size_t i = 0; i < count && status == NAUHA_OK; i++) {
        struct nauha__held *held = &recorder->newly_held.list[i];
        status = describe(recorder, &parameters[i], held, err);
        if (status != NAUHA_OK)
            return status;
        recorder->newly_held.count = i + 1;
        const struct nauha__held *before = find_same(&recorder->held, held, i);
        struct need need = {false, false};
        if (recorder->step_open && before)
            add_need(recorder, held, update_kind(held->bias), recorder->global_step,
                     recorder->epoch, &need);
        if (!explicit_end) {
            add_need(recorder, held, value_kind(held->bias), next, next_epoch, &need);
            add_need(recorder, held, update_kind(held->bias), next, next_epoch, &need);
        }
        bool compare = (explicit_end || recorder->after_end) && recorder->path && held->bytes;
        if (compare) {
            const void *elements = in_one_piece(recorder, &parameters[i].tensor, held->bytes);
            if (!elements)
                return nauha_error_set(err, NAUHA_NOMEM, "no memory for a parameter");
            nauha__hash128(elements ? elements : parameters[i].tensor.data, held->bytes,
                           held->hash);
        }
        /* Values rarely change between an explicit end of a step and the beginning of the next. If
         * they did not, the next step refers to the copy that was made at the end. */
        if (!explicit_end && recorder->after_end && before && before->stored &&
            memcmp(before->hash, held->hash, sizeof held->hash) == 0) {
            held->stored = true;
            held->place = before->place;
        }
        status = copy_value(recorder, &parameters[i], held, need, err);
    }
    return status;
}

/* ---- the public calls ---- */

static enum nauha_status begin_step(struct nauha_recorder *recorder,
                                    const struct nauha_parameter *parameters, size_t count,
                                    struct nauha_error *err) {
    enum nauha_status status = take_values(recorder, parameters, count, false, err);
    if (status == NAUHA_OK && recorder->step_open)
        status = publish_end(recorder, err);
    if (status != NAUHA_OK)
        return status;
    swap_held(recorder);
    recorder->after_end = false;
    recorder->held_paused = recorder->paused;
    if (recorder->epoch_over)
        recorder->epoch++;
    recorder->epoch_over = false;
    if (recorder->any_step) {
        recorder->global_step++;
        recorder->train_step = recorder->epoch_begun ? recorder->train_step + 1 : 0;
    }
    bool first = !recorder->epoch_begun;
    recorder->any_step = recorder->step_open = recorder->epoch_begun = true;
    if (first)
        emit_event(recorder, NAUHA_KIND_EPOCH_STARTED);
    emit_event(recorder, NAUHA_KIND_BATCH_STARTED);
    return NAUHA_OK;
}

enum nauha_status nauha_recorder_begin_step(struct nauha_recorder *recorder,
                                            const struct nauha_parameter *parameters, size_t count,
                                            struct nauha_error *err) {
    if (*recorder->alive == 0)
        return NAUHA_OK;
    pthread_mutex_lock(&recorder->writer.publish);
    enum nauha_status status =
        nauha__outcome(recorder, begin_step(recorder, parameters, count, err), err);
    pthread_mutex_unlock(&recorder->writer.publish);
    return status;
}

enum nauha_status nauha_recorder_end_step(struct nauha_recorder *recorder,
                                          const struct nauha_parameter *parameters, size_t count,
                                          struct nauha_error *err) {
    if (*recorder->alive == 0)
        return NAUHA_OK;
    pthread_mutex_lock(&recorder->writer.publish);
    enum nauha_status status = NAUHA_OK;
    if (recorder->step_open) {
        status = take_values(recorder, parameters, count, true, err);
        if (status == NAUHA_OK)
            status = publish_end(recorder, err);
        if (status == NAUHA_OK) {
            swap_held(recorder);
            recorder->after_end = true;
        }
    }
    status = nauha__outcome(recorder, status, err);
    pthread_mutex_unlock(&recorder->writer.publish);
    return status;
}

enum nauha_status nauha_recorder_epoch_finished(struct nauha_recorder *recorder,
                                                struct nauha_error *err) {
    if (*recorder->alive == 0)
        return NAUHA_OK;
    pthread_mutex_lock(&recorder->writer.publish);
    enum nauha_status status = NAUHA_OK;
    if (recorder->step_open) {
        status = nauha_error_set(err, NAUHA_STATE,
                                 "an epoch cannot finish during a step: end the step first");
    } else if (recorder->epoch_begun && recorder->any_step) {
        emit_event(recorder, NAUHA_KIND_EPOCH_FINISHED);
        recorder->epoch_begun = false;
        recorder->epoch_over = true;
    }
    status = nauha__outcome(recorder, status, err);
    pthread_mutex_unlock(&recorder->writer.publish);
    return status;
}
