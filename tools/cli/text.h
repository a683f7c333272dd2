/* SPDX-License-Identifier: MIT */
/* Text as a terminal shows it: how wide it is, cut and wrapped. UTF-8, whatever the locale.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_CLI_TEXT_H
#define NAUHA_TOOLS_CLI_TEXT_H

#include <stdio.h>

/* How many columns a text takes. */
int nauha__text_width(const char *text);

/* Makes what a terminal would obey, or could not show, into blanks and question marks: escape
 * sequences above all. In place; returns text. */
char *nauha__text_clean(char *text);

/* Prints a text, cut in the middle where it takes more columns. Returns the columns it took. */
int nauha__text_print(FILE *stream, const char *text, int columns);

/* Prints words, beginning in column `cursor` and never going over `limit`: lines after the first
 * begin in column `indent`. limit 0: in one line. */
void nauha__text_wrap(FILE *stream, const char *text, int indent, int cursor, int limit);

#endif
