/* SPDX-License-Identifier: MIT */
/* Descriptors that are not in the way of standard input, output and error.
 *
 * Where a program runs with one of these closed, the next file to be opened gets its number, and
 * what the program prints would go into that file.
 *
 * Threads: any.
 */
#ifndef NAUHA_INTERNAL_STREAMS_H
#define NAUHA_INTERNAL_STREAMS_H

/* Gives a descriptor that was just opened a number above those of the standard streams, closed on
 * exec. Returns it; -1 with errno set, and the descriptor closed, where that fails. -1 stays. */
int nauha__above_streams(int fd);

#endif
