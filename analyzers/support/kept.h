/* SPDX-License-Identifier: MIT */
/* For metrics that compare a tensor with an earlier one of the same key: copies of the earlier
 * tensors in their element types, within a limit of memory.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_ANALYZERS_SUPPORT_KEPT_H
#define NAUHA_ANALYZERS_SUPPORT_KEPT_H

#include <inttypes.h>

#include "analyzers/support/keys.h"
#include "analyzers/support/kinds.h"
#include "analyzers/support/scaled.h"

/* The parameter with the limit, for the table of such a metric. */
#define KEPT_PARAMETER                                                                             \
    {                                                                                              \
        "memory", NAUHA_PARAMETER_INTEGER, "4096", 1, 1048576,                                     \
            "memory for the tensors kept for comparison, in MiB"                                   \
    }

/* The tensor that is kept for a key; elements is NULL if there is none. */
struct kept {
    enum nauha_dtype dtype;
    uint32_t ndim;
    int64_t shape[NAUHA_MAX_NDIM];
    uint64_t bytes;
    size_t element_bytes;
    struct scaled squares; /* their sum */
    unsigned char *elements;
};

struct kept_tensors {
    const struct nauha_host *host;
    uint64_t bytes, bytes_max;
    size_t count;           /* tensors that are kept */
    struct key_table table; /* of struct kept */
};

static inline void kept_tensors_init(struct kept_tensors *kept, const struct nauha_host *host,
                                     int64_t memory) {
    *kept = (struct kept_tensors){.host = host,
                                  .bytes_max = (uint64_t)memory << 20,
                                  .table = {.state_bytes = sizeof(struct kept)}};
}

static inline void kept_fini(void *state) {
    free(((struct kept *)state)->elements);
}

static inline void kept_tensors_fini(struct kept_tensors *kept) {
    key_table_fini(&kept->table, kept_fini);
}

/* The place of the tensor of a message, borrowed until kept_tensors_fini; NULL when out of memory.
 */
static inline struct kept *kept_tensors_get(struct kept_tensors *kept,
                                            const struct nauha_message_info *info) {
    return key_table_get(&kept->table, key_of(info, info->kind));
}

/* Whether the kept tensor can be compared with a message: it has the same shape and type. */
static inline bool kept_is_alike(const struct kept *row, const struct nauha_message_info *info) {
    return row->elements && row->dtype == info->dtype && row->ndim == info->ndim &&
           (info->ndim == 0 ||
            memcmp(row->shape, info->shape, info->ndim * sizeof *row->shape) == 0);
}

static inline void kept_drop(struct kept_tensors *kept, struct kept *row) {
    kept->count -= row->elements != NULL;
    kept->bytes -= row->bytes;
    free(row->elements);
    row->elements = NULL;
    row->bytes = 0;
}

static inline enum nauha_status kept_make_room(struct kept_tensors *kept, struct kept *row,
                                               const struct nauha_message_info *info,
                                               struct nauha_error *err) {
    if (row->elements && row->bytes == info->bytes)
        return NAUHA_OK;
    kept_drop(kept, row);
    if (info->bytes > kept->bytes_max - kept->bytes)
        return kept->host->fail(err, NAUHA_LIMIT,
                                "cannot keep %s of module \"%s\" (%.1f MiB) for comparison, "
                                "because %zu tensors already take %.1f of memory=%.0f MiB: select "
                                "fewer modules (--modules), or raise memory=",
                                info->kind_name, info->module_name, (double)info->bytes / 1048576,
                                kept->count, (double)kept->bytes / 1048576,
                                (double)kept->bytes_max / 1048576);
    row->elements = malloc(info->bytes > 0 ? (size_t)info->bytes : 1);
    if (!row->elements)
        return kept->host->fail(err, NAUHA_NOMEM, "no memory for %" PRIu64 " bytes", info->bytes);
    row->bytes = info->bytes;
    kept->bytes += info->bytes;
    kept->count++;
    return NAUHA_OK;
}

static inline enum nauha_status kept_copy_piece(void *context, const struct nauha_tensor *piece,
                                                uint64_t first, struct nauha_error *err) {
    (void)err;
    struct kept *row = context;
    memcpy(row->elements + first * row->element_bytes, piece->data,
           (size_t)piece->shape[0] * row->element_bytes);
    return NAUHA_OK;
}

/* Keeps the tensor of a message in `row`, in place of the one before. LIMIT: it exceeds the limit
 * of memory. */
static inline enum nauha_status kept_tensors_keep(struct kept_tensors *kept, struct kept *row,
                                                  struct nauha_message *message,
                                                  const struct scaled *squares,
                                                  struct nauha_error *err) {
    const struct nauha_message_info *info = kept->host->info(message);
    enum nauha_status status = kept_make_room(kept, row, info, err);
    if (status != NAUHA_OK)
        return status;
    row->dtype = info->dtype;
    row->ndim = info->ndim;
    if (info->ndim > 0)
        memcpy(row->shape, info->shape, info->ndim * sizeof *row->shape);
    row->squares = *squares;
    row->element_bytes =
        squares->stats.count > 0 ? (size_t)(info->bytes / squares->stats.count) : 1;
    status = kept->host->for_each_piece(message, kept_copy_piece, row, err);
    if (status != NAUHA_OK)
        kept_drop(kept, row);
    return status;
}

/* ---- comparing ---- */

/* n elements of a message, and those of the kept tensor. */
typedef void (*kept_pair_fn)(void *context, const double *x, const double *earlier, size_t n);

struct kept_comparison {
    const struct nauha_host *host;
    struct nauha_tensor earlier;
    kept_pair_fn fn;
    void *context;
};

static inline enum nauha_status kept_compare_piece(void *context, const struct nauha_tensor *piece,
                                                   uint64_t first, struct nauha_error *err) {
    (void)err;
    struct kept_comparison *comparison = context;
    const size_t count = (size_t)piece->shape[0];
    double x[BLOCK], earlier[BLOCK];
    for (size_t at = 0; at < count; at += BLOCK) {
        const size_t n = count - at < BLOCK ? count - at : BLOCK;
        comparison->host->to_f64(piece, at, n, x);
        comparison->host->to_f64(&comparison->earlier, (size_t)first + at, n, earlier);
        comparison->fn(comparison->context, x, earlier, n);
    }
    return NAUHA_OK;
}

/* Calls fn with each block of the elements of a message and of the tensor kept in `row`, which have
 * the same shape and type. Fails as host->for_each_piece does. */
static inline enum nauha_status kept_tensors_compare(const struct kept_tensors *kept,
                                                     const struct kept *row,
                                                     struct nauha_message *message, kept_pair_fn fn,
                                                     void *context, struct nauha_error *err) {
    struct kept_comparison comparison = {
        .host = kept->host,
        .earlier = {.data = row->elements,
                    .dtype = row->dtype,
                    .ndim = row->ndim,
                    .shape = row->shape},
        .fn = fn,
        .context = context,
    };
    return kept->host->for_each_piece(message, kept_compare_piece, &comparison, err);
}

#endif
