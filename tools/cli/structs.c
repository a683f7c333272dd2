/* SPDX-License-Identifier: MIT */
/* The sizes of the structs that the Python package declares again; see program.h. */
#include "nauha/finding.h"
#include "nauha/fingerprint.h"
#include "nauha/option.h"
#include "nauha/recorder.h"
#include "nauha/trace.h"
#include "tools/cli/program.h"

#define ROW(type)                                                                                  \
    { #type, sizeof(type) }

static const struct {
    const char *name;
    size_t bytes;
} rows[] = {
    ROW(struct nauha_error),
    ROW(struct nauha_tensor),
    ROW(struct nauha_parameter),
    ROW(struct nauha_option),
    ROW(struct nauha_message_info),
    ROW(struct nauha_placement),
    ROW(struct nauha_stats),
    ROW(struct nauha_fingerprint),
    ROW(struct nauha_recorder_stats),
    ROW(struct nauha_trace_info),
    ROW(struct nauha_trace_dump),
    ROW(struct nauha_finding),
    ROW(struct nauha_plot),
    ROW(struct nauha_host),
    ROW(struct nauha_analyzer),
    ROW(struct nauha_analyzer_parameter),
    ROW(struct nauha_analyzer_config),
    ROW(union nauha_value),
    ROW(struct nauha_remaking),
    ROW(struct nauha_python),
};

const char *nauha_struct_at(size_t position, size_t *bytes) {
    if (position >= sizeof rows / sizeof *rows)
        return NULL;
    *bytes = rows[position].bytes;
    return rows[position].name;
}
