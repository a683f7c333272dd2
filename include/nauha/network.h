/* SPDX-License-Identifier: MIT */
/* The network as a service to analyzers: where a replay has the model, an analyzer finds this under
 * the name NAUHA_NETWORK_SERVICE (see `service` in nauha/analyzer.h) and can ask for what follows
 * from recorded parameters and the model's code, but not from messages.
 *
 * Threads: as analyzers, one at a time.
 */
#ifndef NAUHA_NETWORK_H
#define NAUHA_NETWORK_H

#include <stddef.h>
#include <stdint.h>

#include "nauha/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NAUHA_NETWORK_SERVICE "network"

struct nauha_hessian_request {
    uint64_t global_step; /* whose parameters: not before those of the request before */
    size_t count;         /* eigenvalues asked for, at least 1 */
    double tolerance;     /* |H v - lambda v| of each, over the largest |lambda| */
    size_t products;      /* with the Hessian, at most */
    size_t samples;       /* of the data, at most */
};

struct nauha_network {
    size_t size; /* sizeof(struct nauha_network) of who offers it */
    void *context;
    /* The largest eigenvalues of the Hessian of the mean loss over the data, with respect to all
     * parameters of the model in evaluation mode, largest first: *count of them, as many as asked
     * for unless there are fewer parameters. INVALID: the trace lacks parameters of the step, or
     * the model cannot be run; IO, DAMAGED, LIMIT. */
    enum nauha_status (*hessian_eigenvalues)(void *context,
                                             const struct nauha_hessian_request *request,
                                             double *values, size_t *count,
                                             struct nauha_error *err);
};

#ifdef __cplusplus
}
#endif
#endif
