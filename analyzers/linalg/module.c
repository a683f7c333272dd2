/* SPDX-License-Identifier: MIT */
/* The table of functions in nauha_linalg.so that metrics look up; see linalg.h. */
#include "analyzers/linalg/blas.h"

/* What OpenBLAS asks for when it is loaded, instead of the environment (the linker's --wrap): as
 * many threads as it may make. Parallel are the replay's workers; one more thread each would only
 * make results depend on the number of processors. */
int __wrap_openblas_num_threads_env(void);

int __wrap_openblas_num_threads_env(void) {
    return 1;
}

/* OpenBLAS without threads hands one scratch buffer to all callers: two at a time get wrong
 * results. Known by name only, since its header is not that of every build. */
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
