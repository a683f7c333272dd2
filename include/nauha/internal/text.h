/* SPDX-License-Identifier: MIT */
/* UTF-8 text of which nobody knows who wrote it.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_INTERNAL_TEXT_H
#define NAUHA_INTERNAL_TEXT_H

#include <stddef.h>

/* Length in bytes of the UTF-8 character at text; 0: not one, or a control character. */
size_t nauha__character(const char *text);

/* Makes every control character but those in `allowed`, and what is no UTF-8, a question mark, so
 * that no terminal obeys what stands in a file. In place; returns text. */
char *nauha__defuse(char *text, const char *allowed);

#endif
