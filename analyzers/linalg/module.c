/* SPDX-License-Identifier: MIT */
/* nauha_linalg.so: the table that metrics look up in it. */
#include "analyzers/linalg/blas.h"

/* Declared here only: the metrics look it up by name. */
extern NAUHA_API const struct linalg nauha_linalg;

const struct linalg nauha_linalg = {
    .abi = LINALG_ABI,
    .size = sizeof(struct linalg),
    .singular_values = linalg_singular_values,
    .largest = linalg_largest,
    .extremes = linalg_extremes,
    .basis = linalg_basis,
    .cross = linalg_cross,
    .gram = linalg_gram,
};
