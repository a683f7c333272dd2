/* SPDX-License-Identifier: MIT */
/* Writing tables and rows in an order that leaves a readable file wherever it is cut off; see
 * flush.h.
 *
 * Threads: the writer thread.
 */
#include "recorder/flush.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nauha/array.h"
#include "nauha/internal/names.h"

/* Number of rows that are sealed and appended at a time. */
#define BATCH 256u
/* Bytes that HDF5 itself needs until a file is closed. */
#define LISTS_OF_CHUNKS (128u * 1024u)

static const char *const reasons[NAUHA__LOSS_REASONS] = {
    [NAUHA__LOSS_BUFFER_FULL] = "buffer full",
    [NAUHA__LOSS_LIMIT] = "limit reached",
    [NAUHA__LOSS_WRITE_FAILED] = "write failed",
    [NAUHA__LOSS_NO_MEMORY] = "out of memory",
};

/* ---- chunks ---- */

/* Advances the mark below which a stream is complete past chunks that were written out of order. */
static void absorb_ahead(struct nauha__writer *writer, uint16_t stream) {
    for (size_t i = 0; i < writer->ahead_count;) {
        if (writer->ahead[i] == ((uint64_t)stream << 48 | writer->contiguous[stream])) {
            writer->contiguous[stream]++;
            writer->ahead[i] = writer->ahead[--writer->ahead_count];
            i = 0;
        } else {
            i++;
        }
    }
}

enum nauha_status nauha__flush_note_chunk(struct nauha__writer *writer,
                                          const struct nauha__block *block,
                                          struct nauha_error *err) {
    if (!NAUHA_GROW(writer->chunk_rows, writer->chunk_capacity, writer->chunk_count + 1) ||
        !NAUHA_GROW(writer->ahead, writer->ahead_capacity, writer->ahead_count + 1))
        return nauha_error_set(err, NAUHA_NOMEM, "no memory to write trace \"%s\"", writer->path);
    writer->chunk_rows[writer->chunk_count++] = (struct nauha__chunk_row){
        .number = block->number,
        .hash = block->hash,
        .stored = (uint32_t)block->stored,
        .filter_mask = block->filter_mask,
        .stream = block->stream,
    };
    writer->chunk_bytes += block->stored;
    if (block->number == writer->contiguous[block->stream]) {
        writer->contiguous[block->stream]++;
        absorb_ahead(writer, block->stream);
    } else {
        writer->ahead[writer->ahead_count++] = (uint64_t)block->stream << 48 | block->number;
    }
    return NAUHA_OK;
}

/* ---- beginning ---- */

/* Takes over a list of the publishers, who go on with the empty one of the last flush. */
#define TAKE_OVER(list)                                                                            \
    do {                                                                                           \
        const __typeof__(flush->list) empty = flush->list;                                         \
        flush->list = writer->list;                                                                \
        writer->list = empty;                                                                      \
        writer->list.count = 0;                                                                    \
    } while (0)

void nauha__flush_begin(struct nauha__writer *writer) {
    struct nauha__flush *flush = &writer->flush;
    flush->active = true;
    pthread_mutex_lock(&writer->lock);
    flush->request = writer->requested;
    pthread_mutex_unlock(&writer->lock);
    flush->target = nauha__buffer_seal_all(&writer->buffer);
    flush->written = writer->blocks_written;

    TAKE_OVER(rows);
    TAKE_OVER(aliases);
    TAKE_OVER(elements);
    TAKE_OVER(dumps);
    for (size_t i = 0; i < NAUHA__STREAMS; i++) {
        flush->stream_kinds[i] = writer->buffer.streams[i].kind;
        flush->stream_used[i] = writer->buffer.streams[i].used;
    }
    pthread_cond_broadcast(&writer->answered);
}

/* ---- tables ---- */

static enum nauha_status append_flushed(struct nauha__writer *writer, enum nauha__table_id table,
                                        void *rows, size_t count, struct nauha_error *err) {
    if (count == 0)
        return NAUHA_OK;
    enum nauha_status status = nauha__file_append(&writer->file, table, rows, count, err);
    return status == NAUHA_OK ? nauha__file_flush_table(&writer->file, table, err) : status;
}

static enum nauha_status write_streams_used(struct nauha__writer *writer, struct nauha_error *err) {
    struct nauha__stream_row rows[NAUHA__STREAMS];
    size_t count = 0;
    const struct nauha__flush *flush = &writer->flush;
    for (uint16_t i = 0; i < NAUHA__STREAMS; i++) {
        if (!flush->stream_used[i] ||
            (writer->written_used[i] && writer->written_kinds[i] == flush->stream_kinds[i]))
            continue;
        struct nauha__stream_shape shape = nauha__stream_shape(i);
        rows[count++] = (struct nauha__stream_row){.stream = i,
                                                   .kind = flush->stream_kinds[i],
                                                   .item_size = shape.item_size,
                                                   .big = shape.big,
                                                   .slices = shape.slices};
        writer->written_used[i] = true;
        writer->written_kinds[i] = flush->stream_kinds[i];
    }
    return append_flushed(writer, NAUHA__TABLE_STREAMS_USED, rows, count, err);
}

static void put_text(char *field, size_t bytes, const char *text) {
    memset(field, 0, bytes);
    memcpy(field, text, strnlen(text, bytes - 1));
}

/* One row of the table of a list of names. */
static void name_row(const struct nauha_names *names, enum nauha__table_id table, uint32_t id,
                     void *row) {
    switch (table) {
    case NAUHA__TABLE_KINDS: {
        struct nauha__kind_row *kind = row;
        put_text(kind->name, sizeof kind->name, nauha_names_kind(names, id));
        kind->scope = (uint8_t)nauha_names_kind_scope(names, id);
        kind->form = (uint8_t)nauha_names_kind_form(names, id);
        break;
    }
    case NAUHA__TABLE_MODULES: {
        struct nauha__module_row *module = row;
        put_text(module->name, sizeof module->name, nauha_names_module(names, id));
        put_text(module->class_name, sizeof module->class_name,
                 nauha_names_module_class(names, id));
        break;
    }
    case NAUHA__TABLE_SLOTS:
    case NAUHA__TABLE_TAGS: {
        struct nauha__text_row *text = row;
        put_text(text->name, sizeof text->name,
                 table == NAUHA__TABLE_SLOTS ? nauha_names_slot(names, id)
                                             : nauha_names_tag(names, id));
        break;
    }
    default: {
        struct nauha__shape_row *shape = row;
        const int64_t *dims = nauha_names_shape(names, id, &shape->ndim);
        for (uint32_t i = 0; i < shape->ndim; i++)
            shape->dims[i] = dims[i];
        if (nauha_names_placement(names, id, NULL))
            shape->reserved = NAUHA__SHAPE_PLACED;
        break;
    }
    }
}

/* Appends the names that are new since the last flush. */
static const struct {
    enum nauha__table_id table;
    uint32_t (*count)(const struct nauha_names *names);
} lists[] = {{NAUHA__TABLE_KINDS, nauha_names_kinds},
             {NAUHA__TABLE_MODULES, nauha_names_modules},
             {NAUHA__TABLE_SLOTS, nauha_names_slots},
             {NAUHA__TABLE_TAGS, nauha_names_tags},
             {NAUHA__TABLE_SHAPES, nauha_names_shapes}};
enum { LISTS = sizeof lists / sizeof *lists, SHAPES_LIST = LISTS - 1 };

static enum nauha_status write_names(struct nauha__writer *writer, size_t list,
                                     struct nauha_error *err) {
    enum nauha__table_id table = lists[list].table;
    size_t row_size = nauha__table(table)->row_size;
    uint32_t *written = &writer->written_names[list];
    uint32_t count = lists[list].count(writer->names);
    if (*written == count)
        return NAUHA_OK;
    size_t added = count - *written;
    unsigned char *rows = calloc(added, row_size);
    if (!rows)
        return nauha_error_set(err, NAUHA_NOMEM, "no memory to write trace \"%s\"", writer->path);
    for (size_t i = 0; i < added; i++)
        name_row(writer->names, table, *written + (uint32_t)i, rows + i * row_size);
    enum nauha_status status = append_flushed(writer, table, rows, added, err);
    free(rows);
    if (status == NAUHA_OK)
        *written = count;
    return status;
}

static void placement_row(const struct nauha_names *names, uint32_t id,
                          const struct nauha_placement *placement,
                          struct nauha__placement_row *row) {
    uint32_t ndim;
    nauha_names_shape(names, id, &ndim);
    row->shape = id;
    row->whole = nauha__names_whole(names, id);
    row->flags = placement->flat ? NAUHA__PLACEMENT_FLAT : 0;
    row->summand = placement->summand;
    row->summands = placement->summands;
    for (uint32_t i = 0; i < ndim; i++)
        row->offset[i] = placement->offset[i];
}

/* Appends the placements of the shards whose shapes have been written. */
static enum nauha_status write_placements(struct nauha__writer *writer, struct nauha_error *err) {
    const uint32_t first = writer->written_placements, last = writer->written_names[SHAPES_LIST];
    size_t count = 0;
    if (first == last)
        return NAUHA_OK;
    struct nauha__placement_row *rows = calloc(last - first, sizeof *rows);
    if (!rows)
        return nauha_error_set(err, NAUHA_NOMEM, "no memory to write trace \"%s\"", writer->path);
    for (uint32_t id = first; id < last; id++) {
        struct nauha_placement placement;
        if (nauha_names_placement(writer->names, id, &placement))
            placement_row(writer->names, id, &placement, &rows[count++]);
    }
    enum nauha_status status = append_flushed(writer, NAUHA__TABLE_PLACEMENTS, rows, count, err);
    free(rows);
    if (status == NAUHA_OK)
        writer->written_placements = last;
    return status;
}

static enum nauha_status write_losses(struct nauha__writer *writer, struct nauha_error *err) {
    struct nauha__loss_row rows[BATCH];
    size_t count = 0;
    pthread_mutex_lock(&writer->lock);
    for (size_t i = 0; i < writer->loss_count && count < BATCH; i++) {
        struct nauha__loss *loss = &writer->losses[i];
        if (!loss->changed)
            continue;
        struct nauha__loss_row *row = &rows[count++];
        *row = (struct nauha__loss_row){
            .kind = (uint16_t)loss->kind, .messages = loss->messages, .bytes = loss->bytes};
        put_text(row->reason, sizeof row->reason, reasons[loss->reason]);
        loss->changed = false;
    }
    pthread_mutex_unlock(&writer->lock);
    return append_flushed(writer, NAUHA__TABLE_LOSSES, rows, count, err);
}

/* Appends where the elements of held messages lie, and why they were written. */
static enum nauha_status write_dumped(struct nauha__writer *writer, struct nauha_error *err) {
    struct nauha__flush *flush = &writer->flush;
    enum nauha_status status = append_flushed(writer, NAUHA__TABLE_ELEMENTS, flush->elements.list,
                                              flush->elements.count, err);
    return status == NAUHA_OK ? append_flushed(writer, NAUHA__TABLE_DUMPS, flush->dumps.list,
                                               flush->dumps.count, err)
                              : status;
}

static enum nauha_status write_tables(struct nauha__writer *writer, struct nauha_error *err) {
    enum nauha_status status =
        append_flushed(writer, NAUHA__TABLE_CHUNKS, writer->chunk_rows, writer->chunk_count, err);
    if (status != NAUHA_OK)
        return status;
    writer->chunk_count = 0;
    status = write_streams_used(writer, err);
    for (size_t list = 0; list < LISTS && status == NAUHA_OK; list++)
        status = write_names(writer, list, err);
    if (status == NAUHA_OK)
        status = write_placements(writer, err);
    if (status == NAUHA_OK)
        status = append_flushed(writer, NAUHA__TABLE_ALIASES, writer->flush.aliases.list,
                                writer->flush.aliases.count, err);
    if (status == NAUHA_OK)
        status = write_dumped(writer, err);
    if (status == NAUHA_OK)
        status = write_losses(writer, err);
    return status;
}

/* The greatest number of bytes that the tables for all published messages will still add to the
 * file: their rows, one more chunk of each table, and the headers and lists of chunks of HDF5. */
static uint64_t tables_bytes(const struct nauha__writer *writer) {
    uint64_t rows[NAUHA__TABLE_COUNT] = {0}, bytes = LISTS_OF_CHUNKS;
    rows[NAUHA__TABLE_INDEX] = atomic_load(&writer->rows_added) - writer->rows_done;
    rows[NAUHA__TABLE_CHUNKS] = writer->chunk_count;
    rows[NAUHA__TABLE_ALIASES] = writer->flush.aliases.count;
    rows[NAUHA__TABLE_ELEMENTS] = atomic_load(&writer->elements_added) - writer->elements_done;
    rows[NAUHA__TABLE_DUMPS] = writer->flush.dumps.count;
    for (size_t list = 0; list < LISTS; list++)
        rows[lists[list].table] = lists[list].count(writer->names) - writer->written_names[list];
    rows[NAUHA__TABLE_PLACEMENTS] = nauha_names_shapes(writer->names) - writer->written_placements;
    for (int id = 0; id < NAUHA__TABLE_COUNT; id++) {
        const struct nauha__table *table = nauha__table((enum nauha__table_id)id);
        bytes += (rows[id] + table->chunk_rows) * table->row_size;
    }
    return bytes;
}

uint64_t nauha__flush_room(const struct nauha__writer *writer) {
    const uint64_t limit = writer->config->limit_bytes;
    if (limit == 0)
        return UINT64_MAX;
    const uint64_t used = writer->file.disk.end + tables_bytes(writer);
    return used < limit ? limit - used : 0;
}

/* ---- rows ---- */

static uint64_t row_bytes(const struct nauha__writer *writer, const struct nauha__index_row *row) {
    if (!(row->flags & NAUHA__ROW_DATA))
        return 0;
    uint32_t ndim;
    const int64_t *shape = nauha_names_shape(writer->names, row->shape, &ndim);
    uint64_t bytes = nauha_dtype_size((enum nauha_dtype)row->dtype);
    for (uint32_t i = 0; i < ndim; i++)
        bytes *= (uint64_t)shape[i];
    return bytes;
}

/* The bytes that a row refers to in its stream. */
static uint64_t stream_bytes(const struct nauha__writer *writer,
                             const struct nauha__index_row *row) {
    return row->flags & NAUHA__ROW_FINGERPRINT ? sizeof(struct nauha__fingerprint_words)
                                               : row_bytes(writer, row);
}

/* Whether elements up to the end of a range of `bytes` are in the file. */
static bool is_written(const struct nauha__writer *writer, uint16_t stream, uint64_t offset,
                       uint64_t bytes) {
    struct nauha__stream_shape shape = nauha__stream_shape(stream);
    uint64_t each = NAUHA__CHUNK_BYTES / shape.item_size;
    uint64_t last =
        nauha__slice_position(offset, bytes / shape.item_size - 1, each, each / shape.slices);
    return last / each < writer->contiguous[stream];
}

/* Counts a message that was taken in, but has no row in the file. */
static void lose_row(struct nauha__writer *writer, const struct nauha__index_row *row,
                     enum nauha__loss_reason reason) {
    const uint64_t bytes = row_bytes(writer, row);
    nauha__writer_lose(writer, row->kind, reason, bytes);
    pthread_mutex_lock(&writer->lock);
    writer->rows_lost++;
    writer->rows_lost_bytes += bytes;
    pthread_mutex_unlock(&writer->lock);
}

/* After a failure: keeps the rows that are complete and fit, and counts the others as lost. */
static void drop_rows(struct nauha__writer *writer, uint64_t fit) {
    struct nauha__rows *rows = &writer->flush.rows;
    enum nauha__loss_reason reason = nauha__writer_loss_reason(writer);
    size_t kept = 0;
    for (size_t i = 0; i < rows->count; i++) {
        const struct nauha__index_row *row = &rows->list[i];
        uint64_t bytes = stream_bytes(writer, row);
        bool whole = row->stream == NAUHA__NO_STREAM ||
                     (is_written(writer, row->stream, row->offset, bytes) &&
                      (!(row->flags & NAUHA__ROW_DERIVED) ||
                       is_written(writer, row->stream, row->base, bytes)));
        if (whole && kept < fit)
            rows->list[kept++] = *row;
        else
            lose_row(writer, row, reason);
    }
    rows->count = kept;
}

static enum nauha_status write_rows(struct nauha__writer *writer, struct nauha_error *err) {
    struct nauha__rows *rows = &writer->flush.rows;
    enum nauha_status status = NAUHA_OK;
    if (rows->count > 0)
        status = append_flushed(writer, NAUHA__TABLE_INDEX, rows->list, rows->count, err);
    return status;
}

/* ---- committing ---- */

/* Writes the rows after everything that they refer to. If that fails, a reader finds none of these
 * rows. */
static enum nauha_status commit(struct nauha__writer *writer, struct nauha_error *err) {
    enum nauha_status status = nauha__file_flush_streams(&writer->file, err);
    if (status == NAUHA_OK)
        status = write_tables(writer, err);
    /* The disk must have everything that rows refer to before it has the rows. */
    if (status == NAUHA_OK && writer->flush.rows.count > 0)
        status = nauha__file_sync(&writer->file, err);
    return status == NAUHA_OK ? write_rows(writer, err) : status;
}

/* Completes a flush. Without a loss of power, a reader can read the rows even if this is
 * missing. */
static enum nauha_status settle(struct nauha__writer *writer, struct nauha_error *err) {
    enum nauha_status status = nauha__file_flush(&writer->file, err);
    if (status == NAUHA_OK)
        status = nauha__file_sync(&writer->file, err);
    return status;
}

void nauha__flush_commit(struct nauha__writer *writer) {
    struct nauha__flush *flush = &writer->flush;
    struct nauha_error err = NAUHA_ERROR_INIT;
    writer->rows_done += flush->rows.count;
    const uint64_t fit = nauha__flush_room(writer) / nauha__table(NAUHA__TABLE_INDEX)->row_size;
    if (flush->rows.count > fit) {
        struct nauha_error limit = NAUHA_ERROR_INIT;
        nauha__writer_limit_error(writer, &limit);
        nauha__writer_fail(writer, &limit);
    }
    if (atomic_load(&writer->failed))
        drop_rows(writer, fit);
    /* After a failure to write, complete rows may still fit: trying costs nothing. */
    enum nauha_status status = commit(writer, &err);
    if (status == NAUHA_OK) {
        atomic_fetch_add(&writer->bytes_stored, writer->chunk_bytes);
        writer->chunk_bytes = 0;
        status = settle(writer, &err);
    } else {
        for (size_t i = 0; i < flush->rows.count; i++)
            lose_row(writer, &flush->rows.list[i], NAUHA__LOSS_WRITE_FAILED);
    }
    if (status != NAUHA_OK)
        nauha__writer_fail(writer, &err);
    writer->elements_done += flush->elements.count;
    flush->rows.count = 0;
    flush->aliases.count = flush->elements.count = flush->dumps.count = 0;
    flush->active = false;
    pthread_mutex_lock(&writer->lock);
    writer->done = flush->request;
    pthread_cond_broadcast(&writer->flushed);
    pthread_mutex_unlock(&writer->lock);
}

void nauha__flush_end(struct nauha__writer *writer) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    if (write_losses(writer, &err) != NAUHA_OK)
        nauha__writer_fail(writer, &err);
    struct nauha__end_row end = {
        .closed = 1, .messages = writer->end_messages, .time_ns = writer->end_time_ns};
    pthread_mutex_lock(&writer->lock);
    put_text(end.failure, sizeof end.failure, writer->failure.message);
    for (size_t i = 0; i < writer->loss_count; i++) {
        end.messages_lost += writer->losses[i].messages;
        end.bytes_lost += writer->losses[i].bytes;
    }
    pthread_mutex_unlock(&writer->lock);
    if (nauha__file_close(&writer->file, &end, &err) != NAUHA_OK)
        nauha__writer_fail(writer, &err);
}
