/* SPDX-License-Identifier: MIT */
/* Writing output files without destroying other files.
 *
 * An output replaces an existing regular file only if that is empty or has the form of the output,
 * or if the caller sets `overwrite`. It never replaces an input. A regular file is written under
 * the name PATH.partial and renamed when it is complete; until then an existing file stays as it
 * is. A character device or a FIFO is written to directly; anything else is refused. If PATH is a
 * link, its target is replaced and the link stays; a link without a target is refused.
 *
 * Threads: any thread; an output is used by one thread at a time.
 */
#ifndef NAUHA_OUTPUT_H
#define NAUHA_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "nauha/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How files of a form are recognized. */
struct nauha_output_form {
    const char *noun;  /* for messages, with its article: "a report of nauha" */
    const char *start; /* the first start_bytes bytes */
    size_t start_bytes;
    const char *mark; /* a text in the first `within` bytes; NULL: none */
    size_t within;
};

struct nauha_output_request {
    const char *path;
    const struct nauha_output_form *form; /* NULL: any regular file may be replaced */
    bool overwrite;                       /* a regular file of another form may be replaced, too */
    bool named_by_us; /* nauha chose the name, in a directory of the user's: an existing link,
                         device or FIFO is refused */
    const char *const *inputs; /* paths of files that are read, which are not replaced */
    size_t input_count;
};

/* An output while it is written. */
struct nauha_output {
    FILE *stream;
    char *path;    /* the final name */
    char *partial; /* the name until it is complete; NULL: it is written to directly */
};

/* Whether there is a regular file at path that has the form or is empty. */
NAUHA_API bool nauha_output_is(const char *path, const struct nauha_output_form *form);

/* Fails if nauha_output_open would refuse the request at this moment: for programs that work for a
 * long time before they write. INVALID, IO. */
NAUHA_API enum nauha_status nauha_output_check(const struct nauha_output_request *request,
                                               struct nauha_error *err);

/* Opens an output, to be ended with finish, drop or leave. INVALID: it must not replace the file at
 * path. IO, NOMEM. */
NAUHA_API enum nauha_status nauha_output_open(struct nauha_output *output,
                                              const struct nauha_output_request *request,
                                              struct nauha_error *err);

/* Ends a complete output: flushes it and gives the file its final name. If that fails, the partial
 * file is removed. IO. */
NAUHA_API enum nauha_status nauha_output_finish(struct nauha_output *output,
                                                struct nauha_error *err);

/* Ends an incomplete output and removes the partial file. The output may be all zero, or ended. */
NAUHA_API void nauha_output_drop(struct nauha_output *output);
/* The same, but leaves the partial file. */
NAUHA_API void nauha_output_leave(struct nauha_output *output);

/* Flushes a stream. Returns 0, or an errno if this or any earlier write to it failed. */
NAUHA_API int nauha_output_flush(FILE *stream);

#ifdef __cplusplus
}
#endif
#endif
