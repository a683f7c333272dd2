/* SPDX-License-Identifier: MIT */
/* The program as one of several processes that mpirun or srun started. Process 0 writes and speaks;
 * what another has to say is kept, and said by process 0 where it ends all of them.
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
    FILE *said; /* standard error of a process other than 0 */
};

/* Whether this process was started as one of several. */
bool nauha__distributed_started(void);

/* Joins the others, if there are any. Returns an exit code, having said what went wrong. */
int nauha__distributed_begin(struct distributed *distributed);

/* All processes meet here, each with its exit code; they go on with the same one. */
int nauha__distributed_agree(struct distributed *distributed, int code);

/* Ends all processes with that code, without meeting them; returns only where there are no others.
 */
void nauha__distributed_abort(struct distributed *distributed, int code);

/* All leave. */
void nauha__distributed_end(struct distributed *distributed);

#endif
