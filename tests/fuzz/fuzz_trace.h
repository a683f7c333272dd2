/* SPDX-License-Identifier: MIT */
/* What the fuzzers of the reader share: a sound trace, changed as the input says, then read in
 * every way. HDF5's own structures stay sound: the input decides what they hold.
 *
 * Input: one byte (bits 0 and 1: codec; bits 2 and 3: long index, where the target has one; bits 4
 * to 7: selector), then edits of EDIT_BYTES and a blob each; see trace_edits.c.
 *
 * Threads: one.
 */
#ifndef NAUHA_FUZZ_TRACE_H
#define NAUHA_FUZZ_TRACE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "nauha/internal/codec.h"
#include "nauha/internal/layout.h"

/* What the edits of a target may reach. */
struct fuzz_target {
    const enum nauha__table_id *tables;
    size_t table_count;
    bool attributes, chunks, long_index;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A whole run of one input. */
void fuzz_trace(const struct fuzz_target *target, const uint8_t *data, size_t size);

/* ---- trace_template.c ---- */

/* Every chunk of a stream, before compression. */
#define FUZZ_CHUNK_BYTES 512u

/* The file of a sound trace, made with the first call; `long_index`: of more rows than the reader
 * keeps in memory. Borrowed for the life of the program. */
const unsigned char *fuzz_template(enum nauha__codec_method method, bool long_index, size_t *bytes);

/* ---- trace_walk.c ---- */

#define FUZZ_SELECTORS 16u

/* Opens a trace, verifies it, reads every message and replays metrics; selector: a number below
 * FUZZ_SELECTORS. */
void fuzz_walk(const char *path, unsigned selector);

#define fuzz_require(holds) ((holds) ? (void)0 : fuzz_fail(#holds, __FILE__, __LINE__))

static inline void fuzz_fail(const char *what, const char *file, int line) {
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
    abort();
}

#endif
