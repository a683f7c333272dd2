/* SPDX-License-Identifier: MIT */
/* The tables of a trace: checking their types, and reading their rows.
 *
 * Threads: one at a time per trace.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nauha/array.h"
#include "nauha/internal/arithmetic.h"
#include "nauha/internal/text.h"
#include "replay/trace/parts.h"

#define PAGE_BYTES ((size_t)512 << 10)
/* Pairs of a kind and a reason. */
#define LOSSES_MAX 4096u

static enum nauha_status no_memory(const struct nauha_trace *trace, struct nauha_error *err) {
    return nauha_error_set(err, NAUHA_NOMEM, "no memory for the tables of trace \"%s\"",
                           trace->path);
}

/* ---- any table ---- */

/* What is wrong with the type or the layout of a table; NULL: nothing. */
static const char *table_fault(const struct nauha__table *table, hid_t dataset, hsize_t *rows) {
    const char *fault = NULL;
    hid_t type = H5Dget_type(dataset);
    hid_t space = H5Dget_space(dataset);
    hid_t plist = H5Dget_create_plist(dataset);
    if (type < 0 || space < 0 || plist < 0)
        fault = "cannot be described";
    else if (H5Tget_class(type) != H5T_COMPOUND || H5Tget_size(type) != table->row_size)
        fault = "has rows of another size";
    else if (!nauha__h5_row_type_fits(type, table))
        fault = "has other fields";
    else if (H5Sget_simple_extent_ndims(space) != 1 ||
             H5Sget_simple_extent_dims(space, rows, NULL) != 1)
        fault = "is not one-dimensional";
    else if (H5Pget_layout(plist) != H5D_CHUNKED || H5Pget_nfilters(plist) != 0)
        fault = "is not stored in plain chunks";
    if (plist >= 0)
        H5Pclose(plist);
    if (space >= 0)
        H5Sclose(space);
    if (type >= 0)
        H5Tclose(type);
    H5Eclear2(H5E_DEFAULT);
    return fault;
}

enum nauha_status nauha__trace_open_table(const struct nauha_trace *trace, enum nauha__table_id id,
                                          hid_t *dataset, uint64_t *rows, struct nauha_error *err) {
    const struct nauha__table *table = nauha__table(id);
    htri_t exists = H5Lexists(trace->file, table->path, H5P_DEFAULT);
    if (exists == 0)
        return nauha_error_set(err, NAUHA_FORMAT, "trace \"%s\" has no table \"%s\"", trace->path,
                               table->path);
    hid_t opened = exists < 0 ? H5I_INVALID_HID : H5Dopen2(trace->file, table->path, H5P_DEFAULT);
    if (opened >= 0 && trace->opened &&
        nauha__h5_refresh(trace->file, table->path, &opened, err) != NAUHA_OK)
        return nauha_error_wrap(err, NAUHA_FORMAT, "trace \"%s\"", trace->path);
    if (opened < 0)
        return nauha__h5_error(err, NAUHA_FORMAT, "cannot open table \"%s\" of trace \"%s\"",
                               table->path, trace->path);
    hsize_t count = 0;
    char size[64] = "";
    const char *fault = table_fault(table, opened, &count);
    uint64_t file_bytes = nauha__trace_file_bytes(trace);
    if (!fault && count > file_bytes / table->row_size) {
        fault = "has more rows than the file can hold";
        snprintf(size, sizeof size, ": %" PRIu64, (uint64_t)count);
    }
    if (fault) {
        H5Dclose(opened);
        return nauha_error_set(err, NAUHA_FORMAT, "table \"%s\" of trace \"%s\" %s%s", table->path,
                               trace->path, fault, size);
    }
    *dataset = opened;
    *rows = count;
    return NAUHA_OK;
}

enum nauha_status nauha__table_read_rows(hid_t dataset, hid_t row_type, uint64_t first,
                                         uint64_t count, void *rows, struct nauha_error *err) {
    hsize_t start = first, length = count;
    hid_t memory = H5Screate_simple(1, &length, NULL);
    hid_t file = H5Dget_space(dataset);
    bool read = memory >= 0 && file >= 0 &&
                H5Sselect_hyperslab(file, H5S_SELECT_SET, &start, NULL, &length, NULL) >= 0 &&
                H5Dread(dataset, row_type, memory, file, H5P_DEFAULT, rows) >= 0;
    if (file >= 0)
        H5Sclose(file);
    if (memory >= 0)
        H5Sclose(memory);
    if (read)
        return NAUHA_OK;
    return nauha__h5_error(err, NAUHA_FORMAT, "cannot read rows from %" PRIu64 " to %" PRIu64,
                           first, first + count);
}

/* Takes row number `number` of `rows`; NULL: the row is damaged. Returns DAMAGED without setting
 * err if the contents of the row are impossible. */
typedef enum nauha_status (*row_fn)(struct nauha_trace *trace, uint64_t number, uint64_t rows,
                                    const void *row, struct nauha_error *err);

static void note_damage(struct nauha__table_state *state, uint64_t number) {
    if (state->damaged < NAUHA__DAMAGED_ROWS_SHOWN)
        state->shown[state->damaged] = number;
    state->damaged++;
}

/* The next `count` of `rows` rows. */
static enum nauha_status take_rows(struct nauha_trace *trace, const struct nauha__table *table,
                                   struct nauha__table_state *state, const unsigned char *page,
                                   uint64_t count, uint64_t rows, row_fn take,
                                   struct nauha_error *err) {
    for (; count > 0; count--, page += table->row_size) {
        enum nauha_status status = NAUHA_DAMAGED;
        if (nauha__row_intact(table, page))
            status = take(trace, state->rows, rows, page, err);
        if (status == NAUHA_DAMAGED) {
            note_damage(state, state->rows);
            status = take(trace, state->rows, rows, NULL, err);
        }
        if (status != NAUHA_OK)
            return status;
        state->rows++;
    }
    return NAUHA_OK;
}

/* Takes the rows that have not been taken yet. */
static enum nauha_status read_table(struct nauha_trace *trace, enum nauha__table_id id, row_fn take,
                                    struct nauha_error *err) {
    const struct nauha__table *table = nauha__table(id);
    struct nauha__table_state *state = &trace->tables[id];
    hid_t dataset = H5I_INVALID_HID, row_type = H5I_INVALID_HID;
    unsigned char *page = NULL;
    uint64_t rows = 0;
    enum nauha_status status = nauha__trace_open_table(trace, id, &dataset, &rows, err);
    if (status != NAUHA_OK)
        return status;
    uint64_t page_rows = PAGE_BYTES / table->row_size;
    if (page_rows > rows)
        page_rows = rows;
    row_type = H5Dget_type(dataset);
    page = malloc(page_rows ? (size_t)page_rows * table->row_size : 1);
    if (row_type < 0 || !page)
        status = no_memory(trace, err);
    while (state->rows < rows && status == NAUHA_OK) {
        uint64_t count = rows - state->rows < page_rows ? rows - state->rows : page_rows;
        status = nauha__table_read_rows(dataset, row_type, state->rows, count, page, err);
        if (status != NAUHA_OK)
            nauha_error_wrap(err, status, "table \"%s\" of trace \"%s\"", table->path, trace->path);
        else
            status = take_rows(trace, table, state, page, count, rows, take, err);
    }
    free(page);
    if (row_type >= 0)
        H5Tclose(row_type);
    H5Dclose(dataset);
    return status;
}

/* ---- names ---- */

/* Sets the number of a row, making room for `rows` of them. */
static enum nauha_status set_number(struct nauha_trace *trace, struct nauha__number_map *map,
                                    uint64_t row, uint64_t rows, uint32_t number,
                                    struct nauha_error *err) {
    if (rows >= NAUHA_NONE)
        return nauha_error_set(err, NAUHA_LIMIT, "trace \"%s\" has too many names: %" PRIu64,
                               trace->path, rows);
    if (!NAUHA_GROW(map->numbers, map->capacity, (size_t)rows))
        return no_memory(trace, err);
    map->numbers[row] = number;
    map->count = (uint32_t)row + 1;
    return NAUHA_OK;
}

/* INVALID if a name of the trace is not valid, or exists in the names object with other
 * attributes. */
static enum nauha_status named(struct nauha_trace *trace, struct nauha__number_map *map,
                               uint64_t number, uint64_t rows, enum nauha_status status,
                               uint32_t id, struct nauha_error *err) {
    if (status != NAUHA_OK)
        return nauha_error_wrap(err, status, "trace \"%s\"", trace->path);
    return set_number(trace, map, number, rows, id, err);
}

#define ENDS_WITH_ZERO(text) ((text)[sizeof(text) - 1] == '\0')

static enum nauha_status take_kind(struct nauha_trace *trace, uint64_t number, uint64_t rows,
                                   const void *data, struct nauha_error *err) {
    const struct nauha__kind_row *row = data;
    uint32_t id = NAUHA_NONE;
    enum nauha_status status = NAUHA_OK;
    if (row) {
        if (!ENDS_WITH_ZERO(row->name))
            return NAUHA_DAMAGED;
        status = nauha_names_add_kind(trace->names, row->name, (enum nauha_scope)row->scope,
                                      (enum nauha_form)row->form, &id, err);
    }
    return named(trace, &trace->kinds, number, rows, status, id, err);
}

static enum nauha_status take_module(struct nauha_trace *trace, uint64_t number, uint64_t rows,
                                     const void *data, struct nauha_error *err) {
    const struct nauha__module_row *row = data;
    uint32_t id = NAUHA_NONE;
    enum nauha_status status = NAUHA_OK;
    if (row) {
        if (!ENDS_WITH_ZERO(row->name) || !ENDS_WITH_ZERO(row->class_name))
            return NAUHA_DAMAGED;
        status = nauha_names_add_module(trace->names, row->name, row->class_name, &id, err);
    }
    return named(trace, &trace->modules, number, rows, status, id, err);
}

typedef enum nauha_status add_name(struct nauha_names *names, const char *name, uint32_t *id,
                                   struct nauha_error *err);

static enum nauha_status take_name(struct nauha_trace *trace, struct nauha__number_map *map,
                                   add_name *add, uint64_t number, uint64_t rows,
                                   const struct nauha__text_row *row, struct nauha_error *err) {
    uint32_t id = NAUHA_NONE;
    enum nauha_status status = NAUHA_OK;
    if (row) {
        if (!ENDS_WITH_ZERO(row->name))
            return NAUHA_DAMAGED;
        status = add(trace->names, row->name, &id, err);
    }
    return named(trace, map, number, rows, status, id, err);
}

static enum nauha_status take_slot(struct nauha_trace *trace, uint64_t number, uint64_t rows,
                                   const void *data, struct nauha_error *err) {
    return take_name(trace, &trace->slots, nauha_names_add_slot, number, rows, data, err);
}

static enum nauha_status take_tag(struct nauha_trace *trace, uint64_t number, uint64_t rows,
                                  const void *data, struct nauha_error *err) {
    return take_name(trace, &trace->tags, nauha_names_add_tag, number, rows, data, err);
}

static enum nauha_status take_shape(struct nauha_trace *trace, uint64_t number, uint64_t rows,
                                    const void *data, struct nauha_error *err) {
    const struct nauha__shape_row *row = data;
    struct nauha__shape_map *map = &trace->shapes;
    if (rows >= NAUHA_NONE)
        return nauha_error_set(err, NAUHA_LIMIT, "trace \"%s\" has too many shapes: %" PRIu64,
                               trace->path, rows);
    if (!NAUHA_GROW(map->shapes, map->capacity, (size_t)rows))
        return no_memory(trace, err);
    uint32_t id = NAUHA_NONE;
    size_t elements = 0;
    const bool shard = row && row->reserved == NAUHA__SHAPE_PLACED;
    if (row) {
        int64_t dims[NAUHA_MAX_NDIM];
        memcpy(dims, row->dims, sizeof dims);
        /* Checked for the smallest element type here; whether the number of bytes overflows is
         * checked where the type is known. */
        const struct nauha_tensor tensor = {
            .dtype = NAUHA_DTYPE_U8, .ndim = row->ndim, .shape = dims};
        if (nauha_tensor_count(&tensor, &elements, NULL) != NAUHA_OK)
            return NAUHA_DAMAGED;
        enum nauha_status status = nauha_names_add_shape(trace->names, dims, row->ndim, &id, err);
        if (status != NAUHA_OK)
            return nauha_error_wrap(err, status, "trace \"%s\"", trace->path);
    }
    map->shapes[number].number = shard ? NAUHA_NONE : id;
    map->shapes[number].local = shard ? id : NAUHA_NONE;
    map->shapes[number].elements = elements;
    map->count = (uint32_t)number + 1;
    map->shards += shard;
    return NAUHA_OK;
}

/* In place of the flags of a damaged row, which is passed over. */
#define PLACEMENT_DAMAGED UINT32_MAX

/* Rows wait until the shapes that they refer to have been read: a writer may have added them
 * meanwhile. */
static enum nauha_status take_placement(struct nauha_trace *trace, uint64_t number, uint64_t rows,
                                        const void *data, struct nauha_error *err) {
    struct nauha__shape_map *map = &trace->shapes;
    const struct nauha__placement_row *row = data;
    (void)rows;
    if (row && row->flags > NAUHA__PLACEMENT_ALL)
        return NAUHA_DAMAGED;
    if (!NAUHA_GROW(map->waiting, map->waiting_capacity, map->waiting_count + 1))
        return no_memory(trace, err);
    if (map->waiting_count == 0)
        map->waiting_first = number;
    map->waiting[map->waiting_count++] =
        row ? *row : (struct nauha__placement_row){.flags = PLACEMENT_DAMAGED};
    return NAUHA_OK;
}

/* DAMAGED: the row is impossible. */
static enum nauha_status place(struct nauha_trace *trace, const struct nauha__placement_row *row,
                               struct nauha_error *err) {
    const struct nauha__shape_map *map = &trace->shapes;
    uint32_t ndim, id = NAUHA_NONE;
    int64_t offset[NAUHA_MAX_NDIM];
    struct nauha_placement placement = {.offset = offset,
                                        .flat = row->flags & NAUHA__PLACEMENT_FLAT,
                                        .summand = row->summand,
                                        .summands = row->summands};
    if (row->whole >= row->shape || row->shape >= map->count ||
        map->shapes[row->whole].number == NAUHA_NONE ||
        nauha_names_placement(trace->names, map->shapes[row->whole].number, NULL) ||
        map->shapes[row->shape].local == NAUHA_NONE || map->shapes[row->shape].number != NAUHA_NONE)
        return NAUHA_DAMAGED;
    memcpy(offset, row->offset, sizeof offset);
    const int64_t *shape = nauha_names_shape(trace->names, map->shapes[row->shape].local, &ndim);
    placement.shape =
        nauha_names_shape(trace->names, map->shapes[row->whole].number, &placement.ndim);
    enum nauha_status status =
        nauha_names_add_placement(trace->names, shape, ndim, &placement, &id, NULL);
    map->shapes[row->shape].number = id;
    if (status == NAUHA_OK)
        return status;
    return status == NAUHA_INVALID ? NAUHA_DAMAGED : no_memory(trace, err);
}

/* Gives the shapes of shards their numbers. Of a trace that is closed, no row waits any longer. */
static enum nauha_status place_shapes(struct nauha_trace *trace, struct nauha_error *err) {
    struct nauha__shape_map *map = &trace->shapes;
    size_t done = 0;
    enum nauha_status status = NAUHA_OK;
    for (; done < map->waiting_count && status == NAUHA_OK; done++) {
        const struct nauha__placement_row *row = &map->waiting[done];
        if (row->flags == PLACEMENT_DAMAGED)
            continue;
        if (row->shape >= map->count && !trace->closed)
            break;
        status = place(trace, row, err);
        if (status != NAUHA_DAMAGED)
            continue;
        note_damage(&trace->tables[NAUHA__TABLE_PLACEMENTS], map->waiting_first + done);
        status = NAUHA_OK;
    }
    map->waiting_count -= done;
    map->waiting_first += done;
    if (map->waiting_count > 0)
        memmove(map->waiting, map->waiting + done, map->waiting_count * sizeof *map->waiting);
    return status;
}

/* ---- the others ---- */

static enum nauha_status take_stream(struct nauha_trace *trace, uint64_t number, uint64_t rows,
                                     const void *data, struct nauha_error *err) {
    (void)number;
    (void)rows;
    return data ? nauha__chunks_add_stream(trace->chunks, data, err) : NAUHA_OK;
}

static enum nauha_status take_chunk(struct nauha_trace *trace, uint64_t number, uint64_t rows,
                                    const void *data, struct nauha_error *err) {
    (void)number;
    if (data)
        return nauha__chunks_add(trace->chunks, data, rows, err);
    nauha__chunks_set_incomplete(trace->chunks);
    return NAUHA_OK;
}

/* Aliases are for other readers of the file; here only their checksums are checked. */
static enum nauha_status take_alias(struct nauha_trace *trace, uint64_t number, uint64_t rows,
                                    const void *data, struct nauha_error *err) {
    (void)trace;
    (void)number;
    (void)rows;
    (void)data;
    (void)err;
    return NAUHA_OK;
}

static enum nauha_status take_loss(struct nauha_trace *trace, uint64_t number, uint64_t rows,
                                   const void *data, struct nauha_error *err) {
    (void)number;
    (void)rows;
    const struct nauha__loss_row *row = data;
    if (!row)
        return NAUHA_OK;
    if (row->kind >= trace->kinds.count || trace->kinds.numbers[row->kind] == NAUHA_NONE)
        return NAUHA_DAMAGED;
    uint32_t kind = trace->kinds.numbers[row->kind];
    char reason[sizeof trace->losses->reason] = "";
    memcpy(reason, row->reason, sizeof row->reason);
    nauha__defuse(reason, "");
    struct nauha__trace_loss *loss = NULL;
    for (size_t i = 0; i < trace->loss_count && !loss; i++)
        if (trace->losses[i].kind == kind && strcmp(trace->losses[i].reason, reason) == 0)
            loss = &trace->losses[i];
    if (!loss) {
        if (trace->loss_count == LOSSES_MAX)
            return nauha_error_set(err, NAUHA_LIMIT,
                                   "table \"/losses\" of trace \"%s\" has more than %u reasons",
                                   trace->path, LOSSES_MAX);
        if (!NAUHA_GROW(trace->losses, trace->loss_capacity, trace->loss_count + 1))
            return no_memory(trace, err);
        loss = &trace->losses[trace->loss_count++];
    }
    loss->kind = kind;
    memcpy(loss->reason, reason, sizeof reason);
    loss->messages = row->messages;
    loss->bytes = row->bytes;
    return NAUHA_OK;
}

static enum nauha_status take_elements(struct nauha_trace *trace, uint64_t number, uint64_t rows,
                                       const void *data, struct nauha_error *err) {
    (void)number;
    const struct nauha__elements_row *row = data;
    if (!row)
        return NAUHA_OK;
    if (trace->elements_count && row->seq <= trace->elements[trace->elements_count - 1].seq)
        return NAUHA_DAMAGED;
    if (!NAUHA_GROW(trace->elements, trace->elements_capacity, (size_t)rows))
        return no_memory(trace, err);
    trace->elements[trace->elements_count++] = *row;
    return NAUHA_OK;
}

static enum nauha_status take_dump(struct nauha_trace *trace, uint64_t number, uint64_t rows,
                                   const void *data, struct nauha_error *err) {
    (void)number;
    (void)rows;
    const struct nauha__dump_row *row = data;
    if (!row)
        return NAUHA_OK;
    if (!NAUHA_GROW(trace->dumps, trace->dump_capacity, trace->dump_count + 1))
        return no_memory(trace, err);
    struct nauha__trace_dump *dump = &trace->dumps[trace->dump_count++];
    *dump = (struct nauha__trace_dump){
        .step = row->step, .first_step = row->first_step, .last_step = row->last_step};
    memcpy(dump->reason, row->reason, sizeof row->reason);
    nauha__defuse(dump->reason, "");
    return NAUHA_OK;
}

static enum nauha_status take_end(struct nauha_trace *trace, uint64_t number, uint64_t rows,
                                  const void *data, struct nauha_error *err) {
    (void)number;
    (void)rows;
    (void)err;
    const struct nauha__end_row *row = data;
    if (!row || !row->closed)
        return NAUHA_OK;
    trace->closed = true;
    trace->end_direct = row->reserved;
    trace->end_messages = row->messages;
    trace->end_messages_lost = row->messages_lost;
    trace->end_bytes_lost = row->bytes_lost;
    memcpy(trace->failure, row->failure, sizeof row->failure);
    nauha__defuse(trace->failure, "");
    return NAUHA_OK;
}

/* Whether the trace is of a version that did not have this table. */
static bool is_older_than(const struct nauha_trace *trace, enum nauha__table_id id) {
    const uint32_t since = id == NAUHA__TABLE_PLACEMENTS                             ? 2
                           : id == NAUHA__TABLE_ELEMENTS || id == NAUHA__TABLE_DUMPS ? 4
                                                                                     : 0;
    return trace->format_minor < since &&
           H5Lexists(trace->file, nauha__table(id)->path, H5P_DEFAULT) == 0;
}

enum nauha_status nauha__trace_read_tables(struct nauha_trace *trace, struct nauha_error *err) {
    /* Kinds are read before losses, and streams before chunks, which refer to them. */
    static const struct {
        enum nauha__table_id id;
        row_fn take;
    } tables[] = {
        {NAUHA__TABLE_KINDS, take_kind},          {NAUHA__TABLE_MODULES, take_module},
        {NAUHA__TABLE_SLOTS, take_slot},          {NAUHA__TABLE_TAGS, take_tag},
        {NAUHA__TABLE_SHAPES, take_shape},        {NAUHA__TABLE_PLACEMENTS, take_placement},
        {NAUHA__TABLE_STREAMS_USED, take_stream}, {NAUHA__TABLE_CHUNKS, take_chunk},
        {NAUHA__TABLE_ALIASES, take_alias},       {NAUHA__TABLE_LOSSES, take_loss},
        {NAUHA__TABLE_ELEMENTS, take_elements},   {NAUHA__TABLE_DUMPS, take_dump},
    };
    enum nauha_status status = NAUHA_OK;
    for (size_t i = 0; i < sizeof tables / sizeof *tables && status == NAUHA_OK; i++)
        if (!is_older_than(trace, tables[i].id))
            status = read_table(trace, tables[i].id, tables[i].take, err);
    if (status == NAUHA_OK)
        status = place_shapes(trace, err);
    const enum nauha_status sealed =
        nauha__chunks_seal(trace->chunks, status == NAUHA_OK ? err : NULL);
    return status == NAUHA_OK ? sealed : status;
}

enum nauha_status nauha__trace_read_end(struct nauha_trace *trace, struct nauha_error *err) {
    /* The row is overwritten in place, so an earlier value of it does not count. */
    trace->tables[NAUHA__TABLE_END] = (struct nauha__table_state){0};
    return read_table(trace, NAUHA__TABLE_END, take_end, err);
}
