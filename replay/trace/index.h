/* SPDX-License-Identifier: MIT */
/* The index of a trace, read in pages of rows; each row is checked before it is returned.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_REPLAY_TRACE_INDEX_H
#define NAUHA_REPLAY_TRACE_INDEX_H

#include "nauha/internal/h5.h"

struct nauha_trace;
struct nauha__index;

/* X(NAME, "text"): the faults that a row can have. */
#define NAUHA__ROW_FAULTS(X)                                                                       \
    X(NONE, "nothing")                                                                             \
    X(UNREADABLE, "cannot be read")                                                                \
    X(CHECKSUM, "does not match its checksum")                                                     \
    X(FLAGS, "has flags that are not known")                                                       \
    X(KIND, "names a kind that is not in /kinds")                                                  \
    X(TAG, "names a tag that is not in /tags")                                                     \
    X(MODULE, "names a module that is not in /modules")                                            \
    X(SLOT, "names a slot that is not in /slots")                                                  \
    X(DTYPE, "has an element type that is not known")                                              \
    X(SHAPE, "names a shape that is not in /shapes")                                               \
    X(PLACEMENT, "is a shard, whose place is not in /placements")                                  \
    X(SIZE, "has more elements than memory can hold")                                              \
    X(STREAM, "names a stream that is not in /streams_used, or of another element size")           \
    X(RANGE, "reaches beyond the chunks of its stream")

enum nauha__row_fault {
#define NAUHA__ROW_FAULT_ENUM(name, text) NAUHA__ROW_FAULT_##name,
    NAUHA__ROW_FAULTS(NAUHA__ROW_FAULT_ENUM)
#undef NAUHA__ROW_FAULT_ENUM
};

/* "does not match its checksum", ... */
const char *nauha__row_fault_text(enum nauha__row_fault fault);

/* dataset is consumed, also on failure; trace is borrowed until nauha__index_free. NULL when out of
 * memory. */
struct nauha__index *nauha__index_new(const struct nauha_trace *trace, hid_t dataset,
                                      uint64_t rows);
void nauha__index_free(struct nauha__index *index);

/* The number of rows when the trace was opened or nauha__index_grow was last called. */
uint64_t nauha__index_rows(const struct nauha__index *index);

/* Gets how many rows are in the file now. FORMAT: this cannot be read, or is more than the file can
 * hold. */
enum nauha_status nauha__index_refresh(struct nauha__index *index, uint64_t *rows,
                                       struct nauha_error *err);
/* Extends the index to this number of rows, once the tables that they refer to have been read. */
void nauha__index_grow(struct nauha__index *index, uint64_t rows);

/* Reads pages again when they are next needed: rows in them may have elements by now. */
void nauha__index_read_again(struct nauha__index *index);

/* How many pages have been read from the file so far. */
uint64_t nauha__index_pages_read(const struct nauha__index *index);

/* Gets a row by its number, which is less than nauha__index_rows. *row is borrowed until the third
 * call after this one. If a fault is returned, *row is not to be trusted; it is NULL if the fault
 * is UNREADABLE. */
enum nauha__row_fault nauha__index_get(struct nauha__index *index, uint64_t number,
                                       const struct nauha__index_row **row);

/* Gets a row as it was recorded: with its hash or fingerprint, also if its elements were written
 * later. False: it cannot be read, or is damaged. */
bool nauha__index_recorded(struct nauha__index *index, uint64_t number,
                           struct nauha__index_row *row);

/* The first row after those that are read together with this one; if one of them is unreadable, all
 * are. */
uint64_t nauha__index_page_end(const struct nauha__index *index, uint64_t number);

/* The first row, not before `first`, whose step is at least `step`. Steps never decrease from row
 * to row. */
uint64_t nauha__index_find_step(struct nauha__index *index, uint64_t first, uint64_t step);

#endif
