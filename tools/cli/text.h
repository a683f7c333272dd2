/* SPDX-License-Identifier: MIT */
/* Text as a terminal shows it: its width, cutting and wrapping. Text is UTF-8 in every locale.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_CLI_TEXT_H
#define NAUHA_TOOLS_CLI_TEXT_H

#include <stdio.h>

/* How many columns a text takes. */
int nauha__text_width(const char *text);

/* Replaces in place what a terminal would obey, above all escape sequences, or could not show, by
 * blanks and question marks. Returns text. */
char *nauha__text_clean(char *text);

/* Prints a text, cut in the middle if it is wider than `columns`. Returns how many columns it took.
 */
int nauha__text_print(FILE *stream, const char *text, int columns);

/* Prints a text word by word, beginning in column `cursor`, in lines of at most `limit` columns (0:
 * in one line). Lines after the first begin in column `indent`. */
void nauha__text_wrap(FILE *stream, const char *text, int indent, int cursor, int limit);

#endif
