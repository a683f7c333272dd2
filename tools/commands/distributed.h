/* SPDX-License-Identifier: MIT */
/* The program as one of several processes that mpirun or srun has started. Only process 0 writes
 * output. Error messages of the others are kept; if another process fails, process 0 prints its
 * message.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_COMMANDS_DISTRIBUTED_H
#define NAUHA_TOOLS_COMMANDS_DISTRIBUTED_H

#include <stdbool.h>
#include <stdio.h>

#include "nauha/processes.h"

struct nauha_mpi;

struct distributed {
    const struct nauha_processes *processes; /* NULL: this process is the only one */
    const struct nauha_mpi *mpi;
    FILE *said; /* kept standard error of a process other than 0; else NULL */
};

/* Whether this process was started as one of several. */
bool nauha__distributed_started(void);

/* Joins the other processes, if there are any. Prints errors and returns an exit code. */
int nauha__distributed_begin(struct distributed *distributed);

/* All processes call this, each with its exit code, and wait for each other. Returns the same exit
 * code in all of them. */
int nauha__distributed_agree(struct distributed *distributed, int code);

/* Ends all processes with this exit code, without waiting for them. Returns only if there are no
 * others. */
void nauha__distributed_abort(struct distributed *distributed, int code);

/* All processes call this to leave. */
void nauha__distributed_end(struct distributed *distributed);

#endif
