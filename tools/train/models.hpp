/* SPDX-License-Identifier: MIT */
/* The networks of the built-in training: small ones for images of 28x28 and 32x32 pixels. They
 * consist of Sequentials, so that an Exporter sees every module run. */
#ifndef NAUHA_TOOLS_TRAIN_MODELS_HPP
#define NAUHA_TOOLS_TRAIN_MODELS_HPP

#include <torch/torch.h>

#include "tools/train/train.h"

namespace nauha {
namespace train {

/* All models consist of features and a classifier of the flattened features. */
class Network : public torch::nn::Module {
  public:
    /* input: [batch, channels, size, size]; output: [batch, classes], before any softmax. */
    virtual torch::Tensor forward(torch::Tensor input);

  protected:
    void build(torch::nn::Sequential features, torch::nn::Sequential classifier);

    torch::nn::Sequential features_{nullptr};
    torch::nn::Sequential classifier_{nullptr};
};

/* A model for square images of size x size; size at least 28. */
std::shared_ptr<Network> make_model(nauha_train_model model, int64_t channels, int64_t size,
                                    int64_t classes);

} // namespace train
} // namespace nauha
#endif
