/* SPDX-License-Identifier: MIT */
/* The interface of the module nauha_mpi.so. The program loads it only if it was started as one of
 * several processes, and finds this table under the symbol NAUHA_MPI_SYMBOL.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_MPI_MPI_MODULE_H
#define NAUHA_TOOLS_MPI_MPI_MODULE_H

#include "nauha/processes.h"

struct nauha_mpi {
    /* Joins the other processes; *processes is borrowed until end. IO, NOMEM; UNAVAILABLE: this MPI
     * does not support threads. */
    enum nauha_status (*begin)(const struct nauha_processes **processes, struct nauha_error *err);
    /* All processes call this, each with its exit code and its error message, and wait for each
     * other. Returns the code of the first process whose code is not 0, else 0. In process 0, *who
     * is then that process, and *text its message, borrowed until the next call. */
    int (*agree)(int code, const char *said, uint32_t *who, const char **text);
    /* All processes call this to leave; they wait for each other. */
    void (*end)(void);
    /* Ends all processes at once with this exit code. */
    void (*abort)(int code);
};

#define NAUHA_MPI_SYMBOL "nauha_mpi"

#endif
