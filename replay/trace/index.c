/* SPDX-License-Identifier: MIT */
/* The index of a trace; see index.h.
 *
 * Threads: one at a time.
 */
#include "replay/trace/index.h"

#include <stdlib.h>
#include <string.h>

#include "nauha/array.h"
#include "replay/trace/parts.h"

/* 310 KB: reading that much costs less time than a call of HDF5. */
#define PAGE_ROWS 4096u
/* One page is for a walk, the others are for retained messages and other cursors. */
#define PAGES 4u

struct page {
    uint64_t first;
    uint64_t used; /* time of the last use, by index->clock; 0: the page is empty */
    bool unreadable;
    struct nauha__index_row *rows;
    uint8_t *faults; /* of each row, plus one; 0: not checked yet */
};

struct nauha__index {
    const struct nauha_trace *trace;
    hid_t dataset, row_type;
    uint64_t rows;
    uint64_t clock;
    uint64_t pages_read;
    /* A bit for each row that was found undamaged, so that it need not be checked again when its
     * page is read again. NULL if there was no memory for it. */
    uint8_t *sound;
    size_t sound_bytes;
    struct page pages[PAGES];
};

const char *nauha__row_fault_text(enum nauha__row_fault fault) {
    static const char *const texts[] = {
#define NAUHA__ROW_FAULT_TEXT(name, text) text,
        NAUHA__ROW_FAULTS(NAUHA__ROW_FAULT_TEXT)
#undef NAUHA__ROW_FAULT_TEXT
    };
    return texts[fault];
}

/* ---- rows found sound ---- */

/* Without this memory, rows are checked again each time. */
static void make_room(struct nauha__index *index, uint64_t rows) {
    (void)NAUHA_GROW_ZEROED(index->sound, index->sound_bytes, (size_t)(rows / 8 + 1));
}

static bool is_sound(const struct nauha__index *index, uint64_t number) {
    return number / 8 < index->sound_bytes && index->sound[number / 8] >> number % 8 & 1;
}

static void set_sound(struct nauha__index *index, uint64_t number) {
    if (number / 8 < index->sound_bytes)
        index->sound[number / 8] |= (uint8_t)(1u << number % 8);
}

/* ---- life ---- */

struct nauha__index *nauha__index_new(const struct nauha_trace *trace, hid_t dataset,
                                      uint64_t rows) {
    struct nauha__index *index = calloc(1, sizeof *index);
    if (!index) {
        H5Dclose(dataset);
        return NULL;
    }
    index->trace = trace;
    index->dataset = dataset;
    index->rows = rows;
    index->row_type = nauha__h5_row_type(nauha__table(NAUHA__TABLE_INDEX));
    bool failed = index->row_type < 0;
    for (size_t i = 0; i < PAGES; i++) {
        index->pages[i].rows = malloc(PAGE_ROWS * sizeof *index->pages[i].rows);
        index->pages[i].faults = malloc(PAGE_ROWS);
        failed = failed || !index->pages[i].rows || !index->pages[i].faults;
    }
    if (failed) {
        nauha__index_free(index);
        return NULL;
    }
    make_room(index, rows);
    return index;
}

void nauha__index_free(struct nauha__index *index) {
    if (!index)
        return;
    for (size_t i = 0; i < PAGES; i++) {
        free(index->pages[i].rows);
        free(index->pages[i].faults);
    }
    free(index->sound);
    if (index->row_type >= 0)
        H5Tclose(index->row_type);
    if (index->dataset >= 0)
        H5Dclose(index->dataset);
    free(index);
}

uint64_t nauha__index_rows(const struct nauha__index *index) {
    return index->rows;
}

enum nauha_status nauha__index_refresh(struct nauha__index *index, uint64_t *rows,
                                       struct nauha_error *err) {
    const struct nauha_trace *trace = index->trace;
    const struct nauha__table *table = nauha__table(NAUHA__TABLE_INDEX);
    enum nauha_status status = nauha__h5_refresh(trace->file, table->path, &index->dataset, err);
    if (status != NAUHA_OK)
        return nauha_error_wrap(err, status, "trace \"%s\"", trace->path);
    hsize_t count = 0;
    hid_t space = H5Dget_space(index->dataset);
    bool known = space >= 0 && H5Sget_simple_extent_dims(space, &count, NULL) == 1;
    if (space >= 0)
        H5Sclose(space);
    if (!known)
        return nauha__h5_error(err, NAUHA_FORMAT, "cannot read the index of trace \"%s\"",
                               trace->path);
    if (count > nauha__trace_file_bytes(trace) / table->row_size)
        return nauha_error_set(err, NAUHA_FORMAT,
                               "table \"%s\" of trace \"%s\" has more rows than the file can hold",
                               table->path, trace->path);
    *rows = count;
    return NAUHA_OK;
}

void nauha__index_grow(struct nauha__index *index, uint64_t rows) {
    if (rows <= index->rows)
        return;
    /* The last page is incomplete after rows were added to the index. */
    for (size_t i = 0; i < PAGES; i++)
        if (index->pages[i].unreadable || index->pages[i].first + PAGE_ROWS > index->rows)
            index->pages[i].used = 0;
    index->rows = rows;
    make_room(index, rows);
}

void nauha__index_read_again(struct nauha__index *index) {
    for (size_t i = 0; i < PAGES; i++)
        index->pages[i].used = 0;
}

uint64_t nauha__index_pages_read(const struct nauha__index *index) {
    return index->pages_read;
}

static bool known(const struct nauha__number_map *map, uint32_t number) {
    return number < map->count && map->numbers[number] != NAUHA_NONE;
}

static enum nauha__row_fault check_tensor(const struct nauha_trace *trace,
                                          const struct nauha__index_row *row) {
    size_t item_size = nauha_dtype_size((enum nauha_dtype)row->dtype);
    if (item_size == 0)
        return NAUHA__ROW_FAULT_DTYPE;
    if (row->shape >= trace->shapes.count)
        return NAUHA__ROW_FAULT_SHAPE;
    if (trace->shapes.shapes[row->shape].number == NAUHA_NONE)
        return trace->shapes.shapes[row->shape].local == NAUHA_NONE ? NAUHA__ROW_FAULT_SHAPE
                                                                    : NAUHA__ROW_FAULT_PLACEMENT;
    uint64_t elements = trace->shapes.shapes[row->shape].elements;
    if (elements == 0)
        return row->flags & NAUHA__ROW_FINGERPRINT ? NAUHA__ROW_FAULT_FLAGS : NAUHA__ROW_FAULT_NONE;
    if (elements > SIZE_MAX / item_size)
        return NAUHA__ROW_FAULT_SIZE;
    if (row->flags & NAUHA__ROW_HASH)
        return row->stream == NAUHA__NO_STREAM ? NAUHA__ROW_FAULT_NONE : NAUHA__ROW_FAULT_STREAM;
    if (row->flags & NAUHA__ROW_FINGERPRINT)
        item_size = 8, elements = NAUHA__FINGERPRINT_WORDS;
    if (nauha__chunks_item_size(trace->chunks, row->stream) != item_size)
        return NAUHA__ROW_FAULT_STREAM;
    if (!nauha__chunks_reach(trace->chunks, row->stream, row->offset, elements))
        return NAUHA__ROW_FAULT_RANGE;
    if ((row->flags & NAUHA__ROW_DERIVED) &&
        !nauha__chunks_reach(trace->chunks, row->stream, row->base, elements))
        return NAUHA__ROW_FAULT_RANGE;
    return NAUHA__ROW_FAULT_NONE;
}

static enum nauha__row_fault check(const struct nauha_trace *trace,
                                   const struct nauha__index_row *row) {
    if (!nauha__row_intact(nauha__table(NAUHA__TABLE_INDEX), row))
        return NAUHA__ROW_FAULT_CHECKSUM;
    const unsigned more = row->flags & ~(unsigned)NAUHA__ROW_DATA;
    if (more && (more == row->flags || (more != NAUHA__ROW_DERIVED && more != NAUHA__ROW_HASH &&
                                        more != NAUHA__ROW_FINGERPRINT)))
        return NAUHA__ROW_FAULT_FLAGS;
    if (!known(&trace->kinds, row->kind))
        return NAUHA__ROW_FAULT_KIND;
    if (!known(&trace->tags, row->tag))
        return NAUHA__ROW_FAULT_TAG;
    if (row->module != NAUHA_NONE && !known(&trace->modules, row->module))
        return NAUHA__ROW_FAULT_MODULE;
    if (!known(&trace->slots, row->slot))
        return NAUHA__ROW_FAULT_SLOT;
    return row->flags & NAUHA__ROW_DATA ? check_tensor(trace, row) : NAUHA__ROW_FAULT_NONE;
}

static int by_seq(const void *seq, const void *row) {
    const uint64_t a = *(const uint64_t *)seq, b = ((const struct nauha__elements_row *)row)->seq;
    return (a > b) - (a < b);
}

/* A row of a hash or a fingerprint becomes one of elements if these were written later. */
static void find_elements(const struct nauha_trace *trace, struct nauha__index_row *row) {
    if (trace->elements_count == 0 || !(row->flags & (NAUHA__ROW_HASH | NAUHA__ROW_FINGERPRINT)))
        return;
    const uint64_t seq = row->seq; /* a packed row may not be aligned */
    const struct nauha__elements_row *found =
        bsearch(&seq, trace->elements, trace->elements_count, sizeof *found, by_seq);
    if (!found)
        return;
    struct nauha__index_row whole = *row;
    whole.stream = found->stream;
    whole.offset = found->offset;
    whole.base = 0;
    whole.flags = NAUHA__ROW_DATA;
    if (check_tensor(trace, &whole) == NAUHA__ROW_FAULT_NONE)
        *row = whole;
}

/* The page of a row, which is read if it is not in memory. */
static struct page *page_of(struct nauha__index *index, uint64_t number) {
    uint64_t first = number - number % PAGE_ROWS;
    struct page *oldest = &index->pages[0];
    index->clock++;
    for (size_t i = 0; i < PAGES; i++) {
        struct page *page = &index->pages[i];
        if (page->used && page->first == first) {
            page->used = index->clock;
            return page;
        }
        if (page->used < oldest->used)
            oldest = page;
    }
    size_t count = index->rows - first < PAGE_ROWS ? (size_t)(index->rows - first) : PAGE_ROWS;
    struct nauha__h5_quiet quiet;
    nauha__h5_quiet_begin(&quiet);
    oldest->unreadable = nauha__table_read_rows(index->dataset, index->row_type, first, count,
                                                oldest->rows, NULL) != NAUHA_OK;
    nauha__h5_quiet_end(&quiet);
    index->pages_read++;
    oldest->first = first;
    oldest->used = index->clock;
    for (size_t i = 0; i < count; i++)
        oldest->faults[i] = 0;
    return oldest;
}

enum nauha__row_fault nauha__index_get(struct nauha__index *index, uint64_t number,
                                       const struct nauha__index_row **row) {
    struct page *page = page_of(index, number);
    *row = NULL;
    if (page->unreadable)
        return NAUHA__ROW_FAULT_UNREADABLE;
    size_t at = (size_t)(number - page->first);
    *row = &page->rows[at];
    if (page->faults[at] == 0) {
        const enum nauha__row_fault fault =
            is_sound(index, number) ? NAUHA__ROW_FAULT_NONE : check(index->trace, *row);
        page->faults[at] = (uint8_t)(fault + 1);
        if (fault == NAUHA__ROW_FAULT_NONE) {
            set_sound(index, number);
            find_elements(index->trace, &page->rows[at]);
        }
    }
    return (enum nauha__row_fault)(page->faults[at] - 1);
}

bool nauha__index_recorded(struct nauha__index *index, uint64_t number,
                           struct nauha__index_row *row) {
    struct nauha__h5_quiet quiet;
    nauha__h5_quiet_begin(&quiet);
    const enum nauha_status status =
        nauha__table_read_rows(index->dataset, index->row_type, number, 1, row, NULL);
    nauha__h5_quiet_end(&quiet);
    return status == NAUHA_OK && check(index->trace, row) == NAUHA__ROW_FAULT_NONE;
}

uint64_t nauha__index_page_end(const struct nauha__index *index, uint64_t number) {
    uint64_t end = number - number % PAGE_ROWS + PAGE_ROWS;
    return end < index->rows ? end : index->rows;
}

uint64_t nauha__index_find_step(struct nauha__index *index, uint64_t first, uint64_t step) {
    uint64_t low = first, high = index->rows;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        uint64_t at = middle;
        const struct nauha__index_row *row = NULL;
        /* The step of a damaged row is unknown: the next undamaged row decides. */
        for (; at < high; at++) {
            enum nauha__row_fault fault = nauha__index_get(index, at, &row);
            if (fault == NAUHA__ROW_FAULT_NONE)
                break;
            if (fault == NAUHA__ROW_FAULT_UNREADABLE)
                at = nauha__index_page_end(index, at) - 1;
        }
        if (at < high && row->global_step < step)
            low = at + 1;
        else
            high = middle;
    }
    return low;
}

uint64_t nauha__trace_row_elements(const struct nauha_trace *trace,
                                   const struct nauha__index_row *row) {
    return row->flags & NAUHA__ROW_DATA ? trace->shapes.shapes[row->shape].elements : 0;
}

uint64_t nauha__trace_row_items(const struct nauha_trace *trace,
                                const struct nauha__index_row *row) {
    if (row->flags & NAUHA__ROW_HASH)
        return 0;
    return row->flags & NAUHA__ROW_FINGERPRINT ? NAUHA__FINGERPRINT_WORDS
                                               : nauha__trace_row_elements(trace, row);
}

uint64_t nauha__trace_row_bytes(const struct nauha_trace *trace,
                                const struct nauha__index_row *row) {
    return row->flags & NAUHA__ROW_DATA ? trace->shapes.shapes[row->shape].elements *
                                              nauha_dtype_size((enum nauha_dtype)row->dtype)
                                        : 0;
}
