/* SPDX-License-Identifier: MIT */
/* The parameters and buffers of a step: reading them from a trace and putting them into a network.
 */
#ifndef NAUHA_TOOLS_MODEL_STATE_HPP
#define NAUHA_TOOLS_MODEL_STATE_HPP

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "nauha/trace.h"
#include "tools/model/network.hpp"

namespace nauha {
namespace model {

/* Walks over a trace once, so steps must be read in ascending order. */
class State {
  public:
    /* The trace, and the names that it was opened with, are borrowed. Throws Failure. */
    State(nauha_trace *trace, const nauha_names *names);

    /* Reads the values of a step. Throws Failure if one is damaged. */
    void read(uint64_t step);

    /* Copies the values into the network. Throws Failure, naming what the trace lacks or what does
     * not fit. */
    void put(Network &network) const;

  private:
    struct CursorFree {
        void operator()(nauha_cursor *cursor) const {
            nauha_cursor_free(cursor);
        }
    };

    void keep(nauha_message *message);
    void put(const Named &named, const char *what) const;
    [[noreturn]] void fail_lacking(const std::string &name, const char *what) const;

    nauha_trace *trace_;
    const nauha_names *names_;
    std::unique_ptr<nauha_cursor, CursorFree> cursor_;
    nauha_message *next_ = nullptr; /* of a later step; the cursor's */
    uint64_t step_ = 0;
    std::map<std::string, at::Tensor> values_;
};

/* Copies a tensor to libtorch, and finds the element type of one. Both throw Failure for types that
 * the other side does not have. */
at::Tensor copy_of(const nauha_tensor &tensor);
nauha_dtype dtype_of(const at::Tensor &tensor);

} // namespace model
} // namespace nauha
#endif
