/* SPDX-License-Identifier: MIT */
/* The processes of one replay, on one machine or on many: what nauha needs of MPI, or of whatever
 * else joins them.
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
    uint32_t rank, count; /* this one, and how many there are */
    void *context;
    /* From any other process to process 0: so many bytes, copied; 0 bytes end a replay. Waits while
     * much has not been received yet. IO. */
    enum nauha_status (*send)(void *context, const void *bytes, size_t size,
                              struct nauha_error *err);
    /* In process 0: what process `from` sent next, one send at a time; waits for it. Borrowed until
     * the next call for the same process. IO, NOMEM. */
    enum nauha_status (*receive)(void *context, uint32_t from, const unsigned char **bytes,
                                 size_t *size, struct nauha_error *err);
};

#ifdef __cplusplus
}
#endif
#endif
