/* SPDX-License-Identifier: MIT */
/* A part of nauha/torch.hpp, not for direct use: the modules and parameters that are published. */
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

/* Counts events, such as calls of a module, in a step for each tag. */
class Counter {
  public:
    /* The number, from 0, of the next event in the step `serial`. */
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
    std::string fallback; /* its name if it is not part of the model */
    std::string class_name;
    std::string name;
    std::vector<uint32_t> other_ids; /* the numbers of its other names in the model */
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
    uint64_t seen = 0; /* the last Publisher::collect() that found it */
    Counter calls;
    std::set<std::pair<uint32_t, uint32_t>> aliases;
};

/* Whether a run of a module, the model or the loss is published, and with which tag and call in
 * which step. */
struct Moment {
    bool on = false;
    uint32_t tag = 0;
    uint32_t call = 0;
    uint64_t serial = 0;
};

} // namespace detail
} // namespace nauha
#endif
