/* SPDX-License-Identifier: MIT */
/* The models of `nauha train` as networks. An exporter without a trace observes their modules. */
#include "nauha/torch.hpp"
#include "tools/model/network.hpp"
#include "tools/train/models.hpp"

namespace nauha {
namespace model {

namespace {

at::ScalarType type_of(nauha_dtype dtype) {
    return dtype == NAUHA_DTYPE_F64 ? at::kDouble : at::kFloat;
}

class Builtin : public Network {
  public:
    Builtin(std::shared_ptr<train::Network> network, at::ScalarType type)
        : network_(std::move(network)), exporter_("", {{"kinds", "activations"}}),
          net_(exporter_.set_model(network_)) {
        network_->to(type);
        network_->eval();
        exporter_.on_notice([](const std::string &) {});
        exporter_.add_modules(network_);
        nauha_error error = NAUHA_ERROR_INIT;
        if (nauha_recorder_tap(exporter_.recorder(), &seen, this, &error) != NAUHA_OK)
            throw Failure(error.code, error.message);
    }

    Named parameters() override {
        return named(network_->named_parameters());
    }
    Named buffers() override {
        return named(network_->named_buffers());
    }

    at::Tensor forward(const at::Tensor &input, const Observer &observer) override {
        if (!observer)
            return network_->forward(input);
        observer_ = &observer;
        const auto running = exporter_.tag("running");
        return net_.forward(input);
    }

  private:
    static Named named(const torch::OrderedDict<std::string, torch::Tensor> &tensors) {
        Named result;
        for (const auto &item : tensors)
            result.emplace_back(item.key(), item.value());
        return result;
    }

    static nauha_status seen(void *self, nauha_message *message, nauha_error *error) {
        const struct nauha_message_info *info = nauha_message_info(message);
        nauha_tensor tensor;
        if (info->kind != NAUHA_KIND_ACTIVATIONS)
            return NAUHA_OK;
        const nauha_status status = nauha_message_tensor(message, &tensor, error);
        if (status == NAUHA_OK)
            static_cast<const Builtin *>(self)->report(*info, tensor);
        return status;
    }

    /* The tensor lies contiguous or strided in the memory of the module's output. */
    void report(const struct nauha_message_info &info, const nauha_tensor &tensor) const {
        const c10::IntArrayRef shape(tensor.shape, tensor.ndim);
        void *data = const_cast<void *>(tensor.data);
        const auto type = type_of(tensor.dtype);
        (*observer_)(
            info.module_name, info.module_class, info.slot_name,
            tensor.strides
                ? at::from_blob(data, shape, c10::IntArrayRef(tensor.strides, tensor.ndim), type)
                : at::from_blob(data, shape, type));
    }

    std::shared_ptr<train::Network> network_;
    Exporter exporter_;
    Model<train::Network> net_;
    const Observer *observer_ = nullptr;
};

} // namespace

std::unique_ptr<Network> make_builtin(nauha_train_model model, int64_t channels, int64_t size,
                                      int64_t classes, at::ScalarType type) {
    return std::make_unique<Builtin>(train::make_model(model, channels, size, classes), type);
}

} // namespace model
} // namespace nauha
