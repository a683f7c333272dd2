/* SPDX-License-Identifier: MIT */
/* Handling a crash while traces are read. HDF5 crashes on some files that were made to harm it, in
 * spite of checksums. The program then says which trace it was reading and ends with an exit code,
 * as for any other file that it cannot read.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_COMMANDS_CRASH_H
#define NAUHA_TOOLS_COMMANDS_CRASH_H

/* To be called before a trace is read: a crash from now on is reported with this path. */
void nauha__crash_watch(const char *path);

#endif
