/* SPDX-License-Identifier: MIT */
/* nauha on several processes through MPI; see mpi_module.h. Nothing else uses MPI.
 *
 * Threads: the main thread.
 */
#include "tools/mpi/mpi_module.h"

#include <mpi.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "nauha/array.h"

#define TAG 1
#define SAID_BYTES 2048

/* The message of one process. */
struct inbox {
    unsigned char *bytes;
    size_t capacity;
};

/* A program has one MPI, so these are global. */
struct world {
    struct nauha_processes processes;
    struct inbox *inboxes;
    char *said; /* of all processes, SAID_BYTES for each */
};
static struct world world;

static enum nauha_status failed(int code, const char *doing, struct nauha_error *err) {
    char text[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    MPI_Error_string(code, text, &length);
    return nauha_error_set(err, NAUHA_IO, "cannot %s: %s", doing, text);
}

static enum nauha_status send(void *context, const void *bytes, size_t size,
                              struct nauha_error *err) {
    (void)context;
    if (size > INT32_MAX)
        return nauha_error_set(err, NAUHA_LIMIT, "cannot send %zu bytes at once", size);
    const int code = MPI_Send(bytes, (int)size, MPI_BYTE, 0, TAG, MPI_COMM_WORLD);
    return code == MPI_SUCCESS ? NAUHA_OK : failed(code, "send to process 0", err);
}

/* MPI waits in a busy loop. These functions leave the processor to workers while they wait. */

static void pause_longer(long *pause_ns) {
    const struct timespec pause = {.tv_nsec = *pause_ns};
    nanosleep(&pause, NULL);
    if (*pause_ns < 500000)
        *pause_ns *= 2;
}

static int wait_for(int from, MPI_Status *status) {
    long pause_ns = 1000;
    int there = 0, code;
    while ((code = MPI_Iprobe(from, TAG, MPI_COMM_WORLD, &there, status)) == MPI_SUCCESS && !there)
        pause_longer(&pause_ns);
    return code;
}

static void wait_for_all(void) {
    long pause_ns = 1000;
    int there = 0;
    MPI_Request request;
    MPI_Ibarrier(MPI_COMM_WORLD, &request);
    while (MPI_Test(&request, &there, MPI_STATUS_IGNORE) == MPI_SUCCESS && !there)
        pause_longer(&pause_ns);
}

static enum nauha_status receive(void *context, uint32_t from, const unsigned char **bytes,
                                 size_t *size, struct nauha_error *err) {
    (void)context;
    struct inbox *inbox = &world.inboxes[from];
    MPI_Status status;
    int count = 0;
    int code = wait_for((int)from, &status);
    if (code == MPI_SUCCESS)
        code = MPI_Get_count(&status, MPI_BYTE, &count);
    if (code != MPI_SUCCESS)
        return failed(code, "receive from another process", err);
    if (!NAUHA_GROW(inbox->bytes, inbox->capacity, (size_t)count))
        return nauha_error_nomem(err);
    code =
        MPI_Recv(inbox->bytes, count, MPI_BYTE, (int)from, TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    if (code != MPI_SUCCESS)
        return failed(code, "receive from another process", err);
    *bytes = inbox->bytes;
    *size = (size_t)count;
    return NAUHA_OK;
}

static enum nauha_status begin(const struct nauha_processes **processes, struct nauha_error *err) {
    int provided = 0, rank = 0, count = 1;
    int code = MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided);
    if (code != MPI_SUCCESS)
        return failed(code, "start MPI", err);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &count);
    world.inboxes = calloc((size_t)count, sizeof *world.inboxes);
    world.said = calloc((size_t)count, SAID_BYTES);
    if (!world.inboxes || !world.said)
        return nauha_error_set(err, NAUHA_NOMEM, "no memory for %d processes", count);
    if (provided < MPI_THREAD_FUNNELED)
        return nauha_error_set(err, NAUHA_UNAVAILABLE, "this MPI cannot be used beside threads");
    world.processes = (struct nauha_processes){
        .rank = (uint32_t)rank, .count = (uint32_t)count, .send = send, .receive = receive};
    *processes = &world.processes;
    return NAUHA_OK;
}

/* The first bytes of every message are the code. */
static int agree(int code, const char *said, uint32_t *who, const char **text) {
    char mine[SAID_BYTES] = "";
    int verdict[2] = {0, 0};
    memcpy(mine, &code, sizeof code);
    strncpy(mine + sizeof code, said, sizeof mine - sizeof code - 1);
    wait_for_all();
    MPI_Gather(mine, SAID_BYTES, MPI_BYTE, world.said, SAID_BYTES, MPI_BYTE, 0, MPI_COMM_WORLD);
    for (uint32_t i = 0; world.processes.rank == 0 && i < world.processes.count; i++) {
        memcpy(&code, world.said + (size_t)i * SAID_BYTES, sizeof code);
        if (code == 0)
            continue;
        verdict[0] = code;
        verdict[1] = (int)i;
        break;
    }
    MPI_Bcast(verdict, 2, MPI_INT, 0, MPI_COMM_WORLD);
    *who = (uint32_t)verdict[1];
    *text = world.said + (size_t)verdict[1] * SAID_BYTES + sizeof code;
    return verdict[0];
}

static void end(void) {
    wait_for_all();
    MPI_Finalize();
    for (uint32_t i = 0; i < world.processes.count; i++)
        free(world.inboxes[i].bytes);
    free(world.inboxes);
    free(world.said);
}

static void stop(int code) {
    MPI_Abort(MPI_COMM_WORLD, code);
}

NAUHA_API const struct nauha_mpi nauha_mpi;
const struct nauha_mpi nauha_mpi = {.begin = begin, .agree = agree, .end = end, .abort = stop};
