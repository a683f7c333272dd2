/* SPDX-License-Identifier: MIT */
/* Reading parameters from a trace: the values are those that the forward pass of the step used. */
#include "tools/model/state.hpp"

#include <set>

#include <ATen/core/grad_mode.h>

namespace nauha {
namespace model {

namespace {

const std::pair<nauha_dtype, at::ScalarType> types[] = {
    {NAUHA_DTYPE_F32, at::kFloat},     {NAUHA_DTYPE_F64, at::kDouble}, {NAUHA_DTYPE_F16, at::kHalf},
    {NAUHA_DTYPE_BF16, at::kBFloat16}, {NAUHA_DTYPE_U8, at::kByte},    {NAUHA_DTYPE_I8, at::kChar},
    {NAUHA_DTYPE_I16, at::kShort},     {NAUHA_DTYPE_I32, at::kInt},    {NAUHA_DTYPE_I64, at::kLong},
    {NAUHA_DTYPE_BOOL, at::kBool}};

std::string shape_text(const at::Tensor &tensor) {
    std::string text;
    for (const int64_t size : tensor.sizes())
        text += (text.empty() ? "" : ", ") + std::to_string(size);
    return "[" + text + "]";
}

/* Lists the first few, quoted. */
template <class Names> std::string list_of(const Names &names) {
    std::string text;
    size_t listed = 0;
    for (const auto &name : names) {
        if (listed == 4)
            return text + ", ... (" + std::to_string(names.size()) + " in all)";
        text += (listed++ ? ", \"" : "\"") + name + "\"";
    }
    return text.empty() ? "nothing" : text;
}

} // namespace

at::Tensor copy_of(const nauha_tensor &tensor) {
    for (const auto &type : types)
        if (type.first == tensor.dtype)
            return at::from_blob(const_cast<void *>(tensor.data),
                                 c10::IntArrayRef(tensor.shape, tensor.ndim), type.second)
                .clone();
    throw Failure(NAUHA_INVALID, std::string("a tensor of type ") + nauha_dtype_name(tensor.dtype) +
                                     " cannot be put into a model");
}

nauha_dtype dtype_of(const at::Tensor &tensor) {
    for (const auto &type : types)
        if (type.second == tensor.scalar_type())
            return type.first;
    throw Failure(NAUHA_INVALID, std::string("the model gives a tensor of type ") +
                                     c10::toString(tensor.scalar_type()) +
                                     ", which cannot be put into a message");
}

State::State(nauha_trace *trace, const nauha_names *names) : trace_(trace), names_(names) {
    nauha_error error = NAUHA_ERROR_INIT;
    nauha_cursor *cursor = nullptr;
    const std::unique_ptr<nauha_selector, void (*)(nauha_selector *)> selector(nauha_selector_new(),
                                                                               nauha_selector_free);
    if (!selector)
        throw std::bad_alloc();
    if (nauha_selector_set(selector.get(), "kinds", "weights,biases,buffers", &error) != NAUHA_OK ||
        nauha_selector_set(selector.get(), "tag", "default", &error) != NAUHA_OK ||
        nauha_cursor_new(trace, selector.get(), &cursor, &error) != NAUHA_OK)
        throw Failure(error.code, error.message);
    cursor_.reset(cursor);
}

void State::read(uint64_t step) {
    nauha_error error = NAUHA_ERROR_INIT;
    values_.clear();
    step_ = step;
    for (;;) {
        if (!next_) {
            const nauha_status status = nauha_cursor_next(cursor_.get(), &next_, &error);
            if (status == NAUHA_END) {
                next_ = nullptr;
                return;
            }
            if (status != NAUHA_OK)
                throw Failure(status, error.message);
        }
        if (nauha_message_info(next_)->global_step > step)
            return;
        if (nauha_message_info(next_)->global_step == step)
            keep(next_);
        next_ = nullptr;
    }
}

void State::keep(nauha_message *message) {
    const struct nauha_message_info *info = nauha_message_info(message);
    nauha_tensor tensor;
    nauha_error error = NAUHA_ERROR_INIT;
    if (nauha_message_tensor(message, &tensor, &error) != NAUHA_OK)
        throw Failure(error.code, error.message);
    const std::string module = info->module_name;
    values_[module.empty() ? info->slot_name : module + "." + info->slot_name] = copy_of(tensor);
}

void State::put(Network &network) const {
    const at::NoGradGuard no_grad;
    const Named parameters = network.parameters(), buffers = network.buffers();
    put(parameters, "parameter");
    put(buffers, "buffer");
    std::set<std::string> unknown;
    for (const auto &value : values_)
        unknown.insert(value.first);
    for (const Named *named : {&parameters, &buffers})
        for (const auto &item : *named)
            unknown.erase(item.first);
    if (!unknown.empty() && unknown.size() == values_.size())
        throw Failure(NAUHA_INVALID, "the model has none of the trace's " + list_of(unknown));
}

/* A tensor that two modules share is recorded under one of its names. */
void State::put(const Named &named, const char *what) const {
    std::set<const c10::TensorImpl *> filled;
    for (const auto &item : named) {
        const auto found = values_.find(item.first);
        if (found == values_.end())
            continue;
        if (found->second.sizes() != item.second.sizes())
            throw Failure(NAUHA_INVALID, std::string("another model was trained: ") + what + " \"" +
                                             item.first + "\" has the shape " +
                                             shape_text(found->second) + " in the trace and " +
                                             shape_text(item.second) + " in the model");
        item.second.detach().copy_(found->second);
        filled.insert(item.second.unsafeGetTensorImpl());
    }
    for (const auto &item : named)
        if (!filled.count(item.second.unsafeGetTensorImpl()))
            fail_lacking(item.first, what);
}

void State::fail_lacking(const std::string &name, const char *what) const {
    const size_t dot = name.rfind('.');
    const bool bias = name.find("bias", dot == std::string::npos ? 0 : dot) != std::string::npos;
    const uint32_t kind = *what == 'b' ? NAUHA_KIND_BUFFERS
                          : bias       ? NAUHA_KIND_BIASES
                                       : NAUHA_KIND_WEIGHTS;
    const std::string kinds = nauha_names_kind(names_, kind);
    const std::string lacking =
        "the trace lacks " + std::string(what) + " \"" + name + "\" of the model";
    uint64_t messages = 0, bytes = 0;
    nauha_trace_kind_totals(trace_, kind, &messages, &bytes);
    if (messages == 0)
        throw Failure(NAUHA_INVALID,
                      lacking + ": it has no " + kinds +
                          "; "
                          "record with --kinds weights,biases,buffers,batch_finished");
    if (values_.empty())
        throw Failure(NAUHA_INVALID, lacking + ": it has no weights, biases and buffers in step " +
                                         std::to_string(step_));
    std::set<std::string> names;
    for (const auto &value : values_)
        names.insert(value.first);
    throw Failure(NAUHA_INVALID,
                  lacking + " in step " + std::to_string(step_) + "; it has " + list_of(names));
}

} // namespace model
} // namespace nauha
