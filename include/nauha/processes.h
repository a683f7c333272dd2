/* SPDX-License-Identifier: MIT */
/* Communication between the processes of one replay, on one or several machines: the functions that
 * nauha needs from MPI or another library.
 *
 * Threads: the thread that replays.
 */
#ifndef NAUHA_PROCESSES_H
#define NAUHA_PROCESSES_H

#include <stddef.h>
#include <stdint.h>

#include "nauha/status.h"

#ifdef __cplusplus
extern "C" {
#endif

struct nauha_processes {
    uint32_t rank, count; /* the number of this process, and of all */
    void *context;
    /* Sends bytes, which are copied, from another process to process 0; a send of 0 bytes ends the
     * replay. It waits while process 0 has many bytes of this process to receive. IO. */
    enum nauha_status (*send)(void *context, const void *bytes, size_t size,
                              struct nauha_error *err);
    /* In process 0: waits for the bytes of the next send of process `from`. They are borrowed until
     * the next call for the same process. IO, NOMEM. */
    enum nauha_status (*receive)(void *context, uint32_t from, const unsigned char **bytes,
                                 size_t *size, struct nauha_error *err);
};

#ifdef __cplusplus
}
#endif
#endif
