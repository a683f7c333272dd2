/* SPDX-License-Identifier: MIT */
/* The tables of a trace, field by field, and the checksum of their rows. */
#include "nauha/internal/layout.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "rows are written as they lie in memory, and traces are little-endian"
#endif

#define FIELD(row, name, type)                                                                     \
    { #name, offsetof(struct row, name), NAUHA__FIELD_##type, 1 }
#define TEXT(row, name)                                                                            \
    { #name, offsetof(struct row, name), NAUHA__FIELD_TEXT, sizeof((struct row *)0)->name }
#define DIMS(row, name)                                                                            \
    { #name, offsetof(struct row, name), NAUHA__FIELD_DIMS, NAUHA_MAX_NDIM }

static const struct nauha__field index_fields[] = {
    FIELD(nauha__index_row, seq, U64),         FIELD(nauha__index_row, time_ns, U64),
    FIELD(nauha__index_row, global_step, U64), FIELD(nauha__index_row, offset, U64),
    FIELD(nauha__index_row, base, U64),        FIELD(nauha__index_row, train_step, U32),
    FIELD(nauha__index_row, epoch, U32),       FIELD(nauha__index_row, module, U32),
    FIELD(nauha__index_row, slot, U32),        FIELD(nauha__index_row, call, U32),
    FIELD(nauha__index_row, shape, U32),       FIELD(nauha__index_row, kind, U16),
    FIELD(nauha__index_row, tag, U16),         FIELD(nauha__index_row, stream, U16),
    FIELD(nauha__index_row, dtype, U8),        FIELD(nauha__index_row, flags, U8),
    FIELD(nauha__index_row, checksum, U32),
};

static const struct nauha__field chunk_fields[] = {
    FIELD(nauha__chunk_row, number, U64),   FIELD(nauha__chunk_row, hash, U64),
    FIELD(nauha__chunk_row, stored, U32),   FIELD(nauha__chunk_row, filter_mask, U32),
    FIELD(nauha__chunk_row, stream, U16),   FIELD(nauha__chunk_row, reserved, U16),
    FIELD(nauha__chunk_row, checksum, U32),
};

static const struct nauha__field stream_fields[] = {
    FIELD(nauha__stream_row, stream, U16),   FIELD(nauha__stream_row, kind, U16),
    FIELD(nauha__stream_row, item_size, U8), FIELD(nauha__stream_row, big, U8),
    FIELD(nauha__stream_row, slices, U16),   FIELD(nauha__stream_row, checksum, U32),
};

static const struct nauha__field kind_fields[] = {
    TEXT(nauha__kind_row, name),           FIELD(nauha__kind_row, scope, U8),
    FIELD(nauha__kind_row, form, U8),      FIELD(nauha__kind_row, reserved, U16),
    FIELD(nauha__kind_row, checksum, U32),
};

static const struct nauha__field module_fields[] = {
    TEXT(nauha__module_row, name),
    TEXT(nauha__module_row, class_name),
    FIELD(nauha__module_row, checksum, U32),
};

static const struct nauha__field text_fields[] = {
    TEXT(nauha__text_row, name),
    FIELD(nauha__text_row, checksum, U32),
};

static const struct nauha__field shape_fields[] = {
    FIELD(nauha__shape_row, ndim, U32),
    FIELD(nauha__shape_row, reserved, U32),
    DIMS(nauha__shape_row, dims),
    FIELD(nauha__shape_row, checksum, U32),
};

static const struct nauha__field placement_fields[] = {
    FIELD(nauha__placement_row, shape, U32),    FIELD(nauha__placement_row, whole, U32),
    FIELD(nauha__placement_row, flags, U32),    FIELD(nauha__placement_row, summand, U32),
    FIELD(nauha__placement_row, summands, U32), FIELD(nauha__placement_row, reserved, U32),
    DIMS(nauha__placement_row, offset),         FIELD(nauha__placement_row, checksum, U32),
};

static const struct nauha__field alias_fields[] = {
    FIELD(nauha__alias_row, module, U32),       FIELD(nauha__alias_row, slot, U32),
    FIELD(nauha__alias_row, alias_module, U32), FIELD(nauha__alias_row, alias_slot, U32),
    FIELD(nauha__alias_row, checksum, U32),
};

static const struct nauha__field loss_fields[] = {
    FIELD(nauha__loss_row, kind, U16),      FIELD(nauha__loss_row, reserved, U16),
    FIELD(nauha__loss_row, reserved2, U32), TEXT(nauha__loss_row, reason),
    FIELD(nauha__loss_row, messages, U64),  FIELD(nauha__loss_row, bytes, U64),
    FIELD(nauha__loss_row, checksum, U32),
};

static const struct nauha__field elements_fields[] = {
    FIELD(nauha__elements_row, seq, U64),      FIELD(nauha__elements_row, offset, U64),
    FIELD(nauha__elements_row, stream, U16),   FIELD(nauha__elements_row, reserved, U16),
    FIELD(nauha__elements_row, checksum, U32),
};

static const struct nauha__field dump_fields[] = {
    FIELD(nauha__dump_row, step, U64),      FIELD(nauha__dump_row, first_step, U64),
    FIELD(nauha__dump_row, last_step, U64), TEXT(nauha__dump_row, reason),
    FIELD(nauha__dump_row, reserved, U32),  FIELD(nauha__dump_row, checksum, U32),
};

static const struct nauha__field end_fields[] = {
    FIELD(nauha__end_row, closed, U32),
    FIELD(nauha__end_row, reserved, U32),
    FIELD(nauha__end_row, messages, U64),
    FIELD(nauha__end_row, time_ns, U64),
    FIELD(nauha__end_row, messages_lost, U64),
    FIELD(nauha__end_row, bytes_lost, U64),
    TEXT(nauha__end_row, failure),
    FIELD(nauha__end_row, checksum, U32),
};

#define TABLE(id, path, row, chunk_rows, fields)                                                   \
    [NAUHA__TABLE_##                                                                               \
        id] = {path, sizeof(struct row), chunk_rows, fields, sizeof fields / sizeof *fields}

/* The first row of a table allocates a whole HDF5 chunk: long tables get chunks of some 80 KB, the
 * others chunks of a few. */
static const struct nauha__table tables[NAUHA__TABLE_COUNT] = {
    TABLE(INDEX, "/index", nauha__index_row, 1024, index_fields),
    TABLE(CHUNKS, "/chunks", nauha__chunk_row, 1024, chunk_fields),
    TABLE(STREAMS_USED, "/streams_used", nauha__stream_row, 64, stream_fields),
    TABLE(KINDS, "/kinds", nauha__kind_row, 32, kind_fields),
    TABLE(MODULES, "/modules", nauha__module_row, 32, module_fields),
    TABLE(SLOTS, "/slots", nauha__text_row, 32, text_fields),
    TABLE(TAGS, "/tags", nauha__text_row, 32, text_fields),
    TABLE(SHAPES, "/shapes", nauha__shape_row, 32, shape_fields),
    TABLE(PLACEMENTS, "/placements", nauha__placement_row, 32, placement_fields),
    TABLE(ALIASES, "/aliases", nauha__alias_row, 64, alias_fields),
    TABLE(LOSSES, "/losses", nauha__loss_row, 32, loss_fields),
    TABLE(ELEMENTS, "/elements", nauha__elements_row, 64, elements_fields),
    TABLE(DUMPS, "/dumps", nauha__dump_row, 4, dump_fields),
    TABLE(END, "/end", nauha__end_row, 1, end_fields),
};

const struct nauha__table *nauha__table(enum nauha__table_id id) {
    return &tables[id];
}

static uint32_t row_checksum(const struct nauha__table *table, const void *row) {
    return XXH32(row, table->row_size - sizeof(uint32_t), 0);
}

void nauha__row_seal(const struct nauha__table *table, void *row) {
    uint32_t sum = row_checksum(table, row);
    memcpy((char *)row + table->row_size - sizeof sum, &sum, sizeof sum);
}

bool nauha__row_intact(const struct nauha__table *table, const void *row) {
    uint32_t kept;
    memcpy(&kept, (const char *)row + table->row_size - sizeof kept, sizeof kept);
    return kept == row_checksum(table, row);
}
