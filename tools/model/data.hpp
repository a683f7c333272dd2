/* SPDX-License-Identifier: MIT */
/* The data that a network is run on: a dataset of `nauha train`, or NumPy files. */
#ifndef NAUHA_TOOLS_MODEL_DATA_HPP
#define NAUHA_TOOLS_MODEL_DATA_HPP

#include <memory>
#include <string>
#include <utility>

#include <ATen/ATen.h>

#include "tools/train/batches.hpp"
#include "tools/train/datasets.hpp"

namespace nauha {
namespace model {

class Data {
  public:
    virtual ~Data() = default;
    virtual size_t count() const = 0;
    /* Samples [first, first + n) as the network takes them, and their labels, which may be
     * undefined. */
    virtual std::pair<at::Tensor, at::Tensor> get(size_t first, size_t n) const = 0;
};

/* Loads inputs.npy, and labels.npy if there is one, from a directory. Both have the same length and
 * are little-endian and in C order. The files are untrusted. Throws Failure, naming the file: IO,
 * FORMAT. */
std::unique_ptr<Data> load_numpy(const std::string &directory);
/* Whether there is an inputs.npy in a directory. */
bool has_numpy(const std::string &directory);

/* A part of a dataset, in its own order and normalised as in the training. */
class Dataset : public Data {
  public:
    Dataset(nauha_train_dataset dataset, const std::string &directory, train::Part part)
        : dataset_(dataset), batches_(dataset, directory, part) {
    }
    size_t count() const override {
        return batches_.count();
    }
    std::pair<at::Tensor, at::Tensor> get(size_t first, size_t n) const override {
        return batches_.get(first, n);
    }
    const train::Images &images() const {
        return batches_.images();
    }

    size_t classes() const {
        return train::dataset_info(dataset_).classes;
    }

  private:
    nauha_train_dataset dataset_;
    train::Batches batches_;
};

} // namespace model
} // namespace nauha
#endif
