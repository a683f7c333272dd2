/* SPDX-License-Identifier: MIT */
/* The network as a service for analyzers. If a replay has the model, an analyzer gets this service
 * by the name NAUHA_NETWORK_SERVICE (see `service` in nauha/analyzer.h), and can ask for quantities
 * that need the model itself, with the recorded parameters of a step.
 *
 * Threads: one at a time.
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
    uint64_t global_step; /* whose parameters are used; not below that of the request before */
    size_t count;         /* number of eigenvalues, at least 1 */
    double tolerance;     /* of |H v - lambda v| / max |lambda|, for each eigenpair */
    size_t products;      /* the largest number of Hessian-vector products */
    size_t samples;       /* the largest number of samples of the data */
};

struct nauha_network {
    size_t size; /* sizeof(struct nauha_network) in the host */
    void *context;
    /* The largest eigenvalues, in descending order, of the Hessian of the mean loss over the data
     * with respect to all parameters, with the model in evaluation mode. values has room for
     * request->count; *count becomes their number, which is smaller if there are fewer parameters.
     * If request->products do not suffice for the tolerance, it returns what it has and tells the
     * user. INVALID: the trace lacks parameters of the step, or the model cannot be run; IO,
     * DAMAGED, LIMIT. */
    enum nauha_status (*hessian_eigenvalues)(void *context,
                                             const struct nauha_hessian_request *request,
                                             double *values, size_t *count,
                                             struct nauha_error *err);
};

#ifdef __cplusplus
}
#endif
#endif
