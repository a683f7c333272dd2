/* SPDX-License-Identifier: MIT */
/* Untrusted UTF-8 text.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_INTERNAL_TEXT_H
#define NAUHA_INTERNAL_TEXT_H

#include <stddef.h>

/* The length in bytes of the UTF-8 character at text; 0 if it is not UTF-8, a control character, or
 * the end of the text. */
size_t nauha__character(const char *text);

/* Replaces, in place, every control character except those in `allowed`, and every byte that is not
 * UTF-8, by '?', so that text from a file cannot control a terminal. Returns text. */
char *nauha__defuse(char *text, const char *allowed);

#endif
