/* SPDX-License-Identifier: MIT */
/* Lanczos on Hessian-vector products (Pearlmutter 1994): H v is the gradient of (gradient . v).
 * Golub and Van Loan, Matrix Computations, 4th edition, sections 10.1 and 10.3. */
#include "tools/model/hessian.hpp"

#include <algorithm>
#include <cmath>
#include <random>

#include <ATen/Functions.h>
#include <torch/csrc/autograd/autograd.h>

namespace nauha {
namespace model {

namespace {

using at::Tensor;
using torch::autograd::variable_list;

/* What the basis of the Krylov space may take. */
constexpr double max_basis_bytes = 4.0 * 1024 * 1024 * 1024;

class Hessian {
  public:
    Hessian(Network &network, const Data &data, size_t samples, size_t batch_size,
            const LossFunction &loss)
        : network_(network), data_(data), samples_(samples), batch_size_(batch_size), loss_(loss) {
        for (auto &parameter : network.parameters()) {
            const auto same = [&](const Tensor &other) { return other.is_same(parameter.second); };
            if (std::any_of(parameters_.begin(), parameters_.end(), same))
                continue;
            parameters_.push_back(parameter.second);
            parameters_.back().set_requires_grad(true);
            size_ += parameter.second.numel();
        }
    }

    int64_t size() const {
        return size_;
    }

    Tensor operator*(const Tensor &vector) const {
        Tensor product = at::zeros({size_}, at::kDouble);
        for (size_t first = 0; first < samples_; first += batch_size_) {
            const size_t n = std::min(batch_size_, samples_ - first);
            product.add_(batch_product(vector, first, n),
                         static_cast<double>(n) / static_cast<double>(samples_));
        }
        return product;
    }

  private:
    Tensor batch_product(const Tensor &vector, size_t first, size_t n) const {
        auto [input, labels] = data_.get(first, n);
        if (input.is_floating_point())
            input = input.to(at::kDouble);
        if (labels.is_floating_point())
            labels = labels.to(at::kDouble);
        const Tensor loss = loss_(network_.forward(input, {}), labels);
        const auto gradients = torch::autograd::grad({loss}, parameters_, {}, true, true, true);
        Tensor along = at::zeros({}, at::kDouble);
        int64_t place = 0;
        for (size_t i = 0; i < parameters_.size(); i++) {
            const int64_t length = parameters_[i].numel();
            if (gradients[i].defined())
                along =
                    along + (gradients[i].reshape({-1}) * vector.narrow(0, place, length)).sum();
            place += length;
        }
        /* No gradient depends on any parameter: the loss is linear. */
        if (!along.requires_grad())
            return at::zeros({size_}, at::kDouble);
        return flat(torch::autograd::grad({along}, parameters_, {}, false, false, true));
    }

    Tensor flat(const variable_list &tensors) const {
        std::vector<Tensor> parts;
        for (size_t i = 0; i < tensors.size(); i++)
            parts.push_back(tensors[i].defined()
                                ? tensors[i].detach().reshape({-1})
                                : at::zeros({parameters_[i].numel()}, at::kDouble));
        return at::cat(parts);
    }

    Network &network_;
    const Data &data_;
    size_t samples_, batch_size_;
    const LossFunction &loss_;
    variable_list parameters_;
    int64_t size_ = 0;
};

/* The Krylov space: an orthonormal basis, and the matrix in it, tridiagonal. */
class Lanczos {
  public:
    Lanczos(const Hessian &hessian, size_t most)
        : hessian_(hessian), most_(std::min<size_t>(most, static_cast<size_t>(hessian.size()))),
          basis_(at::empty({static_cast<int64_t>(most_), hessian.size()}, at::kDouble)) {
        next_ = random_direction();
    }

    size_t size() const {
        return diagonal_.size();
    }
    bool is_full() const {
        return size() >= most_;
    }
    /* The space is all there is: the eigenvalues are exact. */
    bool is_whole() const {
        return static_cast<int64_t>(size()) >= hessian_.size();
    }

    void extend() {
        const auto row = static_cast<int64_t>(size());
        basis_.select(0, row).copy_(next_);
        Tensor image = hessian_ * next_;
        diagonal_.push_back(image.dot(next_).item<double>());
        orthogonalise(image, row + 1);
        beta_ = image.norm().item<double>();
        scale_ = std::max({scale_, std::abs(diagonal_.back()), beta_});
        /* An invariant space has been found whole: on with a direction outside of it. */
        if (beta_ <= 1e-12 * scale_ || !std::isfinite(beta_)) {
            beta_ = std::isfinite(beta_) ? 0 : beta_;
            if (!is_full())
                image = random_direction();
        } else {
            image.div_(beta_);
        }
        off_diagonal_.push_back(beta_);
        next_ = image;
    }

    /* The k largest, and the largest residual of those over the largest magnitude of all. */
    Eigenvalues largest(size_t k) const {
        const auto n = static_cast<int64_t>(size());
        Tensor matrix = at::zeros({n, n}, at::kDouble);
        for (int64_t i = 0; i < n; i++) {
            matrix[i][i] = diagonal_[static_cast<size_t>(i)];
            if (i + 1 < n)
                matrix[i + 1][i] = matrix[i][i + 1] = off_diagonal_[static_cast<size_t>(i)];
        }
        Eigenvalues found;
        found.products = size();
        if (!at::isfinite(matrix).all().item<bool>()) {
            found.values.assign(std::min(k, size()), std::nan(""));
            return found;
        }
        const auto [values, vectors] = at::linalg_eigh(matrix);
        const double magnitude = values.abs().max().item<double>();
        for (int64_t i = n - 1; i >= 0 && found.values.size() < k; i--) {
            found.values.push_back(values[i].item<double>());
            const double residual = beta_ * std::abs(vectors[n - 1][i].item<double>());
            found.residual = std::max(found.residual, magnitude > 0 ? residual / magnitude : 0);
        }
        return found;
    }

  private:
    /* Twice is enough (Parlett). */
    void orthogonalise(Tensor &vector, int64_t rows) const {
        const Tensor space = basis_.narrow(0, 0, rows);
        for (int pass = 0; pass < 2; pass++)
            vector.sub_(space.t().mv(space.mv(vector)));
    }

    Tensor random_direction() {
        std::normal_distribution<double> normal;
        Tensor vector = at::empty({hessian_.size()}, at::kDouble);
        double *values = vector.data_ptr<double>();
        for (int64_t i = 0; i < hessian_.size(); i++)
            values[i] = normal(random_);
        if (size() > 0)
            orthogonalise(vector, static_cast<int64_t>(size()));
        return vector.div_(vector.norm());
    }

    const Hessian &hessian_;
    size_t most_;
    Tensor basis_, next_;
    std::vector<double> diagonal_, off_diagonal_;
    double beta_ = 0, scale_ = 0;
    std::mt19937_64 random_{1};
};

} // namespace

Eigenvalues hessian_eigenvalues(Network &network, const Data &data, size_t samples,
                                size_t batch_size, const LossFunction &loss, size_t k,
                                double tolerance, size_t most) {
    const Hessian hessian(network, data, samples, batch_size, loss);
    if (hessian.size() == 0)
        throw Failure(NAUHA_INVALID, "the model has no parameters");
    most = std::max(most, k);
    const double bytes = 8.0 * static_cast<double>(hessian.size());
    const auto fitting = static_cast<size_t>(max_basis_bytes / bytes);
    most = std::min(most, fitting);
    if (fitting < std::min<size_t>(2 * k, static_cast<size_t>(hessian.size())))
        throw Failure(NAUHA_LIMIT, "the model has " + std::to_string(hessian.size()) +
                                       " parameters: " + std::to_string(k) +
                                       " eigenvalues would take more than 4 GiB of memory");
    Lanczos lanczos(hessian, most);
    Eigenvalues found;
    do {
        lanczos.extend();
        found = lanczos.largest(k);
        found.converged =
            lanczos.is_whole() || (lanczos.size() > k && !(found.residual > tolerance));
    } while (!found.converged && !lanczos.is_full());
    return found;
}

} // namespace model
} // namespace nauha
