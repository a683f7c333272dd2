/* SPDX-License-Identifier: MIT */
/* A part of a dataset in memory, and batches of it as networks take them. */
#ifndef NAUHA_TOOLS_TRAIN_BATCHES_HPP
#define NAUHA_TOOLS_TRAIN_BATCHES_HPP

#include <string>
#include <utility>
#include <vector>

#include <ATen/ATen.h>

#include "tools/train/datasets.hpp"

namespace nauha {
namespace train {

class Batches {
  public:
    /* Throws Failure, as load_images does. */
    Batches(nauha_train_dataset dataset, const std::string &directory, Part part)
        : images_(load_images(dataset, directory, part)) {
        const DatasetInfo &info = dataset_info(dataset);
        const auto count = static_cast<int64_t>(images_.count);
        const auto channels = static_cast<int64_t>(images_.channels);
        pixels_ = at::from_blob(images_.pixels.data(),
                                {count, channels, static_cast<int64_t>(images_.height),
                                 static_cast<int64_t>(images_.width)},
                                at::kByte);
        labels_ = at::from_blob(images_.labels.data(), {count}, at::kByte).to(at::kLong);
        mean_ = per_channel(info.mean);
        deviation_ = per_channel(info.deviation);
    }
    Batches(const Batches &) = delete;
    Batches &operator=(const Batches &) = delete;

    size_t count() const {
        return images_.count;
    }
    const Images &images() const {
        return images_;
    }

    /* The images at order[first, first + n), scaled to 0..1 and normalised, and their labels. */
    std::pair<at::Tensor, at::Tensor> get(const std::vector<int64_t> &order, size_t first,
                                          size_t n) const {
        const at::Tensor index = at::from_blob(const_cast<int64_t *>(order.data() + first),
                                               {static_cast<int64_t>(n)}, at::kLong);
        return {normalised(pixels_.index_select(0, index)), labels_.index_select(0, index)};
    }
    /* The images at [first, first + n) of the file, and their labels. */
    std::pair<at::Tensor, at::Tensor> get(size_t first, size_t n) const {
        const auto from = static_cast<int64_t>(first), length = static_cast<int64_t>(n);
        return {normalised(pixels_.narrow(0, from, length)), labels_.narrow(0, from, length)};
    }

  private:
    static at::Tensor per_channel(const std::vector<float> &values) {
        return at::from_blob(const_cast<float *>(values.data()),
                             {1, static_cast<int64_t>(values.size()), 1, 1}, at::kFloat)
            .clone();
    }

    at::Tensor normalised(const at::Tensor &pixels) const {
        return pixels.to(at::kFloat).div_(255).sub_(mean_).div_(deviation_);
    }

    Images images_;
    at::Tensor pixels_, labels_, mean_, deviation_;
};

} // namespace train
} // namespace nauha
#endif
