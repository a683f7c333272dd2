/* SPDX-License-Identifier: MIT */
/* libFuzzer: names, shapes, streams, losses, the end and the attributes: what rows of the index
 * refer to may be anything. */
#include "tests/fuzz/fuzz_trace.h"

static const enum nauha__table_id tables[] = {
    NAUHA__TABLE_KINDS,   NAUHA__TABLE_MODULES, NAUHA__TABLE_SLOTS,
    NAUHA__TABLE_TAGS,    NAUHA__TABLE_SHAPES,  NAUHA__TABLE_STREAMS_USED,
    NAUHA__TABLE_ALIASES, NAUHA__TABLE_LOSSES,  NAUHA__TABLE_END};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct fuzz_target target = {
        .tables = tables, .table_count = sizeof tables / sizeof *tables, .attributes = true};
    fuzz_trace(&target, data, size);
    return 0;
}
