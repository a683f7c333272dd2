/* SPDX-License-Identifier: MIT */
/* A network whose parameters can be replaced, and whose modules report what they compute. */
#ifndef NAUHA_TOOLS_MODEL_NETWORK_HPP
#define NAUHA_TOOLS_MODEL_NETWORK_HPP

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ATen.h>

#include "tools/train/datasets.hpp"

namespace nauha {
namespace model {

using train::Failure;

/* Called when a module has run: with its name and class as in a trace, which of its outputs this
 * is, and the output. */
using Observer = std::function<void(const std::string &module, const std::string &class_name,
                                    const std::string &slot, const at::Tensor &output)>;

using Named = std::vector<std::pair<std::string, at::Tensor>>;

class Network {
  public:
    virtual ~Network() = default;
    /* The network is in evaluation mode. Names are those of state_dict. */
    virtual Named parameters() = 0;
    virtual Named buffers() = 0;
    /* Runs the network. Returns its output, or the first element if that is a tuple. The observer
     * may be empty. */
    virtual at::Tensor forward(const at::Tensor &input, const Observer &observer) = 0;
};

/* Makes a model of `nauha train`. Throws Failure. */
std::unique_ptr<Network> make_builtin(nauha_train_model model, int64_t channels, int64_t size,
                                      int64_t classes, at::ScalarType type);
/* Loads a TorchScript file. Throws Failure, naming it. */
std::unique_ptr<Network> load_script(const std::string &path, at::ScalarType type);

} // namespace model
} // namespace nauha
#endif
