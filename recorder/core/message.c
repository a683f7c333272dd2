/* SPDX-License-Identifier: MIT */
/* Messages: loading their elements on demand, and copying messages so that they outlive a callback.
 *
 * Threads: one at a time.
 */
#include "nauha/internal/message.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "nauha/internal/arithmetic.h"
#include "nauha/internal/fingerprint.h"
#include "nauha/internal/hash.h"

const struct nauha_message_info *nauha_message_info(const struct nauha_message *message) {
    return &message->info;
}

static const char *text_or_empty(const char *text) {
    return text ? text : "";
}

static enum nauha_status wrap_reading(const struct nauha_message_info *info,
                                      enum nauha_status status, struct nauha_error *err) {
    const char *kind = text_or_empty(info->kind_name);
    if (info->module == NAUHA_NONE)
        return nauha_error_wrap(err, status, "reading \"%s\" of step %" PRIu64, kind,
                                info->global_step);
    return nauha_error_wrap(err, status, "reading \"%s\" of module \"%s\" of step %" PRIu64, kind,
                            text_or_empty(info->module_name), info->global_step);
}

static enum nauha_status check_readable(const struct nauha_message *message,
                                        struct nauha_error *err) {
    const struct nauha_message_info *info = &message->info;
    if (!info->has_tensor)
        return nauha_error_set(err, NAUHA_INVALID, "message \"%s\" is an event and has no tensor",
                               text_or_empty(info->kind_name));
    if (info->kept != NAUHA_KEPT_ELEMENTS)
        return wrap_reading(
            info,
            nauha_error_set(err, NAUHA_UNAVAILABLE, "only the %s of the tensor was recorded%s",
                            info->kept == NAUHA_KEPT_HASH ? "hash" : "fingerprint",
                            info->kept == NAUHA_KEPT_HASH ? "" : "; --full keeps it in full"),
            err);
    if (!message->data && info->bytes > 0 && !message->source)
        return nauha_error_set(err, NAUHA_STATE, "message \"%s\" has lost its elements",
                               text_or_empty(info->kind_name));
    return NAUHA_OK;
}

static enum nauha_status check_limit(const struct nauha_message *message, struct nauha_error *err) {
    const struct nauha_message_info *info = &message->info;
    if (message->tensor_limit == 0 || info->bytes <= message->tensor_limit)
        return NAUHA_OK;
    return nauha_error_set(
        err, NAUHA_LIMIT,
        "the tensor has %" PRIu64 " bytes, more than the tensor limit of %" PRIu64
        ": raise the limit (--tensor-limit), or use metrics that read tensors piece by piece",
        info->bytes, message->tensor_limit);
}

/* Takes the status with which a source has read a message. */
static enum nauha_status take_outcome(struct nauha_message *message, enum nauha_status status,
                                      struct nauha_error *err) {
    message->damaged = status == NAUHA_DAMAGED || status == NAUHA_FORMAT;
    message->unreadable = status == NAUHA_IO;
    return status == NAUHA_OK ? status : wrap_reading(&message->info, status, err);
}

static enum nauha_status load(struct nauha_message *message, struct nauha_error *err) {
    const struct nauha_message_info *info = &message->info;
    void *data = NULL;
    enum nauha_status status = check_limit(message, err);
    if (status != NAUHA_OK)
        return wrap_reading(info, status, err);
    message->asked.readings++;
    status = message->source->load(message->source->context, info, message->row, &data, err);
    if (status == NAUHA_OK)
        message->data = message->owned = data;
    return take_outcome(message, status, err);
}

enum nauha_status nauha_message_tensor(struct nauha_message *message, struct nauha_tensor *tensor,
                                       struct nauha_error *err) {
    const struct nauha_message_info *info = &message->info;
    enum nauha_status status = check_readable(message, err);
    if (status == NAUHA_OK && !message->data && info->bytes > 0)
        status = load(message, err);
    if (status != NAUHA_OK)
        return status;
    *tensor = (struct nauha_tensor){
        .data = message->data,
        .dtype = info->dtype,
        .ndim = info->ndim,
        .shape = info->shape,
        .strides = NULL,
    };
    return NAUHA_OK;
}

/* ---- pieces ---- */

/* Stands between a source and the function that visits its pieces, to tell which of the two
 * fails. */
struct relay {
    nauha_piece_fn fn;
    void *context;
    enum nauha_status status;
};

static enum nauha_status relay_piece(void *context, const struct nauha_tensor *piece,
                                     uint64_t first, struct nauha_error *err) {
    struct relay *relay = context;
    relay->status = relay->fn(relay->context, piece, first, err);
    return relay->status;
}

static enum nauha_status visit_source(struct nauha_message *message, nauha_piece_fn fn,
                                      void *context, struct nauha_error *err) {
    struct relay relay = {.fn = fn, .context = context};
    message->asked.readings++;
    const bool again = message->expected.readings > message->asked.readings;
    enum nauha_status status = message->source->visit(
        message->source->context, &message->info, message->row, again, relay_piece, &relay, err);
    return relay.status == NAUHA_OK ? take_outcome(message, status, err) : relay.status;
}

enum nauha_status nauha_message_for_each_piece(struct nauha_message *message, nauha_piece_fn fn,
                                               void *context, struct nauha_error *err) {
    struct nauha_tensor tensor;
    size_t count = 0;
    enum nauha_status status = check_readable(message, err);
    if (status == NAUHA_OK && !message->data && message->info.bytes > 0 && message->source->visit)
        return visit_source(message, fn, context, err);
    if (status == NAUHA_OK)
        status = nauha_message_tensor(message, &tensor, err);
    if (status == NAUHA_OK)
        status = nauha_tensor_count(&tensor, &count, err);
    if (status != NAUHA_OK || count == 0)
        return status;
    const int64_t length = (int64_t)count;
    const struct nauha_tensor piece = {
        .data = tensor.data, .dtype = tensor.dtype, .ndim = 1, .shape = &length};
    return fn(context, &piece, 0, err);
}

enum nauha_status nauha_message_read(struct nauha_message *message, uint64_t first, uint64_t count,
                                     void *out, struct nauha_error *err) {
    const struct nauha_message_info *info = &message->info;
    enum nauha_status status = check_readable(message, err);
    if (status != NAUHA_OK)
        return status;
    const size_t size = nauha_dtype_size(info->dtype);
    const uint64_t all = info->bytes / size;
    if (first > all || count > all - first)
        return nauha_error_set(err, NAUHA_INVALID,
                               "message \"%s\" has %" PRIu64 " elements and no element %" PRIu64,
                               text_or_empty(info->kind_name), all, first + count);
    if (count == 0)
        return NAUHA_OK;
    if (!message->data && message->source->read)
        return take_outcome(message,
                            message->source->read(message->source->context, info, message->row,
                                                  first, count, out, err),
                            err);
    struct nauha_tensor tensor;
    status = nauha_message_tensor(message, &tensor, err);
    if (status == NAUHA_OK)
        memcpy(out, (const unsigned char *)tensor.data + (size_t)first * size,
               (size_t)count * size);
    return status;
}

/* ---- copies ---- */

enum nauha_status nauha_message_take(struct nauha_message *message, struct nauha_tensor *tensor,
                                     struct nauha_error *err) {
    enum nauha_status status = nauha_message_tensor(message, tensor, err);
    if (status != NAUHA_OK)
        return status;
    if (message->source && message->owned) {
        message->owned = NULL;
        message->data = NULL;
        return NAUHA_OK;
    }
    const size_t bytes = (size_t)message->info.bytes;
    void *copy = malloc(bytes ? bytes : 1);
    if (!copy)
        return nauha_error_set(err, NAUHA_NOMEM, "no memory for \"%s\" (%zu bytes)",
                               text_or_empty(message->info.kind_name), bytes);
    if (bytes)
        memcpy(copy, tensor->data, bytes);
    tensor->data = copy;
    return NAUHA_OK;
}

void nauha_memory_free(void *memory) {
    free(memory);
}

static size_t piece_bytes(const struct nauha_tensor *piece) {
    return (size_t)piece->shape[0] * nauha_dtype_size(piece->dtype);
}

static enum nauha_status hash_piece(void *context, const struct nauha_tensor *piece, uint64_t first,
                                    struct nauha_error *err) {
    (void)first;
    (void)err;
    nauha__tensor_hasher_add(context, piece->data, piece_bytes(piece));
    return NAUHA_OK;
}

static enum nauha_status compute_hash(struct nauha_message *message, uint64_t hash[2],
                                      struct nauha_error *err) {
    struct nauha__tensor_hasher hasher;
    nauha__tensor_hasher_begin(&hasher);
    enum nauha_status status = nauha_message_for_each_piece(message, hash_piece, &hasher, err);
    nauha__tensor_hasher_end(&hasher, hash);
    return status;
}

static enum nauha_status xxh3_piece(void *context, const struct nauha_tensor *piece, uint64_t first,
                                    struct nauha_error *err) {
    (void)first;
    (void)err;
    nauha__hasher_add(context, piece->data, piece_bytes(piece));
    return NAUHA_OK;
}

static enum nauha_status compute_xxh3(struct nauha_message *message, uint64_t hash[2],
                                      struct nauha_error *err) {
    struct nauha__hasher *hasher = nauha__hasher_new();
    if (!hasher)
        return nauha_error_set(err, NAUHA_NOMEM, "no memory for a hash");
    nauha__hasher_begin(hasher);
    enum nauha_status status = nauha_message_for_each_piece(message, xxh3_piece, hasher, err);
    nauha__hasher_end(hasher, hash);
    nauha__hasher_free(hasher);
    return status;
}

enum nauha_status nauha_message_hash(struct nauha_message *message, uint64_t hash[2],
                                     struct nauha_error *err) {
    const struct nauha_fingerprint *print = NULL;
    if (message->info.kept == NAUHA_KEPT_ELEMENTS)
        return compute_hash(message, hash, err);
    enum nauha_status status = NAUHA_OK;
    if (message->info.kept == NAUHA_KEPT_FINGERPRINT)
        status = nauha__message_kept_fingerprint(message, &print, err);
    if (status == NAUHA_OK)
        memcpy(hash, print ? print->hash : message->hash, sizeof message->hash);
    return status;
}

enum nauha_status nauha_message_hash_by(struct nauha_message *message, enum nauha_hash function,
                                        uint64_t hash[2], struct nauha_error *err) {
    const struct nauha_message_info *info = &message->info;
    if (function == (enum nauha_hash)info->hash)
        return nauha_message_hash(message, hash, err);
    if (info->kept == NAUHA_KEPT_ELEMENTS && function == NAUHA_HASH_XXH3)
        return compute_xxh3(message, hash, err);
    return nauha_error_set(err, NAUHA_UNAVAILABLE,
                           "of \"%s\" there is only a hash by the function %s, not by %s",
                           text_or_empty(info->kind_name),
                           nauha_hash_name((enum nauha_hash)info->hash), nauha_hash_name(function));
}

/* ---- fingerprints ---- */

enum nauha_status nauha__message_kept_fingerprint(struct nauha_message *message,
                                                  const struct nauha_fingerprint **fingerprint,
                                                  struct nauha_error *err) {
    enum nauha_status status = NAUHA_OK;
    if (!message->print) {
        struct nauha_fingerprint *print = malloc(sizeof *print);
        if (!print)
            return nauha_error_nomem(err);
        status = take_outcome(message,
                              message->source->fingerprint(message->source->context, &message->info,
                                                           message->row, print, err),
                              err);
        if (status == NAUHA_OK)
            message->print = print;
        else
            free(print);
    }
    *fingerprint = message->print;
    return status;
}

static enum nauha_status fingerprint_piece(void *context, const struct nauha_tensor *piece,
                                           uint64_t first, struct nauha_error *err) {
    (void)err;
    nauha__fingerprinting_add(context, piece, first);
    return NAUHA_OK;
}

static enum nauha_status compute_fingerprint(struct nauha_message *message,
                                             struct nauha_fingerprint *fingerprint,
                                             struct nauha_error *err) {
    struct nauha__fingerprinting making;
    enum nauha_status status = check_readable(message, err);
    if (status != NAUHA_OK)
        return status;
    nauha__fingerprinting_begin(
        &making, message->info.bytes / nauha_dtype_size(message->info.dtype), fingerprint);
    status = nauha_message_for_each_piece(message, fingerprint_piece, &making, err);
    nauha__fingerprinting_end(&making);
    return status;
}

enum nauha_status nauha_message_fingerprint(struct nauha_message *message,
                                            struct nauha_fingerprint *fingerprint,
                                            struct nauha_error *err) {
    const struct nauha_fingerprint *kept = NULL;
    if (message->info.kept != NAUHA_KEPT_FINGERPRINT)
        return compute_fingerprint(message, fingerprint, err);
    enum nauha_status status = nauha__message_kept_fingerprint(message, &kept, err);
    if (status == NAUHA_OK)
        *fingerprint = *kept;
    return status;
}

void nauha__message_fini(struct nauha_message *message) {
    free(message->owned);
    free(message->stats);
    free(message->print);
    memset(message, 0, sizeof *message);
}

/* Gives copy a block of its own that holds the elements and, behind them, the shape, which for a
 * live message may be the publisher's memory as well. */
static enum nauha_status copy_elements(struct nauha_message *copy, struct nauha_error *err) {
    const struct nauha_message_info *info = &copy->info;
    size_t shape_bytes = info->ndim * sizeof *info->shape;
    size_t data_bytes = 0;
    size_t total = 0;
    bool fits = info->bytes <= SIZE_MAX && nauha__add_size((size_t)info->bytes, 7, &data_bytes) &&
                nauha__add_size(data_bytes &= ~(size_t)7, shape_bytes, &total);
    char *block = fits ? malloc(total ? total : 1) : NULL;
    if (!block)
        return nauha_error_set(err, NAUHA_NOMEM,
                               "no memory to keep \"%s\" (%" PRIu64 " bytes) for a bundle",
                               text_or_empty(info->kind_name), info->bytes);
    if (info->bytes > 0)
        memcpy(block, copy->data, (size_t)info->bytes);
    if (shape_bytes > 0)
        memcpy(block + data_bytes, info->shape, shape_bytes);
    copy->data = copy->owned = block;
    copy->info.shape = (const int64_t *)(const void *)(block + data_bytes);
    return NAUHA_OK;
}

enum nauha_status nauha__message_retain(const struct nauha_message *message,
                                        struct nauha_message *copy, struct nauha_error *err) {
    *copy = *message;
    copy->owned = NULL;
    copy->stats = NULL;
    copy->print = NULL;
    copy->known = 0;
    if (message->source) {
        copy->data = NULL;
    } else if (message->info.has_tensor) {
        enum nauha_status status =
            message->data || message->info.bytes == 0
                ? copy_elements(copy, err)
                : nauha_error_set(err, NAUHA_STATE, "message \"%s\" has lost its elements",
                                  text_or_empty(message->info.kind_name));
        if (status != NAUHA_OK) {
            memset(copy, 0, sizeof *copy);
            return status;
        }
    }
    if (message->stats) {
        /* No memory for them is no error: they are computed again when they are needed. */
        copy->stats = malloc(sizeof *copy->stats);
        if (copy->stats) {
            *copy->stats = *message->stats;
            copy->known = message->known;
        }
    }
    return NAUHA_OK;
}

void nauha__message_resolve(struct nauha_message_info *info, const struct nauha_names *names,
                            uint32_t shape) {
    info->kind_name = nauha_names_kind(names, info->kind);
    info->tag_name = nauha_names_tag(names, info->tag);
    info->module_name = nauha_names_module(names, info->module);
    info->module_class = nauha_names_module_class(names, info->module);
    info->slot_name = nauha_names_slot(names, info->slot);
    info->ndim = 0;
    info->shape = info->has_tensor ? nauha_names_shape(names, shape, &info->ndim) : NULL;
    info->placement = info->has_tensor && nauha_names_placement(names, shape, NULL) ? shape : 0;
}
