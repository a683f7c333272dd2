/* SPDX-License-Identifier: MIT */
/* Behind nauha/torch.hpp: what is known of the modules and parameters that are published. Not for
 * direct use.
 */
#ifndef NAUHA_TORCH_RECORDS_HPP
#define NAUHA_TORCH_RECORDS_HPP

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include "nauha/names.h"

namespace nauha {
namespace detail {

/* How often something happened in the open step, by tag. */
class Counter {
  public:
    uint32_t next(uint64_t serial, uint32_t tag) {
        if (serial != serial_)
            counts_.clear();
        serial_ = serial;
        return counts_[tag]++;
    }

  private:
    uint64_t serial_ = 0;
    std::map<uint32_t, uint32_t> counts_;
};

/* A module that is published. */
struct Record {
    std::weak_ptr<torch::nn::Module> module;
    const torch::nn::Module *address = nullptr;
    std::string fallback; /* its name where it is not part of the model */
    std::string class_name;
    std::string name;
    std::vector<uint32_t> other_ids; /* the same module under its further names */
    uint32_t id = NAUHA_NONE;
    bool named = false;
    Counter calls;
};

struct Parameter {
    torch::Tensor tensor;
    uint32_t module = NAUHA_NONE;
    uint32_t slot = 0;
    bool bias = false;
    bool hooked = false;
    unsigned hook = 0;
    uint64_t seen = 0; /* the walk that saw it last */
    Counter calls;
    std::set<std::pair<uint32_t, uint32_t>> aliases;
};

/* Whether and how one run of something is published. */
struct Moment {
    bool on = false;
    uint32_t tag = 0;
    uint32_t call = 0;
    uint64_t serial = 0;
};

} // namespace detail
} // namespace nauha
#endif
