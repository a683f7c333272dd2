/* SPDX-License-Identifier: MIT */
/* MPI: what the program asks of the module nauha_mpi.so, which it loads only where it was started
 * as one of several processes (NAUHA_MPI_SYMBOL).
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_MPI_MPI_MODULE_H
#define NAUHA_TOOLS_MPI_MPI_MODULE_H

#include "nauha/processes.h"

struct nauha_mpi {
    /* Joins the others; *processes is borrowed until the end. IO. */
    enum nauha_status (*begin)(const struct nauha_processes **processes, struct nauha_error *err);
    /* All meet here, each with an exit code and what it has to say to it. Returns the first code
     * that is not 0; in process 0, *who is the process it is of, and *text what that had to say,
     * borrowed until the next call. */
    int (*agree)(int code, const char *said, uint32_t *who, const char **text);
    /* All leave. */
    void (*end)(void);
    /* Ends all processes at once, with this exit code. */
    void (*abort)(int code);
};

#define NAUHA_MPI_SYMBOL "nauha_mpi"

#endif
