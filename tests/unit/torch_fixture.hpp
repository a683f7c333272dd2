/* SPDX-License-Identifier: MIT */
/* What the tests of the libtorch front end share: an exporter whose messages are kept, and a
 * small model. */
#ifndef NAUHA_TESTS_TORCH_FIXTURE_HPP
#define NAUHA_TESTS_TORCH_FIXTURE_HPP

#include <csetjmp>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include <nauha/torch.hpp>

extern "C" {
#include <cmocka.h>
}

namespace torch_fixture {

using torch::Tensor;

/* ---- what was published ---- */

struct Message {
    std::string kind, tag, module, class_name, slot;
    uint32_t call;
    uint64_t step;
    uint32_t train_step, epoch;
    nauha_dtype dtype;
    Tensor tensor;

    std::string text() const {
        std::string result = kind;
        if (tag != "default")
            result += "@" + tag;
        if (!class_name.empty())
            result += " " + module + ":" + class_name;
        if (!slot.empty())
            result += " [" + slot + "]";
        if (call)
            result += " #" + std::to_string(call);
        return result;
    }
};

inline torch::ScalarType scalar_type(nauha_dtype dtype) {
    switch (dtype) {
    case NAUHA_DTYPE_F64:
        return torch::kDouble;
    case NAUHA_DTYPE_F16:
        return torch::kHalf;
    case NAUHA_DTYPE_BF16:
        return torch::kBFloat16;
    case NAUHA_DTYPE_U8:
        return torch::kByte;
    case NAUHA_DTYPE_I8:
        return torch::kChar;
    case NAUHA_DTYPE_I16:
        return torch::kShort;
    case NAUHA_DTYPE_I32:
        return torch::kInt;
    case NAUHA_DTYPE_I64:
        return torch::kLong;
    case NAUHA_DTYPE_BOOL:
        return torch::kBool;
    default:
        return torch::kFloat;
    }
}

/* A copy made here from the strides given, independent of the recorder's. */
inline Tensor copy_of(const nauha_tensor &tensor) {
    const auto options = torch::TensorOptions(scalar_type(tensor.dtype));
    const c10::IntArrayRef shape(tensor.shape, tensor.ndim);
    void *data = const_cast<void *>(tensor.data);
    if (tensor.strides)
        return torch::from_blob(data, shape, c10::IntArrayRef(tensor.strides, tensor.ndim), options)
            .clone();
    return torch::from_blob(data, shape, options).clone();
}

inline nauha_status collect(void *context, nauha_message *message, nauha_error *err) {
    const struct nauha_message_info *info = nauha_message_info(message);
    Message copy{info->kind_name,
                 info->tag_name,
                 info->module == NAUHA_NONE ? "" : info->module_name,
                 info->module == NAUHA_NONE ? "" : info->module_class,
                 info->slot_name,
                 info->call,
                 info->global_step,
                 info->train_step,
                 info->epoch,
                 info->dtype,
                 {}};
    if (info->has_tensor) {
        nauha_tensor tensor;
        if (nauha_message_tensor(message, &tensor, err) != NAUHA_OK)
            return err ? err->code : NAUHA_STATE;
        copy.tensor = copy_of(tensor);
    }
    static_cast<std::vector<Message> *>(context)->push_back(std::move(copy));
    return NAUHA_OK;
}

/* An exporter whose messages and notices are kept. */
struct Tapped {
    std::vector<Message> messages;
    std::vector<std::string> notices;
    nauha::Exporter exporter;

    explicit Tapped(const nauha::Options &options = {}) : exporter("", options) {
        nauha_error error = NAUHA_ERROR_INIT;
        assert_int_equal(nauha_recorder_tap(exporter.recorder(), collect, &messages, &error),
                         NAUHA_OK);
        exporter.on_notice([this](const std::string &text) { notices.push_back(text); });
    }

    std::vector<const Message *> all(const std::string &text, int64_t step = -1) const {
        std::vector<const Message *> found;
        for (const auto &message : messages)
            if (message.text() == text && (step < 0 || message.step == uint64_t(step)))
                found.push_back(&message);
        return found;
    }
    const Message &one(const std::string &text, int64_t step = -1) const {
        const auto found = all(text, step);
        if (found.size() != 1)
            print_error("\"%s\" was published %zu times\n", text.c_str(), found.size());
        assert_int_equal(found.size(), 1);
        return *found[0];
    }
    size_t count(const std::string &text, int64_t step = -1) const {
        return all(text, step).size();
    }
    size_t count_tag(const std::string &tag) const {
        size_t n = 0;
        for (const auto &message : messages)
            n += message.tag == tag;
        return n;
    }
};

/* Equal bit for bit, shape and type included. */
inline bool same(const Tensor &a, const Tensor &b) {
    if (a.sizes() != b.sizes() || a.scalar_type() != b.scalar_type())
        return false;
    const Tensor x = a.detach().contiguous(), y = b.detach().contiguous();
    return std::memcmp(x.data_ptr(), y.data_ptr(), x.nbytes()) == 0;
}

inline void assert_texts(const std::vector<std::string> &actual,
                         const std::vector<std::string> &expected) {
    for (size_t i = 0; i < std::max(actual.size(), expected.size()); i++)
        assert_string_equal(i < actual.size() ? actual[i].c_str() : "(end)",
                            i < expected.size() ? expected[i].c_str() : "(end)");
}

/* ---- models ---- */

struct NetImpl : torch::nn::Module {
    torch::nn::Sequential features{nullptr}, classifier{nullptr};

    NetImpl() {
        features = register_module(
            "features",
            torch::nn::Sequential(torch::nn::Conv2d(1, 2, 3), torch::nn::BatchNorm2d(2),
                                  torch::nn::ReLU(torch::nn::ReLUOptions().inplace(true))));
        classifier = register_module(
            "classifier", torch::nn::Sequential(torch::nn::Dropout(0.5), torch::nn::Linear(8, 3)));
    }
    Tensor forward(Tensor x) {
        return classifier->forward(features->forward(x).flatten(1));
    }
};
TORCH_MODULE(Net);

inline Tensor images() {
    torch::manual_seed(7);
    return torch::randn({5, 1, 4, 4});
}

inline Tensor labels() {
    return torch::tensor({0, 1, 2, 1, 0}, torch::kLong);
}

} // namespace torch_fixture
#endif
