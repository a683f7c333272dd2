/* SPDX-License-Identifier: MIT */
/* One message: what is kept of it, where its elements go, and the tap.
 *
 * Threads: the publish lock is held.
 */
#include <stdlib.h>

#include "nauha/internal/clock.h"
#include "nauha/internal/fingerprint.h"
#include "nauha/internal/gather.h"
#include "recorder/recorder_parts.h"
#include "recorder/reduce.h"

static enum nauha_grade of_size(enum nauha_grade grade, size_t bytes) {
    const bool small = bytes <= sizeof(struct nauha__fingerprint_words);
    return grade == NAUHA_GRADE_FINGERPRINT && small ? NAUHA_GRADE_ELEMENTS : grade;
}

enum nauha_grade nauha__grade(struct nauha_recorder *recorder, uint32_t kind, uint32_t module,
                              uint32_t tag, uint64_t step, uint32_t epoch, size_t bytes) {
    if (!recorder->path)
        return NAUHA_GRADE_NOTHING;
    return of_size(nauha_keeping_grade(recorder->config->keeping, recorder->names, kind, module,
                                       tag, step, epoch, recorder->config->rank),
                   bytes);
}

void *nauha__scratch(struct nauha_recorder *recorder, size_t bytes) {
    if (bytes > recorder->scratch_bytes) {
        void *more = realloc(recorder->scratch, bytes);
        if (!more)
            return NULL;
        recorder->scratch = more;
        recorder->scratch_bytes = bytes;
    }
    return recorder->scratch;
}

static enum nauha_status tap(struct nauha_recorder *recorder, const struct nauha__outgoing *out,
                             uint64_t time_ns) {
    struct nauha_error *err = &recorder->tap_error;
    const struct nauha_tensor *tensor = out->tensor;
    struct nauha_message message = {.info = {.seq = recorder->tapped_seq++,
                                             .time_ns = time_ns,
                                             .global_step = recorder->global_step,
                                             .train_step = recorder->train_step,
                                             .epoch = recorder->epoch,
                                             .rank = recorder->config->rank,
                                             .call = out->call,
                                             .kind = out->kind,
                                             .tag = out->tag,
                                             .module = out->module,
                                             .slot = out->slot,
                                             .has_tensor = tensor != NULL,
                                             .dtype = tensor ? tensor->dtype : (enum nauha_dtype)0,
                                             .bytes = out->bytes}};
    nauha__message_resolve(&message.info, recorder->names, out->shape);
    if (tensor && tensor->strides && out->bytes) {
        void *contiguous = nauha__scratch(recorder, out->bytes);
        if (!contiguous)
            return nauha_error_set(err, NAUHA_NOMEM, "no memory for a live copy of a tensor");
        nauha__gather(tensor, 0, out->bytes / nauha_dtype_size(tensor->dtype), contiguous);
        message.data = contiguous;
    } else if (tensor) {
        message.data = tensor->data;
    }
    enum nauha_status status = recorder->tap(recorder->tap_context, &message, err);
    nauha__message_fini(&message);
    return status;
}

/* Counts a message as lost. status: why the buffer did not take it. */
static void lose(struct nauha_recorder *recorder, const struct nauha__outgoing *out,
                 enum nauha_status status) {
    enum nauha__loss_reason reason = status == NAUHA_OK
                                         ? nauha__writer_loss_reason(&recorder->writer)
                                     : status == NAUHA_NOMEM ? NAUHA__LOSS_NO_MEMORY
                                                             : NAUHA__LOSS_BUFFER_FULL;
    nauha__writer_lose(&recorder->writer, out->kind, reason, out->bytes);
}

/* Copies the elements into the buffer, unless the trace has them already. */
static enum nauha_status put(struct nauha_recorder *recorder, const struct nauha__outgoing *out,
                             struct nauha__place *place) {
    const struct nauha__candidate candidate = {
        .tensor = out->tensor,
        .bytes = out->bytes,
        .bits = nauha__reduce_bits(out->kind, recorder->config->precision, out->tensor->dtype),
        .source = nauha__repeats_source(out->kind, out->module, out->slot, out->call)};
    if (nauha__repeats_find(&recorder->repeats, &candidate, place))
        return NAUHA_OK;
    uint64_t hash[2], *wanted = NULL;
    if (nauha__repeats_wants_hash(&recorder->repeats, &candidate))
        wanted = hash;
    enum nauha_status status =
        nauha__buffer_put(&recorder->writer.buffer, out->kind, out->tensor, out->bytes,
                          candidate.bits, !recorder->config->drop, place, wanted);
    if (status == NAUHA_OK)
        nauha__repeats_note(&recorder->repeats, &candidate, wanted, *place);
    return status;
}

/* Cuts a message to the samples that are kept; shape is room for the dimensions. Of a shard those
 * are kept that are among the first samples of the whole. */
static enum nauha_status cut(struct nauha_recorder *recorder, struct nauha__outgoing *out,
                             struct nauha_tensor *tensor, struct nauha__reduced *room) {
    struct nauha_names *names = recorder->names;
    struct nauha_placement placement;
    const bool shard = nauha_names_placement(names, out->shape, &placement);
    *tensor = *out->tensor;
    if (!nauha__reduce_samples(out->kind, recorder->config->samples, shard ? &placement : NULL,
                               tensor, room))
        return NAUHA_OK;
    if (out->bytes > 0)
        out->bytes = out->bytes / (size_t)out->tensor->shape[0] * (size_t)tensor->shape[0];
    out->tensor = tensor;
    return shard ? nauha_names_add_placement(names, tensor->shape, tensor->ndim, &placement,
                                             &out->shape, NULL)
                 : nauha_names_add_shape(names, tensor->shape, tensor->ndim, &out->shape, NULL);
}

/* The elements as they would be stored: contiguous, and rounded. */
static enum nauha_status as_stored(struct nauha_recorder *recorder,
                                   const struct nauha__outgoing *out, struct nauha_tensor *tensor) {
    *tensor = *out->tensor;
    unsigned bits = nauha__reduce_bits(out->kind, recorder->config->precision, tensor->dtype);
    size_t count = out->bytes / nauha_dtype_size(tensor->dtype);
    if (count == 0 || (!tensor->strides && !bits))
        return NAUHA_OK;
    void *contiguous = nauha__scratch(recorder, out->bytes);
    if (!contiguous)
        return NAUHA_NOMEM;
    nauha__gather(tensor, 0, count, contiguous);
    if (bits)
        nauha__round(tensor->dtype, bits, contiguous, count);
    tensor->data = contiguous;
    tensor->strides = NULL;
    return NAUHA_OK;
}

/* Holds the elements for the flight recorder. tensor: as they would be stored. */
static void hold(struct nauha_recorder *recorder, const struct nauha__outgoing *out,
                 const struct nauha_tensor *tensor, const struct nauha__index_row *row) {
    nauha__flight_hold(&recorder->flight, &recorder->writer.buffer, out->kind, tensor, out->bytes,
                       row->global_step, row->seq);
}

static enum nauha_status put_hash(struct nauha_recorder *recorder,
                                  const struct nauha__outgoing *out, struct nauha__index_row *row) {
    struct nauha_tensor tensor;
    uint64_t hash[2];
    enum nauha_status status = as_stored(recorder, out, &tensor);
    if (status == NAUHA_OK)
        status = nauha_tensor_hash(&tensor, hash, NULL);
    if (status != NAUHA_OK)
        return status;
    row->offset = hash[0];
    row->base = hash[1];
    row->flags = NAUHA__ROW_DATA | NAUHA__ROW_HASH;
    hold(recorder, out, &tensor, row);
    return NAUHA_OK;
}

static enum nauha_status put_words(struct nauha_recorder *recorder,
                                   const struct nauha__outgoing *out,
                                   const struct nauha__fingerprint_words *words,
                                   struct nauha__index_row *row) {
    struct nauha__place place;
    const int64_t count = NAUHA__FINGERPRINT_WORDS;
    const struct nauha_tensor packed = {
        .data = words, .dtype = NAUHA_DTYPE_I64, .ndim = 1, .shape = &count};
    enum nauha_status status =
        nauha__buffer_put(&recorder->writer.buffer, out->kind, &packed, sizeof *words, 0,
                          !recorder->config->drop, &place, NULL);
    row->stream = place.stream;
    row->offset = place.offset;
    row->flags = NAUHA__ROW_DATA | NAUHA__ROW_FINGERPRINT;
    return status;
}

/* What was made of elements that are not in this memory. */
static enum nauha_status put_print(struct nauha_recorder *recorder,
                                   const struct nauha__outgoing *out, enum nauha_grade grade,
                                   struct nauha__index_row *row) {
    if (grade != NAUHA_GRADE_HASH)
        return put_words(recorder, out, out->print, row);
    row->offset = out->print->hash[0];
    row->base = out->print->hash[1];
    row->flags = NAUHA__ROW_DATA | NAUHA__ROW_HASH;
    return NAUHA_OK;
}

static enum nauha_status put_fingerprint(struct nauha_recorder *recorder,
                                         const struct nauha__outgoing *out,
                                         struct nauha__index_row *row) {
    struct nauha_tensor tensor;
    struct nauha_fingerprint fingerprint;
    struct nauha__fingerprint_words words;
    enum nauha_status status = as_stored(recorder, out, &tensor);
    if (status != NAUHA_OK)
        return status;
    nauha__fingerprint(&tensor, out->bytes / nauha_dtype_size(tensor.dtype), &fingerprint);
    nauha__fingerprint_pack(&fingerprint, &words);
    status = put_words(recorder, out, &words, row);
    if (status == NAUHA_OK)
        hold(recorder, out, &tensor, row);
    return status;
}

static enum nauha_status put_elements(struct nauha_recorder *recorder,
                                      const struct nauha__outgoing *out,
                                      struct nauha__index_row *row) {
    struct nauha__place place = out->place;
    enum nauha_status status = out->placed ? NAUHA_OK : put(recorder, out, &place);
    row->stream = place.stream;
    row->offset = place.offset;
    row->base = out->base.offset;
    row->flags = (uint8_t)(NAUHA__ROW_DATA | (out->derived ? NAUHA__ROW_DERIVED : 0u));
    return status;
}

/* Keeps the tensor in the way that its grade says, and completes its row. */
static enum nauha_status keep(struct nauha_recorder *recorder, struct nauha__outgoing *out,
                              enum nauha_grade grade, struct nauha__index_row *row) {
    struct nauha_tensor tensor;
    struct nauha__reduced room;
    enum nauha_status status =
        out->placed || out->print ? NAUHA_OK : cut(recorder, out, &tensor, &room);
    if (status != NAUHA_OK)
        return status;
    row->shape = out->shape;
    row->dtype = (uint8_t)out->tensor->dtype;
    if (out->print)
        return put_print(recorder, out, grade, row);
    grade = of_size(grade, out->bytes);
    return grade == NAUHA_GRADE_HASH          ? put_hash(recorder, out, row)
           : grade == NAUHA_GRADE_FINGERPRINT ? put_fingerprint(recorder, out, row)
                                              : put_elements(recorder, out, row);
}

/* Whether a message that is placed lacks what this grade needs of it. */
static bool is_lost(const struct nauha__outgoing *out, enum nauha_grade grade) {
    return out->placed && out->bytes > 0 &&
           !(grade == NAUHA_GRADE_ELEMENTS ? out->stored : out->tensor->data != NULL);
}

static void store(struct nauha_recorder *recorder, const struct nauha__outgoing *whole,
                  enum nauha_grade grade, uint64_t time_ns) {
    struct nauha__outgoing kept = *whole, *out = &kept;
    if (grade != NAUHA_GRADE_ELEMENTS &&
        nauha__flight_writes(&recorder->flight, recorder->global_step)) {
        grade = NAUHA_GRADE_ELEMENTS;
        /* Where only a copy for the fingerprint was made, the elements are those of the copy. */
        if (out->placed && !out->stored && out->tensor->data)
            out->placed = out->derived = false;
    }
    struct nauha__writer *writer = &recorder->writer;
    struct nauha__index_row row = {
        .seq = recorder->stored_seq++,
        .time_ns = time_ns,
        .global_step = recorder->global_step,
        .train_step = recorder->train_step,
        .epoch = recorder->epoch,
        .module = out->module,
        .slot = out->slot,
        .call = out->call,
        .kind = (uint16_t)out->kind,
        .tag = (uint16_t)out->tag,
        .stream = NAUHA__NO_STREAM,
    };
    if (atomic_load_explicit(&writer->failed, memory_order_relaxed)) {
        lose(recorder, out, NAUHA_OK);
        return;
    }
    enum nauha_status status =
        is_lost(out, grade) ? NAUHA_LIMIT : nauha__writer_reserve_row(writer);
    if (status == NAUHA_OK && out->tensor)
        status = keep(recorder, out, grade, &row);
    if (status != NAUHA_OK) {
        lose(recorder, out, status);
        return;
    }
    nauha__writer_add_row(writer, &row);
    recorder->messages++;
    recorder->bytes_published += out->bytes;
}

/* A loss that is not finite after one that was is a reason for a dump. */
static void watch_loss(struct nauha_recorder *recorder, const struct nauha__outgoing *out) {
    struct nauha_stats stats = {0};
    if (out->print) {
        stats.nans = out->print->nans;
        stats.infs = out->print->infs;
    } else {
        nauha_stats_compute(out->tensor, &stats);
    }
    const bool finite = stats.nans + stats.infs == 0;
    if (!finite && !recorder->loss_not_finite)
        nauha__flight_ask(&recorder->flight, "the loss is not finite");
    recorder->loss_not_finite = !finite;
}

void nauha__emit(struct nauha_recorder *recorder, const struct nauha__outgoing *out) {
    uint64_t time_ns = nauha__now_ns() - recorder->started_ns;
    const enum nauha_grade grade = nauha__grade(recorder, out->kind, out->module, out->tag,
                                                recorder->global_step, recorder->epoch, out->bytes);
    if (grade != NAUHA_GRADE_NOTHING)
        store(recorder, out, grade, time_ns);
    if (!out->print && nauha__is_tapped(recorder) && tap(recorder, out, time_ns) != NAUHA_OK)
        recorder->tap_failed = true;
    if (recorder->flight.steps > 0 && out->kind == NAUHA_KIND_LOSS)
        watch_loss(recorder, out);
    nauha__flight_answer(&recorder->flight, &recorder->writer, recorder->global_step);
}
