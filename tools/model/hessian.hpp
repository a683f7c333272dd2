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
    double magnitude = 0;       /* that */
    bool converged = true;
    size_t products = 0; /* with the Hessian */
};

/* Those of the mean loss over the first `samples` of the data, with respect to all parameters of
 * the network, which computes in double precision: by the Lanczos method with full
 * reorthogonalisation on Hessian-vector products, until the residual of each is at most
 * `tolerance` times the largest of all in magnitude and another random direction brings nothing
 * new, or `most` products are done. Throws
 * Failure. */
Eigenvalues hessian_eigenvalues(Network &network, const Data &data, size_t samples,
                                size_t batch_size, const LossFunction &loss, size_t k,
                                double tolerance, size_t most);

} // namespace model
} // namespace nauha
#endif
