/* SPDX-License-Identifier: MIT */
/* Output for people: colours, sizes and durations in words, and the progress bar.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_CLI_TERMINAL_H
#define NAUHA_TOOLS_CLI_TERMINAL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum colour {
    COLOUR_PLAIN,
    COLOUR_BOLD,
    COLOUR_GOOD,
    COLOUR_BAD,
    COLOUR_WARNING,
    COLOUR_DIM,
    COLOUR_NAME
};

/* Sets the value of --color: auto, always or never. False: it is none of them. */
bool nauha__colour_choose(const char *when);

/* The escape sequence of a colour; "" if the stream is not a terminal or NO_COLOR is set, unless
 * --color or CLICOLOR_FORCE says otherwise. */
const char *nauha__colour(FILE *stream, enum colour colour);

/* The size in characters of the terminal that standard output is, without the line of the next
 * prompt; unchanged if it is not a terminal. */
void nauha__terminal_size(unsigned *columns, unsigned *lines);

/* The number of columns of the terminal that a stream is; 0: it is not a terminal, and lines have
 * no limit. */
int nauha__width(FILE *stream);
/* The width for sentences, which are hard to read across a wide screen. */
int nauha__prose_width(FILE *stream);

/* Prints the heading of a part of the output, after an empty line. */
void nauha__heading(FILE *stream, const char *text);

/* The same number, but a NaN without a sign. */
double nauha__printable(double value);

/* Writes a size into text, "1.5 MB" (powers of 1000) or "12 B"; returns text. */
const char *nauha__size_text(uint64_t bytes, char text[32]);
/* Writes a count into text, "1 234 567"; returns text. */
const char *nauha__count_text(uint64_t count, char text[32]);
/* Writes a duration into text, "3.2 s" or "4 min 10 s"; returns text. */
const char *nauha__duration_text(double seconds, char text[32]);

/* The time of a clock that never runs backwards, in nanoseconds. */
uint64_t nauha__clock_ns(void);

/* A bar on standard error, drawn only on a terminal and at most ten times a second. */
struct progress {
    const char *what;
    const char *unit;
    bool on;
    double started, drawn;
};
void nauha__progress_begin(struct progress *progress, const char *what, const char *unit,
                           bool quiet);
/* extra may be NULL. */
void nauha__progress_show(struct progress *progress, uint64_t done, uint64_t total,
                          const char *extra);
/* Shows in place of the bar what is being done, if nobody knows how long it takes. */
void nauha__progress_say(struct progress *progress, const char *text);
/* Removes the bar until it is shown again, to make room for a line of output. */
void nauha__progress_clear(struct progress *progress);
/* Removes the bar. */
void nauha__progress_end(struct progress *progress);

#endif
