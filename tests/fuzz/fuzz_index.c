/* SPDX-License-Identifier: MIT */
/* libFuzzer: index rows and their paging: any row is a message or refused, walks and searches end.
 */
#include "tests/fuzz/fuzz_trace.h"

static const enum nauha__table_id tables[] = {NAUHA__TABLE_INDEX};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct fuzz_target target = {
        .tables = tables, .table_count = sizeof tables / sizeof *tables, .long_index = true};
    fuzz_trace(&target, data, size);
    return 0;
}
