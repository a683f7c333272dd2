/* SPDX-License-Identifier: MIT */
/* Checking a whole trace: which parts are damaged, and which messages are lost by that.
 *
 * Threads: one at a time per trace.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nauha/internal/hash.h"
#include "nauha/internal/tensor_hash.h"
#include "replay/trace/parts.h"

/* At most so many findings of a sort are reported one by one; the others are counted. */
#define REPORTED_MAX 100u
/* At most so many damaged chunks are searched for messages. */
#define CHUNKS_MAX 1000u
/* At most so many messages are named for a damaged chunk, and so many gaps in the sequence. */
#define NAMED_MAX 3u

struct damaged_chunk {
    uint64_t number;
    uint16_t stream;
    char *text;
    uint64_t messages, last;
    uint64_t rows[NAMED_MAX]; /* the first of them */
};

struct gap {
    uint64_t row, missing;
};

struct check {
    struct nauha_trace *trace;
    void (*finding)(void *context, const char *text);
    nauha_progress_fn progress;
    void *context;
    uint64_t findings;
    uint64_t reported; /* of the present sort */

    struct damaged_chunk *chunks;
    size_t chunk_count;
    uint64_t chunks_damaged;

    /* the sequence */
    bool any;
    uint64_t last_row, last_seq, last_step;
    struct gap gaps[NAMED_MAX];
    uint64_t gap_count, missing;

    size_t later; /* rows of "/elements" that precede those to come */
};

/* ---- telling ---- */

static void NAUHA_PRINTF(2, 3) tell(struct check *check, const char *format, ...) {
    check->findings++;
    if (check->reported++ >= REPORTED_MAX || !check->finding)
        return;
    char text[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    check->finding(check->context, text);
}

/* Ends a sort of findings: says how many were not reported. */
static void end_sort(struct check *check, const char *what) {
    if (check->reported > REPORTED_MAX && check->finding) {
        char text[128];
        snprintf(text, sizeof text, "and %" PRIu64 " more %s", check->reported - REPORTED_MAX,
                 what);
        check->finding(check->context, text);
    }
    check->reported = 0;
}

/* "weights of \"features.0\", step 3 (index row 17)" */
static void name_message(struct nauha_trace *trace, uint64_t number, char *text, size_t size) {
    const struct nauha__index_row *row = NULL;
    if (nauha__index_get(trace->index, number, &row) != NAUHA__ROW_FAULT_NONE) {
        snprintf(text, size, "index row %" PRIu64, number);
        return;
    }
    const char *kind = nauha_names_kind(trace->names, trace->kinds.numbers[row->kind]);
    if (row->module == NAUHA_NONE)
        snprintf(text, size, "%s, step %" PRIu64 " (index row %" PRIu64 ")", kind, row->global_step,
                 number);
    else
        snprintf(text, size, "%s of \"%s\", step %" PRIu64 " (index row %" PRIu64 ")", kind,
                 nauha_names_module(trace->names, trace->modules.numbers[row->module]),
                 row->global_step, number);
}

/* ---- tables ---- */

static void check_tables(struct check *check) {
    const struct nauha_trace *trace = check->trace;
    for (int id = 0; id < NAUHA__TABLE_COUNT; id++) {
        const struct nauha__table_state *state = &trace->tables[id];
        const char *path = nauha__table((enum nauha__table_id)id)->path;
        for (uint64_t i = 0; i < state->damaged; i++) {
            if (i < NAUHA__DAMAGED_ROWS_SHOWN)
                tell(check, "row %" PRIu64 " of table \"%s\" is damaged", state->shown[i], path);
            else
                check->findings++;
        }
        if (state->damaged > NAUHA__DAMAGED_ROWS_SHOWN && check->finding) {
            char text[128];
            snprintf(text, sizeof text, "and %" PRIu64 " more rows of table \"%s\" are damaged",
                     state->damaged - NAUHA__DAMAGED_ROWS_SHOWN, path);
            check->finding(check->context, text);
        }
        check->reported = 0;
    }
}

/* ---- chunks ---- */

static enum nauha_status note_chunk(struct check *check, const struct nauha__chunk *chunk,
                                    const char *text, struct nauha_error *err) {
    check->chunks_damaged++;
    if (check->chunk_count == CHUNKS_MAX)
        return NAUHA_OK;
    if (!check->chunks)
        check->chunks = calloc(CHUNKS_MAX, sizeof *check->chunks);
    char *copy = check->chunks ? strdup(text) : NULL;
    if (!copy)
        return nauha_error_set(err, NAUHA_NOMEM, "no memory to check trace \"%s\"",
                               check->trace->path);
    check->chunks[check->chunk_count++] =
        (struct damaged_chunk){.number = chunk->number, .stream = chunk->stream, .text = copy};
    return NAUHA_OK;
}

static enum nauha_status check_chunks(struct check *check, struct nauha_error *err) {
    struct nauha__chunks *chunks = check->trace->chunks;
    struct nauha__chunk *chunk = NULL;
    const size_t count = nauha__chunks_count(chunks);
    uint32_t stream = UINT32_MAX;
    bool broken = false;
    for (size_t i = 0; (chunk = nauha__chunks_at(chunks, i)) != NULL; i++) {
        struct nauha_error reason = NAUHA_ERROR_INIT;
        if (check->progress)
            check->progress(check->context, i, count);
        if (chunk->stream != stream) {
            stream = chunk->stream;
            enum nauha_status status = nauha__chunks_check_stream(chunks, chunk->stream, &reason);
            broken = status != NAUHA_OK;
            if (broken)
                tell(check, "%s", reason.message);
        }
        if (broken)
            continue;
        enum nauha_status status = nauha__chunks_check(chunks, chunk, &reason);
        if (status == NAUHA_NOMEM)
            return nauha_error_set(err, status, "%s", reason.message);
        if (status != NAUHA_OK)
            status = note_chunk(check, chunk, reason.message, err);
        if (status != NAUHA_OK)
            return status;
    }
    end_sort(check, "streams that cannot be read");
    return NAUHA_OK;
}

static void tell_chunks(struct check *check) {
    for (size_t i = 0; i < check->chunk_count; i++) {
        const struct damaged_chunk *chunk = &check->chunks[i];
        char hits[1024] = "; no message lies there";
        size_t used = 0;
        for (uint64_t n = 0; n < chunk->messages && n < NAMED_MAX; n++) {
            char name[300];
            name_message(check->trace, chunk->rows[n], name, sizeof name);
            int more =
                snprintf(hits + used, sizeof hits - used, "%s%s", n ? "; " : "; it hits ", name);
            used += more > 0 ? (size_t)more : 0;
            if (used >= sizeof hits)
                used = sizeof hits - 1;
        }
        if (chunk->messages > NAMED_MAX)
            snprintf(hits + used, sizeof hits - used, " and %" PRIu64 " more",
                     chunk->messages - NAMED_MAX);
        tell(check, "%s%s", chunk->text, hits);
    }
    for (uint64_t i = check->chunk_count; i < check->chunks_damaged; i++)
        tell(check, "a further chunk is damaged");
    end_sort(check, "damaged chunks");
}

/* ---- the index ---- */

/* Counts a range of elements for the damaged chunks that it uses. Returns false if one of its
 * chunks is not in the table. */
static bool check_range(struct check *check, uint64_t number, uint16_t stream, uint64_t first,
                        uint64_t count) {
    struct nauha__chunks *chunks = check->trace->chunks;
    uint64_t each = nauha__chunks_elements(chunks, stream);
    uint64_t low = first / each, high = nauha__chunks_last(chunks, stream, first, count);
    for (size_t i = 0; i < check->chunk_count; i++) {
        struct damaged_chunk *chunk = &check->chunks[i];
        if (chunk->stream != stream || chunk->number < low || chunk->number > high)
            continue;
        /* Both ranges of a difference may be in the same chunk. */
        if (chunk->messages > 0 && chunk->last == number)
            continue;
        chunk->last = number;
        if (chunk->messages < NAMED_MAX)
            chunk->rows[chunk->messages] = number;
        chunk->messages++;
    }
    /* The table is sorted: if no chunk is missing, the distance is that of the numbers. */
    const struct nauha__chunk *from = nauha__chunks_find(chunks, stream, low);
    const struct nauha__chunk *to = nauha__chunks_find(chunks, stream, high);
    return from && to && (uint64_t)(to - from) == high - low;
}

static void check_elements(struct check *check, uint64_t number,
                           const struct nauha__index_row *row) {
    uint64_t count = nauha__trace_row_items(check->trace, row);
    if (count == 0)
        return;
    bool whole = check_range(check, number, row->stream, row->offset, count);
    if (row->flags & NAUHA__ROW_DERIVED)
        whole = check_range(check, number, row->stream, row->base, count) && whole;
    if (whole)
        return;
    char name[300];
    name_message(check->trace, number, name, sizeof name);
    tell(check, "%s lies in chunks that are not in \"/chunks\"", name);
}

/* ---- elements that were written later ---- */

/* The hash of the function that the trace names. */
struct hashing {
    struct nauha__hasher *xxh3; /* NULL: the other function */
    struct nauha__tensor_hasher sums;
};

static enum nauha_status hash_piece(void *context, const struct nauha_tensor *piece, uint64_t first,
                                    struct nauha_error *err) {
    struct hashing *hashing = context;
    const size_t bytes = (size_t)piece->shape[0] * nauha_dtype_size(piece->dtype);
    (void)first;
    (void)err;
    if (hashing->xxh3)
        nauha__hasher_add(hashing->xxh3, piece->data, bytes);
    else
        nauha__tensor_hasher_add(&hashing->sums, piece->data, bytes);
    return NAUHA_OK;
}

/* The hash that was recorded of a message, in place of its elements. */
static enum nauha_status recorded_hash(struct nauha_trace *trace,
                                       const struct nauha__index_row *row, uint64_t hash[2]) {
    if (row->flags & NAUHA__ROW_HASH) {
        hash[0] = row->offset;
        hash[1] = row->base;
        return NAUHA_OK;
    }
    const struct nauha__range range = {.stream = row->stream,
                                       .dtype = NAUHA_DTYPE_I64,
                                       .offset = row->offset,
                                       .count = NAUHA__FINGERPRINT_WORDS};
    return nauha__chunks_read(trace->chunks, &range, 0, 2, hash, NULL);
}

static enum nauha_status hash_of_elements(struct nauha_trace *trace,
                                          const struct nauha__index_row *row, uint64_t hash[2]) {
    const struct nauha__range range = {.stream = row->stream,
                                       .dtype = (enum nauha_dtype)row->dtype,
                                       .offset = row->offset,
                                       .count = nauha__trace_row_elements(trace, row)};
    struct hashing hashing = {0};
    if (trace->hash == NAUHA_HASH_XXH3 && !(hashing.xxh3 = nauha__hasher_new()))
        return NAUHA_NOMEM;
    if (hashing.xxh3)
        nauha__hasher_begin(hashing.xxh3);
    else
        nauha__tensor_hasher_begin(&hashing.sums);
    const enum nauha_status status =
        nauha__chunks_visit(trace->chunks, &range, false, hash_piece, &hashing, NULL);
    if (hashing.xxh3)
        nauha__hasher_end(hashing.xxh3, hash);
    else
        nauha__tensor_hasher_end(&hashing.sums, hash);
    nauha__hasher_free(hashing.xxh3);
    return status;
}

/* A message is in "/elements". What cannot be read of it is reported with its chunk. */
static void check_later(struct check *check, uint64_t number, const struct nauha__index_row *row) {
    struct nauha_trace *trace = check->trace;
    struct nauha__index_row recorded;
    uint64_t before[2], after[2];
    const bool unfound = row->flags & (NAUHA__ROW_HASH | NAUHA__ROW_FINGERPRINT);
    const struct nauha__index_row whole = *row;
    char name[300];
    name_message(trace, number, name, sizeof name);
    if (unfound) {
        /* A recorder that had to stop in the middle of a dump wrote a part of the elements. */
        if (trace->closed && !trace->failure[0])
            tell(check,
                 "the elements of %s, which were written later, are not where \"/elements\" says",
                 name);
        return;
    }
    /* The hashes of a later version may be others. */
    if (trace->hash == NAUHA_HASH_OTHER ||
        !nauha__index_recorded(trace->index, number, &recorded) ||
        recorded_hash(trace, &recorded, before) != NAUHA_OK ||
        hash_of_elements(trace, &whole, after) != NAUHA_OK)
        return;
    if (memcmp(before, after, sizeof before) == 0)
        trace->later_verified++;
    else
        tell(check, "the elements of %s, which were written later, are not those of its %s", name,
             recorded.flags & NAUHA__ROW_HASH ? "hash" : "fingerprint");
}

/* Rows come in the order of seq, as those of "/elements" do. */
static void check_if_later(struct check *check, uint64_t number,
                           const struct nauha__index_row *row) {
    const struct nauha_trace *trace = check->trace;
    while (check->later < trace->elements_count && trace->elements[check->later].seq < row->seq)
        check->later++;
    if (check->later < trace->elements_count && trace->elements[check->later].seq == row->seq)
        check_later(check, number, row);
}

/* ---- the sequence ---- */

static void check_sequence(struct check *check, uint64_t number,
                           const struct nauha__index_row *row) {
    /* A row -1 with seq -1 precedes the first row. */
    uint64_t rows = check->any ? number - check->last_row : number + 1;
    uint64_t steps = check->any ? row->seq - check->last_seq : row->seq + 1;
    if (check->any && (row->seq <= check->last_seq || steps < rows)) {
        tell(check,
             "index row %" PRIu64 " has sequence number %" PRIu64 ", the one before %" PRIu64,
             number, row->seq, check->last_seq);
    } else if (steps > rows) {
        if (check->gap_count < NAMED_MAX)
            check->gaps[check->gap_count] = (struct gap){.row = number, .missing = steps - rows};
        check->gap_count++;
        check->missing += steps - rows;
    }
    if (check->any && row->global_step < check->last_step)
        tell(check, "index row %" PRIu64 " is of step %" PRIu64 ", the one before of step %" PRIu64,
             number, row->global_step, check->last_step);
    check->any = true;
    check->last_row = number;
    check->last_seq = row->seq;
    check->last_step = row->global_step;
}

static void check_index(struct check *check) {
    struct nauha__index *index = check->trace->index;
    uint64_t rows = nauha__index_rows(index);
    for (uint64_t i = 0; i < rows; i++) {
        const struct nauha__index_row *row = NULL;
        enum nauha__row_fault fault = nauha__index_get(index, i, &row);
        if (fault == NAUHA__ROW_FAULT_NONE) {
            check_elements(check, i, row);
            /* The call that names a message may have replaced the page. */
            if (nauha__index_get(index, i, &row) == NAUHA__ROW_FAULT_NONE)
                check_sequence(check, i, row);
            if (nauha__index_get(index, i, &row) == NAUHA__ROW_FAULT_NONE)
                check_if_later(check, i, row);
        } else if (fault == NAUHA__ROW_FAULT_UNREADABLE) {
            uint64_t end = nauha__index_page_end(index, i);
            tell(check, "index rows %" PRIu64 " to %" PRIu64 " cannot be read", i, end - 1);
            i = end - 1;
        } else {
            tell(check, "index row %" PRIu64 " %s", i, nauha__row_fault_text(fault));
        }
    }
    end_sort(check, "damaged index rows");
}

static uint64_t lost(const struct nauha_trace *trace) {
    uint64_t messages = 0;
    for (size_t i = 0; i < trace->loss_count; i++)
        messages += trace->losses[i].messages;
    return messages > trace->end_messages_lost ? messages : trace->end_messages_lost;
}

/* Counts messages that are missing from the sequence, beyond those that the recorder reported as
 * lost. */
static void tell_gaps(struct check *check) {
    if (check->missing <= lost(check->trace))
        return;
    for (uint64_t i = 0; i < check->gap_count && i < NAMED_MAX; i++)
        tell(check, "%" PRIu64 " messages are missing before index row %" PRIu64,
             check->gaps[i].missing, check->gaps[i].row);
    if (check->gap_count > NAMED_MAX)
        tell(check, "messages are missing in %" PRIu64 " more places, %" PRIu64 " in all",
             check->gap_count - NAMED_MAX, check->missing);
    end_sort(check, "gaps");
}

static void check_end(struct check *check) {
    const struct nauha_trace *trace = check->trace;
    uint64_t rows = nauha__index_rows(trace->index);
    /* The messages that the recorder reported as lost may be among these. */
    if (trace->closed && (trace->end_messages < rows || trace->end_messages - rows > lost(trace)))
        tell(check,
             "the recorder closed the trace with %" PRIu64 " messages, \"/index\" has %" PRIu64,
             trace->end_messages, rows);
    if (trace->tables[NAUHA__TABLE_END].rows > 1)
        tell(check, "table \"/end\" has %" PRIu64 " rows", trace->tables[NAUHA__TABLE_END].rows);
    end_sort(check, "ends");
}

enum nauha_status nauha_trace_verify(struct nauha_trace *trace,
                                     void (*finding)(void *context, const char *text),
                                     nauha_progress_fn progress, void *context, uint64_t *findings,
                                     struct nauha_error *err) {
    struct check check = {
        .trace = trace, .finding = finding, .progress = progress, .context = context};
    trace->later_verified = 0;
    check_tables(&check);
    enum nauha_status status = check_chunks(&check, err);
    if (status == NAUHA_OK) {
        check_index(&check);
        tell_chunks(&check);
        tell_gaps(&check);
        check_end(&check);
    }
    for (size_t i = 0; i < check.chunk_count; i++)
        free(check.chunks[i].text);
    free(check.chunks);
    *findings = check.findings;
    return status;
}

uint64_t nauha_trace_later_verified(const struct nauha_trace *trace) {
    return trace->later_verified;
}
