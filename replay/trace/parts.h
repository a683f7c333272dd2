/* SPDX-License-Identifier: MIT */
/* The internals of an open trace, shared by the source files that read it.
 *
 * Threads: one at a time per trace.
 */
#ifndef NAUHA_REPLAY_TRACE_PARTS_H
#define NAUHA_REPLAY_TRACE_PARTS_H

#include <sys/stat.h>

#include "nauha/internal/h5.h"
#include "nauha/internal/message.h"
#include "nauha/trace.h"
#include "replay/trace/chunks.h"
#include "replay/trace/index.h"

/* Translates the numbers of the trace's own table to numbers of the names object; NAUHA_NONE: the
 * row is damaged. */
struct nauha__number_map {
    uint32_t *numbers;
    uint32_t count;
    size_t capacity;
};

struct nauha__shape_map {
    struct {
        uint32_t
            number;     /* NAUHA_NONE: the row is damaged, or the placement of a shard is unknown */
        uint32_t local; /* of a shard: the number of its dimensions alone; else NAUHA_NONE */
        uint64_t elements;
    } * shapes;
    uint32_t count;
    uint32_t shards; /* those of shards among them */
    size_t capacity;
    /* The rows of /placements whose shape has not been read yet, and the number of the first. */
    struct nauha__placement_row *waiting;
    size_t waiting_count, waiting_capacity;
    uint64_t waiting_first;
};

/* For how many damaged rows of a table the numbers are kept. */
#define NAUHA__DAMAGED_ROWS_SHOWN 16u
struct nauha__table_state {
    uint64_t rows; /* read so far */
    uint64_t damaged;
    uint64_t shown[NAUHA__DAMAGED_ROWS_SHOWN];
};

struct nauha__trace_fact {
    char *key, *value;
};

struct nauha__trace_loss {
    uint32_t kind; /* number in names */
    char reason[sizeof((struct nauha__loss_row *)0)->reason + 1];
    uint64_t messages, bytes;
};

struct nauha__trace_dump {
    uint64_t step, first_step, last_step;
    char reason[sizeof((struct nauha__dump_row *)0)->reason + 1];
};

struct nauha__kind_totals {
    uint64_t messages, bytes, shards;
    uint64_t kept[NAUHA_KEPT_COUNT]; /* tensors */
};

/* Totals from one pass over the index, which is made when they are first asked for. */
struct nauha__trace_totals {
    bool counted;
    uint64_t messages, bytes;
    uint64_t first_step, last_step;
    uint32_t first_epoch, last_epoch;
    uint64_t last_time;
    struct nauha__kind_totals *kinds; /* by the trace's numbers */
};

struct nauha_trace {
    char *path;
    int fd;             /* of the same file, for its size, which may grow, and for chunks */
    bool open_for_swmr; /* a writer has it open, or was killed */
    bool opened;        /* HDF5 has opened the tables, as they were then */
    hid_t file, driver;
    struct nauha_names *names;

    uint32_t format_major, format_minor, rank, world_size;
    int64_t created_ns;
    char *codec;
    enum nauha_hash hash; /* of the tensors without elements */
    uint64_t chunk_bytes;
    struct nauha__trace_fact *facts;
    size_t fact_count;

    struct nauha__table_state tables[NAUHA__TABLE_COUNT];
    struct nauha__number_map kinds, modules, slots, tags;
    struct nauha__shape_map shapes;
    struct nauha__trace_loss *losses;
    size_t loss_count, loss_capacity;
    struct nauha__elements_row *elements; /* written later than their rows; by seq */
    size_t elements_count, elements_capacity;
    uint64_t later_verified; /* of them: found equal to their hashes */
    struct nauha__trace_dump *dumps;
    size_t dump_count, dump_capacity;
    bool closed;
    uint64_t end_direct;                        /* MiB written past the page cache; if closed */
    uint64_t end_messages;                      /* that the writer says it wrote; if closed */
    uint64_t end_messages_lost, end_bytes_lost; /* and could not write */
    char failure[sizeof((struct nauha__end_row *)0)->failure + 1];

    bool joined;   /* with traces of the same rank, see nauha_trace_join */
    bool replaced; /* by later ones, from replaced_from on */
    uint64_t replaced_from;

    struct nauha__index *index;
    struct nauha__chunks *chunks;
    struct nauha__trace_totals *totals;
    struct nauha__source source;
};

/* The size of the file now, in bytes; 0 if it is not known. */
static inline uint64_t nauha__trace_file_bytes(const struct nauha_trace *trace) {
    struct stat status;
    return fstat(trace->fd, &status) == 0 && status.st_size > 0 ? (uint64_t)status.st_size : 0;
}

/* Discards the totals, for example because there are new kinds. NOMEM. */
enum nauha_status nauha__trace_reset_totals(struct nauha_trace *trace, struct nauha_error *err);

/* ---- attributes.c ---- */

/* Reads the root attributes into the trace. FORMAT, VERSION, NOMEM. */
enum nauha_status nauha__trace_read_attributes(struct nauha_trace *trace, struct nauha_error *err);

/* ---- tables.c ---- */

/* Opens a table and checks its type. *rows is how many rows it has now, never more than the file
 * can hold. Release *dataset with H5Dclose. FORMAT. */
enum nauha_status nauha__trace_open_table(const struct nauha_trace *trace, enum nauha__table_id id,
                                          hid_t *dataset, uint64_t *rows, struct nauha_error *err);

/* Reads rows [first, first + count) of an opened table. FORMAT. */
enum nauha_status nauha__table_read_rows(hid_t dataset, hid_t row_type, uint64_t first,
                                         uint64_t count, void *rows, struct nauha_error *err);

/* Reads the new rows of every table except the index and the end; damaged rows are noted in
 * trace->tables. */
enum nauha_status nauha__trace_read_tables(struct nauha_trace *trace, struct nauha_error *err);

/* Reads whether the writer has closed the trace. If so, everything read after this call is
 * complete. */
enum nauha_status nauha__trace_read_end(struct nauha_trace *trace, struct nauha_error *err);

/* ---- cursor.c ---- */

/* Continues with another selector, which is copied. NOMEM. */
enum nauha_status nauha__cursor_select(struct nauha_cursor *cursor,
                                       const struct nauha_selector *selector,
                                       struct nauha_error *err);

/* ---- join.c ---- */

/* Whether a later trace of the same training has the messages of this step. */
static inline bool nauha__trace_is_replaced(const struct nauha_trace *trace, uint64_t step) {
    return trace->replaced && step >= trace->replaced_from;
}

/* Joins another handle on the same file as this trace is. */
void nauha__trace_join_as(struct nauha_trace *trace, const struct nauha_trace *joined);

/* ---- the index against the tables ---- */

/* The number of elements of a row's shape; only for rows that nauha__index_get returned without a
 * fault. */
uint64_t nauha__trace_row_elements(const struct nauha_trace *trace,
                                   const struct nauha__index_row *row);
static inline enum nauha_kept nauha__row_kept(const struct nauha__index_row *row) {
    return row->flags & NAUHA__ROW_HASH          ? NAUHA_KEPT_HASH
           : row->flags & NAUHA__ROW_FINGERPRINT ? NAUHA_KEPT_FINGERPRINT
                                                 : NAUHA_KEPT_ELEMENTS;
}
/* The number of items that a row has in its stream: its elements, those of its fingerprint, or
 * none.
 */
uint64_t nauha__trace_row_items(const struct nauha_trace *trace,
                                const struct nauha__index_row *row);
/* Bytes of a row's elements, 0 for an event. */
uint64_t nauha__trace_row_bytes(const struct nauha_trace *trace,
                                const struct nauha__index_row *row);

#endif
