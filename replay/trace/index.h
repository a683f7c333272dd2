/* SPDX-License-Identifier: MIT */
/* The index of a trace, a page of rows at a time, each row checked before it is handed out.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_REPLAY_TRACE_INDEX_H
#define NAUHA_REPLAY_TRACE_INDEX_H

#include "nauha/internal/h5.h"

struct nauha_trace;
struct nauha__index;

/* X(NAME, "text"): what can be wrong with a row. */
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

/* dataset is consumed, also on failure; trace is borrowed. NULL when out of memory. */
struct nauha__index *nauha__index_new(const struct nauha_trace *trace, hid_t dataset,
                                      uint64_t rows);
void nauha__index_free(struct nauha__index *index);

/* Rows there were when the trace was opened or last grown. */
uint64_t nauha__index_rows(const struct nauha__index *index);

/* How many rows there are in the file by now. FORMAT: cannot be read, or more than the file can
 * hold. */
enum nauha_status nauha__index_refresh(struct nauha__index *index, uint64_t *rows,
                                       struct nauha_error *err);
/* Takes in that many rows, now that what they refer to has been read. */
void nauha__index_grow(struct nauha__index *index, uint64_t rows);

/* Pages read from the file so far. */
uint64_t nauha__index_pages_read(const struct nauha__index *index);

/* A row below that number, borrowed until the third call after; checked unless a fault is
 * returned, and NULL where it is UNREADABLE. */
enum nauha__row_fault nauha__index_get(struct nauha__index *index, uint64_t number,
                                       const struct nauha__index_row **row);

/* The first row past those that are read together with this one: all of them are unreadable
 * where one is. */
uint64_t nauha__index_page_end(const struct nauha__index *index, uint64_t number);

/* The first row from `first` on whose step is at least `step`: steps never decrease from row to
 * row. */
uint64_t nauha__index_find_step(struct nauha__index *index, uint64_t first, uint64_t step);

#endif
