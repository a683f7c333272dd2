/* SPDX-License-Identifier: MIT */
/* A network whose parameters can be replaced and whose modules are seen to run. */
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

/* A module has run: its name and class as a trace has them, which of its outputs, the output. */
using Observer = std::function<void(const std::string &module, const std::string &class_name,
                                    const std::string &slot, const at::Tensor &output)>;

using Named = std::vector<std::pair<std::string, at::Tensor>>;

class Network {
  public:
    virtual ~Network() = default;
    /* Names as in state_dict; in evaluation mode. */
    virtual Named parameters() = 0;
    virtual Named buffers() = 0;
    /* Its output; where that is a tuple, the first of it. The observer may be empty. */
    virtual at::Tensor forward(const at::Tensor &input, const Observer &observer) = 0;
};

/* A model of `nauha train`. Throws Failure. */
std::unique_ptr<Network> make_builtin(nauha_train_model model, int64_t channels, int64_t size,
                                      int64_t classes, at::ScalarType type);
/* A TorchScript file. Throws Failure, naming it. */
std::unique_ptr<Network> load_script(const std::string &path, at::ScalarType type);

} // namespace model
} // namespace nauha
#endif
