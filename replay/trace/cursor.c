/* SPDX-License-Identifier: MIT */
/* The walk over the chosen messages of a trace.
 *
 * Threads: one at a time per trace.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "replay/trace/merge.h"
#include "replay/trace/parts.h"

/* To find the next selected step, the cursor may ask about so many steps more than there are
 * rows. */
#define PROBES_FREE 65536u

struct nauha_cursor {
    struct nauha__merge *merge; /* of several traces, and nothing else is used; NULL: of one */
    struct nauha_trace *trace;
    struct nauha_selector *selector; /* NULL: everything */
    uint64_t next;
    uint64_t rows;   /* of the index, when it was last read */
    uint64_t probes; /* steps that may still be asked about, before rows are examined instead */
    uint64_t last_step;
    struct nauha_message message;
};

/* The step of the last undamaged row; 0 if there is none. */
static uint64_t find_last_step(struct nauha__index *index) {
    for (uint64_t i = nauha__index_rows(index); i-- > 0;) {
        const struct nauha__index_row *row = NULL;
        if (nauha__index_get(index, i, &row) == NAUHA__ROW_FAULT_NONE)
            return row->global_step;
    }
    return 0;
}

/* Reads how many rows there are. */
static void see_rows(struct nauha_cursor *cursor) {
    const uint64_t rows = nauha__index_rows(cursor->trace->index);
    cursor->probes += rows - cursor->rows;
    cursor->rows = rows;
    cursor->last_step = cursor->selector ? find_last_step(cursor->trace->index) : 0;
}

enum nauha_status nauha_cursor_new(struct nauha_trace *trace, const struct nauha_selector *selector,
                                   struct nauha_cursor **cursor, struct nauha_error *err) {
    if (selector) {
        enum nauha_status status = nauha_selector_check(selector, trace->names, err);
        if (status != NAUHA_OK)
            return nauha_error_wrap(err, status, "trace \"%s\"", trace->path);
    }
    struct nauha_cursor *made = calloc(1, sizeof *made);
    if (made && selector)
        made->selector = nauha_selector_copy(selector);
    if (!made || (selector && !made->selector)) {
        free(made);
        return nauha_error_set(err, NAUHA_NOMEM, "no memory to read trace \"%s\"", trace->path);
    }
    made->trace = trace;
    made->probes = PROBES_FREE;
    see_rows(made);
    *cursor = made;
    return NAUHA_OK;
}

enum nauha_status nauha__cursor_select(struct nauha_cursor *cursor,
                                       const struct nauha_selector *selector,
                                       struct nauha_error *err) {
    struct nauha_selector *copy = nauha_selector_copy(selector);
    if (!copy)
        return nauha_error_set(err, NAUHA_NOMEM, "no memory to read trace \"%s\"",
                               cursor->trace->path);
    nauha_selector_free(cursor->selector);
    cursor->selector = copy;
    return NAUHA_OK;
}

enum nauha_status nauha_cursor_new_ranks(struct nauha_trace *const *traces, size_t count,
                                         const struct nauha_selector *selector,
                                         struct nauha_cursor **cursor, struct nauha_error *err) {
    if (count == 1)
        return nauha_cursor_new(traces[0], selector, cursor, err);
    struct nauha_cursor *made = calloc(1, sizeof *made);
    if (!made)
        return nauha_error_nomem(err);
    enum nauha_status status = nauha__merge_new(traces, count, selector, &made->merge, err);
    if (status == NAUHA_OK)
        *cursor = made;
    else
        free(made);
    return status;
}

void nauha_cursor_free(struct nauha_cursor *cursor) {
    if (!cursor)
        return;
    nauha__merge_free(cursor->merge);
    nauha__message_fini(&cursor->message);
    nauha_selector_free(cursor->selector);
    free(cursor);
}

void nauha_cursor_progress(const struct nauha_cursor *cursor, uint64_t *done, uint64_t *total) {
    if (cursor->merge) {
        nauha__merge_progress(cursor->merge, done, total);
        return;
    }
    *done = cursor->next;
    *total = nauha__index_rows(cursor->trace->index);
}

/* Skips the rows of a step that is not selected, up to the next selected step. */
static void skip_step(struct nauha_cursor *cursor, uint64_t step) {
    uint64_t rows = nauha__index_rows(cursor->trace->index);
    do {
        if (step >= cursor->last_step) {
            cursor->next = rows;
            return;
        }
        if (cursor->probes == 0) {
            cursor->next++;
            return;
        }
        cursor->probes--;
        step++;
    } while (!nauha_selector_accepts_step(cursor->selector, step));
    cursor->next = nauha__index_find_step(cursor->trace->index, cursor->next + 1, step);
}

static enum nauha_status fail(struct nauha_cursor *cursor, enum nauha__row_fault fault,
                              struct nauha_error *err) {
    const struct nauha_trace *trace = cursor->trace;
    uint64_t number = cursor->next++;
    if (fault != NAUHA__ROW_FAULT_UNREADABLE)
        return nauha_error_set(err, NAUHA_DAMAGED, "index row %" PRIu64 " of trace \"%s\" %s",
                               number, trace->path, nauha__row_fault_text(fault));
    cursor->next = nauha__index_page_end(trace->index, number);
    return nauha_error_set(err, NAUHA_DAMAGED,
                           "index rows %" PRIu64 " to %" PRIu64 " of trace \"%s\" cannot be read",
                           number, cursor->next - 1, trace->path);
}

static void fill(struct nauha_cursor *cursor, const struct nauha__index_row *row) {
    struct nauha_trace *trace = cursor->trace;
    struct nauha_message *message = &cursor->message;
    bool has_tensor = (row->flags & NAUHA__ROW_DATA) != 0;
    const enum nauha_kept kept = nauha__row_kept(row);
    message->info = (struct nauha_message_info){
        .seq = row->seq,
        .time_ns = row->time_ns,
        .global_step = row->global_step,
        .train_step = row->train_step,
        .epoch = row->epoch,
        .rank = trace->rank,
        .call = row->call,
        .kind = trace->kinds.numbers[row->kind],
        .tag = trace->tags.numbers[row->tag],
        .module = row->module == NAUHA_NONE ? NAUHA_NONE : trace->modules.numbers[row->module],
        .slot = trace->slots.numbers[row->slot],
        .has_tensor = has_tensor,
        .dtype = has_tensor ? (enum nauha_dtype)row->dtype : (enum nauha_dtype)0,
        .bytes = nauha__trace_row_bytes(trace, row),
        .kept = (uint8_t)kept,
        .hash = (uint8_t)(kept == NAUHA_KEPT_ELEMENTS ? NAUHA_HASH_SUMS : trace->hash),
    };
    nauha__message_resolve(&message->info, trace->names,
                           has_tensor ? trace->shapes.shapes[row->shape].number : NAUHA_NONE);
    message->source = &trace->source;
    message->row = cursor->next;
    message->hash[0] = row->offset;
    message->hash[1] = row->base;
}

enum nauha_status nauha_cursor_next(struct nauha_cursor *cursor, struct nauha_message **message,
                                    struct nauha_error *err) {
    if (cursor->merge)
        return nauha__merge_next(cursor->merge, message, err);
    struct nauha_trace *trace = cursor->trace;
    uint64_t rows = nauha__index_rows(trace->index);
    nauha__message_fini(&cursor->message);
    if (rows != cursor->rows)
        see_rows(cursor);
    while (cursor->next < rows) {
        const struct nauha__index_row *row = NULL;
        enum nauha__row_fault fault = nauha__index_get(trace->index, cursor->next, &row);
        if (fault != NAUHA__ROW_FAULT_NONE)
            return fail(cursor, fault, err);
        if (nauha__trace_is_replaced(trace, row->global_step)) { /* as are all that follow */
            cursor->next = rows;
            break;
        }
        if (cursor->selector) {
            uint32_t module =
                row->module == NAUHA_NONE ? NAUHA_NONE : trace->modules.numbers[row->module];
            if (!nauha_selector_accepts_step(cursor->selector, row->global_step)) {
                skip_step(cursor, row->global_step);
                continue;
            }
            if (!nauha_selector_accepts(
                    cursor->selector, trace->names, trace->kinds.numbers[row->kind], module,
                    trace->tags.numbers[row->tag], row->global_step, row->epoch, trace->rank)) {
                cursor->next++;
                continue;
            }
        }
        fill(cursor, row);
        cursor->next++;
        *message = &cursor->message;
        return NAUHA_OK;
    }
    return NAUHA_END;
}
