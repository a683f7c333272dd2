/* SPDX-License-Identifier: MIT */
/* Reading what a writer adds to a trace that is already open.
 *
 * Threads: one at a time per trace.
 */
#include <fcntl.h>

#include "replay/trace/parts.h"

/* If the file system has no locks, a writer that died cannot be told from one that is at work. */
static bool has_writer(const struct nauha_trace *trace) {
    struct flock lock = {
        .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = NAUHA__LOCK_BYTE, .l_len = 1};
    return fcntl(trace->fd, F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}

/* In the order of open_contents in trace.c. Rows of the index are read last, so that after a
 * failure no row lacks what it refers to, and another call can continue. */
static enum nauha_status take_in(struct nauha_trace *trace, bool live, struct nauha_error *err) {
    uint64_t rows = 0;
    enum nauha_status status = nauha__index_refresh(trace->index, &rows, err);
    if (status != NAUHA_OK || (live && rows <= nauha__index_rows(trace->index)))
        return status;
    const size_t elements = trace->elements_count;
    status = nauha__trace_read_tables(trace, err);
    if (status != NAUHA_OK)
        return status;
    if (trace->elements_count > elements)
        nauha__index_read_again(trace->index);
    trace->tables[NAUHA__TABLE_INDEX].rows = rows;
    nauha__index_grow(trace->index, rows);
    return nauha__trace_reset_totals(trace, err);
}

enum nauha_status nauha_trace_refresh(struct nauha_trace *trace, bool *live,
                                      struct nauha_error *err) {
    *live = false;
    if (trace->closed)
        return NAUHA_OK;
    struct nauha__h5_quiet quiet;
    nauha__h5_quiet_begin(&quiet);
    /* Looked up before anything is read, so that everything that the writer wrote before its end is
     * read. */
    *live = has_writer(trace);
    enum nauha_status status = nauha__trace_read_end(trace, err);
    *live = *live && !trace->closed;
    if (status == NAUHA_OK)
        status = take_in(trace, *live, err);
    nauha__h5_quiet_end(&quiet);
    if (status != NAUHA_OK)
        *live = true; /* not everything has been read */
    return status;
}
