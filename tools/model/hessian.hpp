/* SPDX-License-Identifier: MIT */
/* The largest eigenvalues of the Hessian of a network's loss. */
#ifndef NAUHA_TOOLS_MODEL_HESSIAN_HPP
#define NAUHA_TOOLS_MODEL_HESSIAN_HPP

#include <functional>

#include "tools/model/data.hpp"
#include "tools/model/network.hpp"

namespace nauha {
namespace model {

using LossFunction = std::function<at::Tensor(const at::Tensor &output, const at::Tensor &labels)>;

struct Eigenvalues {
    std::vector<double> values; /* the largest first; fewer than asked for only where the network
                                   has fewer parameters */
    double residual = 0;        /* largest |H v - lambda v| of them, over the largest |lambda| */
    double magnitude = 0;       /* the largest |lambda| */
    bool converged = true;
    size_t products = 0; /* with the Hessian */
};

/* The k largest eigenvalues of the Hessian of the mean loss over the first `samples` samples of the
 * data, with respect to all parameters of the network, which computes in double precision. Uses the
 * Lanczos method with full reorthogonalisation on Hessian-vector products, until the residual of
 * each eigenvalue is at most `tolerance` times the largest magnitude of all and another random
 * direction finds nothing new, or until `most` products have been computed. Throws Failure. */
Eigenvalues hessian_eigenvalues(Network &network, const Data &data, size_t samples,
                                size_t batch_size, const LossFunction &loss, size_t k,
                                double tolerance, size_t most);

} // namespace model
} // namespace nauha
#endif
