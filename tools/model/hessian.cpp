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

/* The largest amount of memory for the basis of the Krylov space. */
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
        /* No gradient depends on any parameter, so the loss is linear. */
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

/* Krylov spaces from random directions: an orthonormal basis, and the matrix in this basis. A
 * single direction finds only one eigenvector of each eigenvalue, and none to which it is almost
 * orthogonal. */
class Lanczos {
  public:
    Lanczos(const Hessian &hessian, size_t most)
        : hessian_(hessian), most_(std::min<size_t>(most, static_cast<size_t>(hessian.size()))),
          basis_(at::empty({static_cast<int64_t>(most_), hessian.size()}, at::kDouble)) {
        next_ = random_direction();
    }

    size_t size() const {
        return columns_.size();
    }
    bool is_full() const {
        return size() >= most_;
    }
    /* Whether the space is that of all parameters, so that the eigenvalues are exact. */
    bool is_whole() const {
        return static_cast<int64_t>(size()) >= hessian_.size();
    }
    /* Number of products since the latest random direction. */
    size_t since_branch() const {
        return size() - branch_;
    }

    void extend() {
        const auto row = static_cast<int64_t>(size());
        basis_.select(0, row).copy_(next_);
        for (auto &end : ends_)
            end.image.sub_(next_, end.image.dot(next_).item());
        Tensor image = hessian_ * next_;
        columns_.push_back(orthogonalise(image, row + 1));
        const double beta = image.norm().item<double>();
        scale_ = std::max({scale_, columns_.back().abs().max().item<double>(), beta});
        latest_ = {row, image};
        /* The space is invariant: continue with a direction outside of it. */
        if (beta <= 1e-12 * scale_) {
            latest_.image.zero_();
            next_ = is_full() ? Tensor() : random_direction();
        } else {
            next_ = image / beta;
        }
    }

    /* Continues with another random direction, outside of the space. */
    void branch() {
        ends_.push_back(latest_);
        latest_ = {};
        branch_ = size();
        next_ = random_direction();
    }

    /* The k largest eigenvalues, and their largest residual, relative to the largest magnitude of
     * all. */
    Eigenvalues largest(size_t k) const {
        const auto n = static_cast<int64_t>(size());
        Tensor matrix = at::zeros({n, n}, at::kDouble);
        for (int64_t i = 0; i < n; i++)
            matrix.select(1, i).narrow(0, 0, i + 1).copy_(columns_[static_cast<size_t>(i)]);
        Eigenvalues found;
        found.products = size();
        if (!at::isfinite(matrix).all().item<bool>()) {
            found.values.assign(std::min(k, size()), std::nan(""));
            return found;
        }
        const auto [values, vectors] = at::linalg_eigh(matrix, "U");
        found.magnitude = values.abs().max().item<double>();
        for (int64_t i = n - 1; i >= 0 && found.values.size() < k; i--) {
            found.values.push_back(values[i].item<double>());
            const double residual = residual_of(vectors.select(1, i));
            found.residual =
                std::max(found.residual, found.magnitude > 0 ? residual / found.magnitude : 0);
        }
        return found;
    }

  private:
    /* The part of a basis vector's image that lies outside of the space. */
    struct End {
        int64_t row = 0;
        Tensor image;
    };

    double residual_of(const Tensor &vector) const {
        Tensor outside = at::zeros({hessian_.size()}, at::kDouble);
        for (const auto &end : ends_)
            outside.add_(end.image, vector[end.row].item());
        if (latest_.image.defined())
            outside.add_(latest_.image, vector[latest_.row].item());
        return outside.norm().item<double>();
    }

    /* Makes the vector orthogonal to the first rows of the basis; two passes are enough (Parlett).
     * Returns the coefficients of the part that was removed. */
    Tensor orthogonalise(Tensor &vector, int64_t rows) const {
        const Tensor space = basis_.narrow(0, 0, rows);
        Tensor taken = at::zeros({rows}, at::kDouble);
        for (int pass = 0; pass < 2; pass++) {
            const Tensor part = space.mv(vector);
            vector.sub_(space.t().mv(part));
            taken.add_(part);
        }
        return taken;
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
    std::vector<Tensor> columns_; /* of the matrix, from the first row to the diagonal */
    End latest_;
    std::vector<End> ends_; /* for each earlier direction, at its last basis vector */
    size_t branch_ = 0;
    double scale_ = 0;
    std::mt19937_64 random_{1};
};

bool agree(const Eigenvalues &a, const Eigenvalues &b, double tolerance) {
    for (size_t i = 0; i < a.values.size(); i++) {
        if (i >= b.values.size() || std::abs(a.values[i] - b.values[i]) > tolerance * b.magnitude)
            return false;
    }
    return true;
}

/* The first direction may miss an eigenvalue, which residuals do not show. So further directions
 * follow, each with as many products, until one finds nothing new. */
Eigenvalues search(Lanczos &lanczos, size_t k, double tolerance) {
    Eigenvalues found, before;
    size_t length = 0;
    for (;;) {
        lanczos.extend();
        found = lanczos.largest(k);
        const bool settled = lanczos.size() > k && !(found.residual > tolerance);
        const bool searched = length > 0 && lanczos.since_branch() >= length;
        found.converged = lanczos.is_whole() || std::isnan(found.values[0]) ||
                          (settled && searched && agree(before, found, tolerance));
        if (found.converged || lanczos.is_full())
            return found;
        if (settled && (length == 0 || searched)) {
            length = length == 0 ? lanczos.size() : length;
            before = found;
            lanczos.branch();
        }
    }
}

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
    return search(lanczos, k, tolerance);
}

} // namespace model
} // namespace nauha
