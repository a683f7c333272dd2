/* SPDX-License-Identifier: MIT */
/* Traces of a training that was interrupted and went on from a checkpoint: the steps that it
 * repeated are those of the later trace.
 *
 * Threads: one at a time per trace.
 */
#include "replay/trace/parts.h"

/* Sets the step of the first undamaged row; false if there is none. */
static bool find_first_step(struct nauha_trace *trace, uint64_t *step) {
    const uint64_t rows = nauha__index_rows(trace->index);
    for (uint64_t i = 0; i < rows; i++) {
        const struct nauha__index_row *row = NULL;
        if (nauha__index_get(trace->index, i, &row) != NAUHA__ROW_FAULT_NONE)
            continue;
        *step = row->global_step;
        return true;
    }
    return false;
}

static bool is_later(const struct nauha_trace *trace, const struct nauha_trace *than) {
    return trace->rank == than->rank && trace->created_ns > than->created_ns;
}

/* A trace that begins where the training begins goes on from nothing. */
static enum nauha_status check_begin(const struct nauha_trace *earlier, struct nauha_trace *later,
                                     struct nauha_error *err) {
    uint64_t first;
    if (!find_first_step(later, &first) || first > 0)
        return NAUHA_OK;
    return nauha_error_set(err, NAUHA_INVALID,
                           "\"%s\" begins with step 0, so it does not go on from \"%s\": a resumed "
                           "training has to be recorded with the number of its first step "
                           "(--first-step)",
                           later->path, earlier->path);
}

static void replace(struct nauha_trace *earlier, struct nauha_trace *later) {
    uint64_t next;
    if (!find_first_step(later, &next))
        return;
    if (!earlier->replaced || next < earlier->replaced_from)
        earlier->replaced_from = next;
    earlier->replaced = true;
}

enum nauha_status nauha_trace_join(struct nauha_trace *const *traces, size_t count,
                                   struct nauha_error *err) {
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < count; j++) {
            if (!is_later(traces[j], traces[i]))
                continue;
            enum nauha_status status = check_begin(traces[i], traces[j], err);
            if (status != NAUHA_OK)
                return status;
            replace(traces[i], traces[j]);
        }
        traces[i]->joined = true;
    }
    return NAUHA_OK;
}

void nauha__trace_join_as(struct nauha_trace *trace, const struct nauha_trace *joined) {
    trace->joined = joined->joined;
    trace->replaced = joined->replaced;
    trace->replaced_from = joined->replaced_from;
}
