/* SPDX-License-Identifier: MIT */
/* The program as one of several processes; see distributed.h. Only this file loads the MPI module.
 *
 * Threads: the main thread.
 */
#include "tools/commands/distributed.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/cli/command.h"
#include "tools/cli/path.h"
#include "tools/mpi/mpi_module.h"

#define MODULE "nauha_mpi.so"

/* The number of processes, which mpirun of Open MPI and MPICH and srun --mpi=pmi2 put into the
 * environment; srun --mpi=pmix does not. */
bool nauha__distributed_started(void) {
    static const char *const counts[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        const char *count = getenv(counts[i]);
        if (count)
            return strtoul(count, NULL, 10) > 1;
    }
    const char *tasks = getenv("SLURM_STEP_NUM_TASKS");
    return getenv("PMIX_RANK") && tasks && strtoul(tasks, NULL, 10) > 1;
}

/* Beside the program in a build tree, in ../lib/nauha when installed. */
static const struct nauha_mpi *load_module(void) {
    char program[PATH_MAX], path[4200];
    nauha__program_directory(program);
    nauha__write_path(path, sizeof path, program, MODULE);
    if (access(path, R_OK) != 0)
        nauha__write_path(path, sizeof path, program, "../lib/nauha/" MODULE);
    /* The plugins of Open MPI look for its symbols. */
    void *module = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    const struct nauha_mpi *mpi = module ? dlsym(module, NAUHA_MPI_SYMBOL) : NULL;
    const char *rank = getenv("OMPI_COMM_WORLD_RANK");
    if (!mpi && (!rank || strcmp(rank, "0") == 0))
        fprintf(stderr,
                "nauha: this process was started by MPI, but cannot join the others: %s\nBuild "
                "nauha with Open MPI (on Debian the package libopenmpi-dev).\n",
                dlerror());
    return mpi;
}

static int fail(const char *what) {
    fprintf(stderr, "nauha: %s\n", what);
    return EXIT_FAILED;
}

/* Keeps messages of this process, and discards its output. */
static int be_quiet(struct distributed *distributed) {
    const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    distributed->said = tmpfile();
    if (nowhere < 0 || !distributed->said)
        return fail("cannot make a temporary file");
    fflush(NULL);
    dup2(nowhere, STDOUT_FILENO);
    dup2(fileno(distributed->said), STDERR_FILENO);
    close(nowhere);
    return EXIT_FINE;
}

int nauha__distributed_begin(struct distributed *distributed) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    const struct nauha_processes *processes = NULL;
    *distributed = (struct distributed){0};
    if (!nauha__distributed_started())
        return EXIT_FINE;
    distributed->mpi = load_module();
    if (!distributed->mpi)
        return EXIT_FAILED;
    if (distributed->mpi->begin(&processes, &err) != NAUHA_OK) {
        nauha__fail(&err);
        return EXIT_FAILED;
    }
    distributed->processes = processes;
    return processes->rank > 0 ? be_quiet(distributed) : EXIT_FINE;
}

int nauha__distributed_agree(struct distributed *distributed, int code) {
    char said[1024] = "";
    const char *text = NULL;
    uint32_t who = 0;
    if (!distributed->processes)
        return code;
    fflush(stderr);
    if (distributed->said && code != EXIT_FINE) {
        const ssize_t length = pread(fileno(distributed->said), said, sizeof said - 1, 0);
        said[length < 0 ? 0 : length] = '\0';
    }
    code = distributed->mpi->agree(code, said, &who, &text);
    /* Process 0 has reported the error. */
    if (strncmp(text, "nauha: ", 7) == 0)
        text += 7;
    if (code != EXIT_FINE && who > 0 && distributed->processes->rank == 0)
        fprintf(stderr, "nauha: process %u of %u: %s%s", who, distributed->processes->count,
                text[0] ? text : "it failed without an error message",
                text[0] && text[strlen(text) - 1] == '\n' ? "" : "\n");
    return code;
}

void nauha__distributed_abort(struct distributed *distributed, int code) {
    if (!distributed->processes)
        return;
    fflush(NULL);
    distributed->mpi->abort(code);
}

void nauha__distributed_end(struct distributed *distributed) {
    if (distributed->processes)
        distributed->mpi->end();
    if (distributed->said)
        fclose(distributed->said);
    *distributed = (struct distributed){0};
}
