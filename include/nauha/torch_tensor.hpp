/* SPDX-License-Identifier: MIT */
/* A part of nauha/torch.hpp, not for direct use: tensors and class names of libtorch in the form
 * that the recorder needs.
 */
#ifndef NAUHA_TORCH_TENSOR_HPP
#define NAUHA_TORCH_TENSOR_HPP

#include <exception>
#include <map>
#include <string>
#include <typeinfo>
#include <unordered_map>

#include <torch/torch.h>
#include <torch/version.h>

#include "nauha/names.h"

namespace nauha {
namespace detail {

/* "Conv2d" for torch::nn::Conv2dImpl. */
inline std::string class_name(const std::type_info &type) {
    std::string name = c10::demangle(type.name());
    name = name.substr(0, name.find('<'));
    const auto scope = name.rfind("::");
    if (scope != std::string::npos)
        name = name.substr(scope + 2);
    const std::string suffix = "Impl";
    if (name.size() > suffix.size() &&
        name.compare(name.size() - suffix.size(), suffix.size(), suffix) == 0)
        name.resize(name.size() - suffix.size());
    return name.substr(0, NAUHA_CLASS_NAME_MAX);
}

/* False for types that a trace cannot hold, such as complex and quantized ones. */
inline bool to_dtype(torch::ScalarType type, nauha_dtype &dtype) {
    switch (type) {
    case torch::kFloat:
        dtype = NAUHA_DTYPE_F32;
        return true;
    case torch::kDouble:
        dtype = NAUHA_DTYPE_F64;
        return true;
    case torch::kHalf:
        dtype = NAUHA_DTYPE_F16;
        return true;
    case torch::kBFloat16:
        dtype = NAUHA_DTYPE_BF16;
        return true;
    case torch::kByte:
        dtype = NAUHA_DTYPE_U8;
        return true;
    case torch::kChar:
        dtype = NAUHA_DTYPE_I8;
        return true;
    case torch::kShort:
        dtype = NAUHA_DTYPE_I16;
        return true;
    case torch::kInt:
        dtype = NAUHA_DTYPE_I32;
        return true;
    case torch::kLong:
        dtype = NAUHA_DTYPE_I64;
        return true;
    case torch::kBool:
        dtype = NAUHA_DTYPE_BOOL;
        return true;
    default:
        break;
    }
    /* The fp8 types are found by name, because older versions of libtorch lack their enumerators.
     */
    static const std::map<std::string, nauha_dtype> fp8 = {
        {"Float8_e4m3fn", NAUHA_DTYPE_F8_E4M3FN},
        {"Float8_e5m2", NAUHA_DTYPE_F8_E5M2},
        {"Float8_e4m3fnuz", NAUHA_DTYPE_F8_E4M3FNUZ},
        {"Float8_e5m2fnuz", NAUHA_DTYPE_F8_E5M2FNUZ}};
    const auto found = fp8.find(c10::toString(type));
    if (found == fp8.end())
        return false;
    dtype = found->second;
    return true;
}

inline const void *const_data(const torch::Tensor &tensor) {
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 2)
    return tensor.const_data_ptr();
#else
    return tensor.data_ptr();
#endif
}

/* Numbers for nauha_tensor::identity. Tensors with the same number have the same elements, unless
 * something wrote to them without increasing their version in libtorch; the recorder checks. A
 * tensor is recognized while it exists, by itself or by a view of all its elements. */
class Identities {
  public:
    /* Returns 0 for tensors without a version, and for those whose elements are not what is in
     * their memory: sparse ones and those with the negative bit. */
    uint64_t of(const torch::Tensor &tensor) {
        if (tensor.is_inference() || tensor.layout() != torch::kStrided || tensor.is_neg())
            return 0;
        const auto version = tensor._version();
        const void *address = const_data(tensor);
        const auto found = known_.find(address);
        if (found != known_.end() && found->second.version == version) {
            const auto other = found->second.tensor.lock();
            if (other && is_view_of_all(tensor, torch::Tensor(other)))
                return found->second.number;
        }
        if (known_.size() >= MAX)
            known_.clear();
        known_.erase(address);
        known_.emplace(address, Known{Weak(tensor.getIntrusivePtr()), version, ++last_});
        return last_;
    }

  private:
    static constexpr size_t MAX = 4096;
    using Weak = c10::weak_intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl>;
    struct Known {
        Weak tensor;
        int64_t version;
        uint64_t number;
    };

    static bool is_view_of_all(const torch::Tensor &tensor, const torch::Tensor &other) {
        if (tensor.is_same(other))
            return true;
        if (!tensor.is_view() || tensor.numel() != other.numel() || !tensor.is_contiguous() ||
            !other.is_contiguous())
            return false;
        const auto base = tensor._base();
        return base.is_same(other) || (other.is_view() && base.is_same(other._base()));
    }

    std::unordered_map<const void *, Known> known_;
    uint64_t last_ = 0;
};

/* A tensor in the form that the recorder needs: dense, in CPU memory. `held` owns the memory. */
struct View {
    torch::Tensor held;
    nauha_tensor tensor{};

    /* Returns false, and the reason, if a trace cannot hold the tensor. */
    bool set(const torch::Tensor &source, std::string &reason) {
        try {
            return take(source, reason);
        } catch (const std::exception &error) { /* no memory for the copy, a wrapper tensor */
            const std::string text = error.what();
            reason = "a tensor could not be read: " + text.substr(0, text.find('\n'));
            return false;
        }
    }

  private:
    bool take(const torch::Tensor &source, std::string &reason) {
        torch::NoGradGuard no_grad;
        held = source.detach();
        if (held.layout() != torch::kStrided)
            held = held.to_dense();
        if (!held.device().is_cpu())
            held = held.to(torch::kCPU);
        if (held.is_neg())
            held = held.resolve_neg();
        if (!to_dtype(held.scalar_type(), tensor.dtype)) {
            reason = std::string("tensors of type ") + c10::toString(held.scalar_type()) +
                     " cannot be recorded";
            return false;
        }
        tensor.data = const_data(held);
        tensor.ndim = static_cast<uint32_t>(held.dim());
        tensor.shape = held.sizes().data();
        tensor.strides = held.is_contiguous() ? nullptr : held.strides().data();
        return true;
    }
};

} // namespace detail
} // namespace nauha
#endif
