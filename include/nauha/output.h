/* SPDX-License-Identifier: MIT */
/* Files that we write: what they may replace, and how they come into place.
 *
 * An output takes the place of nothing but a regular file of its own form, or an empty one; any
 * other regular file stays unless the caller says `overwrite`. What is read is never replaced, nor
 * is what is no regular file: a character device or a FIFO is written through, everything else is
 * refused. A link is followed: what it points at is replaced, the link stays. A regular file is
 * written under the name PATH.partial and renamed when it is whole, so that what was there before
 * stays whole until then.
 *
 * Threads: any, one at a time for each output.
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

/* How the files of one form are known. */
struct nauha_output_form {
    const char *noun;  /* with its article, as in "a report of nauha" */
    const char *start; /* the first bytes */
    size_t start_bytes;
    const char *mark; /* a text among the first `within` bytes; NULL: none */
    size_t within;
};

struct nauha_output_request {
    const char *path;
    const struct nauha_output_form *form; /* NULL: any regular file may be replaced */
    bool overwrite;                       /* a regular file of another form may be, too */
    bool named_by_us; /* a name in a directory: only a regular file is written, no link followed */
    const char *const *inputs; /* files that are read */
    size_t input_count;
};

/* An output while it is written. */
struct nauha_output {
    FILE *stream;
    char *path;    /* where it goes */
    char *partial; /* its name until then; NULL: it is written through */
};

/* Whether a regular file is of a form, or empty. */
NAUHA_API bool nauha_output_is(const char *path, const struct nauha_output_form *form);

/* What nauha_output_open would refuse, at once: for programs that have long to go before they
 * write. INVALID, IO. */
NAUHA_API enum nauha_status nauha_output_check(const struct nauha_output_request *request,
                                               struct nauha_error *err);

/* Opens an output. INVALID: its place is taken. IO, NOMEM. Ends with finish, drop or leave. */
NAUHA_API enum nauha_status nauha_output_open(struct nauha_output *output,
                                              const struct nauha_output_request *request,
                                              struct nauha_error *err);

/* All is written: checks that it was, and puts it in place; what is not whole is removed. IO. */
NAUHA_API enum nauha_status nauha_output_finish(struct nauha_output *output,
                                                struct nauha_error *err);

/* Gives up: removes what was written. Fine on one that is zero, or has ended. */
NAUHA_API void nauha_output_drop(struct nauha_output *output);
/* The same, and leaves what was written as PATH.partial. */
NAUHA_API void nauha_output_leave(struct nauha_output *output);

/* Writes out what a stream still holds. Returns 0, or the errno of why not all that was ever
 * written to it could be. */
NAUHA_API int nauha_output_flush(FILE *stream);

#ifdef __cplusplus
}
#endif
#endif
