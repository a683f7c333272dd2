/* SPDX-License-Identifier: MIT */
/* For metrics that compare a tensor with an earlier one of its key: the earlier ones, as they were
 * stored, within a limit of memory.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_ANALYZERS_KEPT_H
#define NAUHA_ANALYZERS_KEPT_H

#include <inttypes.h>

#include "analyzers/blocks.h"
#include "analyzers/kinds.h"

/* The key of such a metric's limit, for its table of parameters. */
#define KEPT_PARAMETER                                                                             \
    {                                                                                              \
        "memory", NAUHA_PARAMETER_INTEGER, "4096", 1, 1048576,                                     \
            "MiB that the tensors kept for comparison may take"                                    \
    }

struct kept {
    uint32_t kind, tag, module, slot, call, rank;
    enum nauha_dtype dtype;
    uint32_t ndim;
    int64_t shape[NAUHA_MAX_NDIM];
    uint64_t bytes;
    size_t element_bytes;
    double sum_squares; /* of the elements */
    unsigned char *elements;
};

struct kept_tensors {
    const struct nauha_host *host;
    uint64_t bytes, bytes_max;
    struct kept *rows;
    size_t count;
    size_t next; /* where the row is if keys come in the order of the step before */
};

static inline void kept_tensors_init(struct kept_tensors *kept, const struct nauha_host *host,
                                     int64_t memory) {
    *kept = (struct kept_tensors){.host = host, .bytes_max = (uint64_t)memory << 20};
}

static inline void kept_tensors_fini(struct kept_tensors *kept) {
    for (size_t i = 0; i < kept->count; i++)
        free(kept->rows[i].elements);
    free(kept->rows);
}

static inline bool kept_is_of(const struct kept *row, const struct nauha_message_info *info) {
    return row->module == info->module && row->kind == info->kind && row->slot == info->slot &&
           row->call == info->call && row->tag == info->tag && row->rank == info->rank;
}

/* What is kept of a message's key; NULL: nothing, or a tensor of another shape or type. Borrowed
 * until the next kept_tensors_keep. */
static inline struct kept *kept_tensors_find(struct kept_tensors *kept,
                                             const struct nauha_message_info *info) {
    for (size_t i = 0; i < kept->count; i++) {
        const size_t at = (kept->next + i) % kept->count;
        struct kept *row = &kept->rows[at];
        if (!kept_is_of(row, info))
            continue;
        kept->next = at + 1;
        const bool same = row->dtype == info->dtype && row->ndim == info->ndim &&
                          (info->ndim == 0 ||
                           memcmp(row->shape, info->shape, info->ndim * sizeof *row->shape) == 0);
        return same && row->elements ? row : NULL;
    }
    return NULL;
}

static inline enum nauha_status kept_no_room(const struct kept_tensors *kept,
                                             const struct nauha_message_info *info,
                                             struct nauha_error *err) {
    size_t held = 0;
    for (size_t i = 0; i < kept->count; i++)
        held += kept->rows[i].elements != NULL;
    return kept->host->fail(
        err, NAUHA_LIMIT,
        "%s of module \"%s\" needs %.1f MiB to be kept for comparison, and %zu tensors take %.1f "
        "of "
        "memory=%.0f MiB already: choose fewer (--modules), or give more (memory=)",
        info->kind_name, info->module_name, (double)info->bytes / 1048576, held,
        (double)kept->bytes / 1048576, (double)kept->bytes_max / 1048576);
}

/* The row for a message's key, with room for its elements; what it held is gone. */
static inline enum nauha_status kept_make_room(struct kept_tensors *kept,
                                               const struct nauha_message_info *info,
                                               struct kept **out, struct nauha_error *err) {
    size_t at = 0;
    while (at < kept->count && !kept_is_of(&kept->rows[at], info))
        at++;
    if (at == kept->count) {
        struct kept *more = realloc(kept->rows, (kept->count + 1) * sizeof *more);
        if (!more)
            return kept->host->fail(err, NAUHA_NOMEM, "out of memory");
        kept->rows = more;
        more[kept->count++] = (struct kept){.kind = info->kind,
                                            .tag = info->tag,
                                            .module = info->module,
                                            .slot = info->slot,
                                            .call = info->call,
                                            .rank = info->rank};
    }
    struct kept *row = &kept->rows[at];
    if (info->bytes > kept->bytes_max - (kept->bytes - row->bytes))
        return kept_no_room(kept, info, err);
    if (!row->elements || row->bytes != info->bytes) {
        kept->bytes -= row->bytes;
        row->bytes = 0;
        free(row->elements);
        row->elements = malloc(info->bytes > 0 ? (size_t)info->bytes : 1);
    }
    if (!row->elements)
        return kept->host->fail(err, NAUHA_NOMEM, "no memory for %" PRIu64 " bytes", info->bytes);
    kept->bytes += info->bytes - row->bytes;
    row->bytes = info->bytes;
    row->dtype = info->dtype;
    row->ndim = info->ndim;
    if (info->ndim > 0)
        memcpy(row->shape, info->shape, info->ndim * sizeof *row->shape);
    *out = row;
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

/* Keeps a message's tensor in place of what was kept of its key. LIMIT: there is no room. */
static inline enum nauha_status kept_tensors_keep(struct kept_tensors *kept,
                                                  struct nauha_message *message,
                                                  const struct nauha_stats *stats,
                                                  struct nauha_error *err) {
    struct kept *row = NULL;
    const struct nauha_message_info *info = kept->host->info(message);
    enum nauha_status status = kept_make_room(kept, info, &row, err);
    if (status != NAUHA_OK)
        return status;
    row->sum_squares = stats->sum_squares;
    row->element_bytes = stats->count > 0 ? (size_t)(info->bytes / stats->count) : 1;
    status = kept->host->for_each_piece(message, kept_copy_piece, row, err);
    if (status != NAUHA_OK) {
        free(row->elements);
        row->elements = NULL;
        kept->bytes -= row->bytes;
        row->bytes = 0;
    }
    return status;
}

/* ---- comparing ---- */

/* n elements of a message and of what was kept. */
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

/* Calls fn with each block of the message's elements and of those kept in `row`, which
 * kept_tensors_find gave for it. Fails as host->for_each_piece does. */
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
