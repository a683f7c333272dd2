/* SPDX-License-Identifier: MIT */
/* libFuzzer: the chunk table, the stored chunks and the ranges that messages have in them. */
#include "tests/fuzz/fuzz_trace.h"

static const enum nauha__table_id tables[] = {NAUHA__TABLE_CHUNKS, NAUHA__TABLE_INDEX,
                                              NAUHA__TABLE_STREAMS_USED, NAUHA__TABLE_SHAPES};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct fuzz_target target = {
        .tables = tables, .table_count = sizeof tables / sizeof *tables, .chunks = true};
    fuzz_trace(&target, data, size);
    return 0;
}
