/* SPDX-License-Identifier: MIT */
/* File descriptors above those of standard input, output and error.
 *
 * If a program runs with one of the three closed, the next file that is opened gets its number, and
 * the program's own output would go to that file.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_INTERNAL_STREAMS_H
#define NAUHA_INTERNAL_STREAMS_H

/* If fd is one of the three, moves it to a higher number, with close-on-exec, and returns that;
 * else returns fd. On failure it closes fd, sets errno and returns -1. */
int nauha__above_streams(int fd);

#endif
