/* SPDX-License-Identifier: MIT */
/* The table of functions in nauha_linalg.so that metrics look up; see linalg.h. */
#include "analyzers/linalg/blas.h"

/* OpenBLAS calls this when it is loaded (the linker's --wrap), in place of a function that reads
 * the environment, to ask for the largest number of threads. It is 1, because the workers of the
 * replay run in parallel already, and more threads would make results depend on the number of
 * processors. */
int __wrap_openblas_num_threads_env(void);

int __wrap_openblas_num_threads_env(void) {
    return 1;
}

/* Returns 0 for an OpenBLAS that was built without threads. Such a one uses one scratch buffer for
 * all callers, so two calls at a time give wrong results. Declared here, because not every OpenBLAS
 * installs a header that declares it. */
int openblas_get_parallel(void);

static const char *unusable(void) {
    return openblas_get_parallel() == 0 ? "its OpenBLAS was built without threads, and is not safe "
                                          "to call from several"
                                        : NULL;
}

/* Declared here only: the metrics look it up by name. */
extern NAUHA_API const struct linalg nauha_linalg;

const struct linalg nauha_linalg = {
    .abi = LINALG_ABI,
    .size = sizeof(struct linalg),
    .unusable = unusable,
    .singular_values = linalg_singular_values,
    .largest = linalg_largest,
    .extremes = linalg_extremes,
    .basis = linalg_basis,
    .cross = linalg_cross,
    .gram = linalg_gram,
};
