/* SPDX-License-Identifier: MIT */
/* What becomes of a crash while traces are read. HDF5 does not survive every file that was made to
 * harm it, checksums and all: the program then says which trace it read and ends with an exit code,
 * as for any other file that it cannot read.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_COMMANDS_CRASH_H
#define NAUHA_TOOLS_COMMANDS_CRASH_H

/* A trace is about to be read, and may be until the program ends. */
void nauha__crash_watch(const char *path);

#endif
