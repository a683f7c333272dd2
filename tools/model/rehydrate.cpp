/* SPDX-License-Identifier: MIT */
/* The network as a source of messages: when a step ends at replay, the data runs through the model
 * with the parameters of that step, and the results are published as those of a recorded evaluation
 * are. This file has the C functions of the module; they throw no exceptions. */
#include <algorithm>
#include <cstring>
#include <exception>
#include <map>
#include <memory>
#include <string>

#include <unistd.h>

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include "nauha/network.h"
#include "tools/model/data.hpp"
#include "tools/model/hessian.hpp"
#include "tools/model/model.h"
#include "tools/model/network.hpp"
#include "tools/model/state.hpp"

using nauha::model::Data;
using nauha::model::Dataset;
using nauha::model::LossFunction;
using nauha::model::Network;
using nauha::model::Observer;
using nauha::model::State;
using nauha::train::Failure;
using nauha::train::Part;

namespace {

/* ---- what the options name ---- */

bool find_model(const std::string &name, nauha_train_model &model) {
    for (int i = 0; i < NAUHA_TRAIN_MODEL_COUNT; i++)
        if (name == nauha_train_model_name(static_cast<nauha_train_model>(i))) {
            model = static_cast<nauha_train_model>(i);
            return true;
        }
    return false;
}

/* The name is neither that of a built-in model nor that of a file. */
[[noreturn]] void fail_unknown(const std::string &name) {
    std::string known;
    for (int i = 0; i < NAUHA_TRAIN_MODEL_COUNT; i++)
        known += (i ? ", " : "") +
                 std::string(nauha_train_model_name(static_cast<nauha_train_model>(i)));
    throw Failure(NAUHA_UNKNOWN, "no file \"" + name + "\", nor a model of that name; models: " +
                                     known + ", or a TorchScript file");
}

const char *fact(const nauha_trace *trace, const char *wanted) {
    const char *key, *value;
    for (size_t i = 0; nauha_trace_fact(trace, i, &key, &value); i++)
        if (std::strcmp(key, wanted) == 0)
            return value;
    return nullptr;
}

nauha_train_options dataset_options(const char *name, const char *directory) {
    nauha_error error = NAUHA_ERROR_INIT;
    nauha_train_options options;
    nauha_train_options_init(&options);
    nauha_status status = nauha_train_options_set(&options, "dataset", name, &error);
    if (status == NAUHA_OK && directory)
        status = nauha_train_options_set(&options, "data-dir", directory, &error);
    if (status != NAUHA_OK)
        throw Failure(status, error.message);
    return options;
}

std::unique_ptr<Data> open_data(const nauha_model_options &options, const nauha_trace *trace) {
    if (options.data && !options.dataset && nauha::model::has_numpy(options.data))
        return nauha::model::load_numpy(options.data);
    const char *name = options.dataset ? options.dataset : fact(trace, "dataset");
    if (!name)
        throw Failure(
            NAUHA_INVALID,
            options.data
                ? "directory \"" + std::string(options.data) +
                      "\" has no inputs.npy, and the trace does not name a dataset: use --dataset"
                : "the trace does not name the data of the training: use --data");
    const nauha_train_options dataset = dataset_options(name, options.data);
    return std::make_unique<Dataset>(dataset.dataset, nauha_train_data_dir(&dataset),
                                     options.training_set ? Part::training : Part::test);
}

LossFunction loss_named(const char *name) {
    if (!name)
        return [](const at::Tensor &output, const at::Tensor &labels) {
            return labels.is_floating_point() ? at::mse_loss(output, labels)
                                              : at::cross_entropy_loss(output, labels);
        };
    if (std::strcmp(name, "cross_entropy") == 0)
        return [](const at::Tensor &output, const at::Tensor &labels) {
            return at::cross_entropy_loss(output, labels);
        };
    if (std::strcmp(name, "nll") == 0)
        return [](const at::Tensor &output, const at::Tensor &labels) {
            return at::nll_loss_nd(output, labels);
        };
    return [](const at::Tensor &output, const at::Tensor &labels) {
        return at::mse_loss(output, labels);
    };
}

const uint32_t kinds_of_passes[] = {NAUHA_KIND_INPUT_DATA, NAUHA_KIND_ACTIVATIONS,
                                    NAUHA_KIND_NETWORK_OUTPUT, NAUHA_KIND_INPUT_LABELS,
                                    NAUHA_KIND_LOSS};

/* The error in one line, without the traceback that TorchScript puts before it. */
std::string reason_in(const std::string &text) {
    const std::string mark = "\nRuntimeError: ";
    const size_t at = text.rfind(mark);
    const size_t begin = at == std::string::npos ? 0 : at + mark.size();
    return text.substr(begin, text.find('\n', begin) - begin);
}

/* Runs fn, and returns what it throws as a status. */
template <class F> nauha_status guarded(nauha_error *err, const F &fn) {
    try {
        fn();
        return NAUHA_OK;
    } catch (const Failure &failure) {
        return nauha_error_set(err, failure.code, "%s", failure.what());
    } catch (const std::bad_alloc &) {
        return nauha_error_nomem(err);
    } catch (const c10::Error &error) {
        return nauha_error_set(err, NAUHA_INVALID, "the model cannot run: %s",
                               reason_in(error.what_without_backtrace()).c_str());
    } catch (const std::exception &error) {
        return nauha_error_set(err, NAUHA_INVALID, "the model cannot run: %s",
                               reason_in(error.what()).c_str());
    }
}

} // namespace

/* ---- the source ---- */

struct nauha_model {
  public:
    nauha_model(const nauha_model_options &options, nauha_trace *trace, nauha_pipeline *pipeline)
        : name_(options.model), bus_(nauha_pipeline_bus(pipeline)), names_(nauha_bus_names(bus_)),
          data_(open_data(options, trace)), loss_(loss_named(options.loss)), state_(trace, names_),
          batch_size_(options.batch_size), notice_(options.notice),
          notice_context_(options.context) {
        nauha_trace_info info;
        nauha_trace_get_info(trace, &info);
        rank_ = info.rank;
        if (info.closed)
            check_steps_end(trace);
        network_ = make_network(at::kFloat);
        samples_ = data_->count();
        if (options.samples && options.samples < samples_)
            samples_ = options.samples;
        if (samples_ == 0)
            throw Failure(NAUHA_INVALID, "there is no data to run the model on");
        attach(pipeline);
    }
    ~nauha_model() {
        nauha_subscriber_free(subscriber_);
    }
    nauha_model(const nauha_model &) = delete;
    nauha_model &operator=(const nauha_model &) = delete;

    void finish() const {
        if (!loaded_)
            tell("the model was not run, because no step of the trace was chosen: every=N chooses "
                 "steps whose number is a multiple of N");
    }

  private:
    /* Only for complete traces: one that is still being written may get such messages later. */
    static void check_steps_end(const nauha_trace *trace) {
        uint64_t messages = 0, bytes = 0;
        nauha_trace_kind_totals(trace, NAUHA_KIND_BATCH_FINISHED, &messages, &bytes);
        if (messages == 0)
            throw Failure(NAUHA_INVALID,
                          "the trace has no batch_finished messages, which mark the end of a step: "
                          "record with --kinds weights,biases,buffers,batch_finished");
    }

    void tell(const std::string &text) const {
        if (notice_)
            notice_(notice_context_, text.c_str());
    }

    std::unique_ptr<Network> make_network(at::ScalarType type) const {
        nauha_train_model builtin;
        if (!find_model(name_, builtin)) {
            if (access(name_.c_str(), F_OK) != 0)
                fail_unknown(name_);
            return nauha::model::load_script(name_, type);
        }
        const auto *dataset = dynamic_cast<const Dataset *>(data_.get());
        if (!dataset)
            throw Failure(NAUHA_INVALID,
                          "model \"" + name_ + "\" is one for images: name their --dataset");
        const auto &images = dataset->images();
        if (images.height != images.width || images.height < 28)
            throw Failure(NAUHA_INVALID, "the images do not fit model \"" + name_ +
                                             "\": square ones of at least 28x28 are expected");
        return nauha::model::make_builtin(builtin, static_cast<int64_t>(images.channels),
                                          static_cast<int64_t>(images.height),
                                          static_cast<int64_t>(dataset->classes()), type);
    }

    void attach(nauha_pipeline *pipeline) {
        static const nauha_subscriber_ops ops = {compute, nullptr, nullptr,
                                                 nullptr, nullptr, nullptr};
        nauha_error error = NAUHA_ERROR_INIT;
        const char *kind = "batch_finished";
        service_ = {sizeof service_, this, answer};
        subscriber_ = nauha_subscriber_new("model", &ops, this);
        nauha_subscription *subscription = nauha_subscription_new(&kind, 1);
        if (!subscriber_ || !subscription) {
            nauha_subscription_free(subscription);
            throw std::bad_alloc();
        }
        nauha_status status = nauha_bus_subscribe(bus_, subscription, subscriber_, &error);
        if (status == NAUHA_OK)
            status = nauha_pipeline_offer(pipeline, NAUHA_NETWORK_SERVICE, &service_, &error);
        if (status != NAUHA_OK)
            throw Failure(status, error.message);
        nauha_pipeline_set_recomputed(pipeline, true);
    }

    /* ---- a step ends ---- */

    static nauha_status compute(void *self, nauha_bundle *bundle, nauha_error *err) {
        auto *model = static_cast<nauha_model *>(self);
        const struct nauha_message_info *info = nauha_message_info(nauha_bundle_message(bundle, 0));
        if (info->rank != model->rank_)
            return NAUHA_OK;
        return guarded(err, [&] { model->step_ends(*info); });
    }

    void step_ends(const struct nauha_message_info &info) {
        const uint32_t tags = nauha_names_tags(names_);
        for (uint32_t tag = 1; tag < tags; tag++) {
            wanted_.clear();
            for (const uint32_t kind : kinds_of_passes)
                wanted_[kind] = nauha_bus_takes(bus_, kind, tag, info.global_step);
            bool any = false;
            for (const auto &kind : wanted_)
                any = any || kind.second;
            if (any)
                run(info, tag);
        }
    }

    void load(uint64_t step) {
        if (loaded_ && step == step_)
            return;
        state_.read(step);
        state_.put(*network_);
        loaded_ = true;
        exact_loaded_ = false;
        step_ = step;
    }

    void run(const struct nauha_message_info &info, uint32_t tag) {
        const at::NoGradGuard no_grad;
        load(info.global_step);
        struct nauha_message_info stamps = info;
        stamps.tag = tag;
        stamps.module = NAUHA_NONE;
        stamps.slot = 0;
        calls_.clear();
        Observer observer;
        if (wanted_[NAUHA_KIND_ACTIVATIONS])
            observer = [&](const std::string &module, const std::string &class_name,
                           const std::string &slot, const at::Tensor &output) {
                publish_of_module(stamps, module, class_name, slot, output);
            };
        uint32_t batch = 0;
        for (size_t first = 0; first < samples_; first += batch_size_, batch++)
            run_batch(stamps, first, batch, observer);
    }

    void run_batch(const struct nauha_message_info &stamps, size_t first, uint32_t batch,
                   const Observer &observer) {
        const auto sample = data_->get(first, std::min(batch_size_, samples_ - first));
        publish(stamps, NAUHA_KIND_INPUT_DATA, batch, sample.first);
        const at::Tensor output = network_->forward(sample.first, observer);
        publish(stamps, NAUHA_KIND_NETWORK_OUTPUT, batch, output);
        if (!sample.second.defined()) {
            if (wanted_[NAUHA_KIND_INPUT_LABELS] || wanted_[NAUHA_KIND_LOSS])
                throw Failure(NAUHA_INVALID, "the data have no labels: labels.npy is missing");
            return;
        }
        publish(stamps, NAUHA_KIND_INPUT_LABELS, batch, sample.second);
        if (wanted_[NAUHA_KIND_LOSS])
            publish(stamps, NAUHA_KIND_LOSS, batch, loss_(output, sample.second));
    }

    /* ---- publishing ---- */

    void publish_of_module(struct nauha_message_info stamps, const std::string &module,
                           const std::string &class_name, const std::string &slot,
                           const at::Tensor &output) {
        nauha_error error = NAUHA_ERROR_INIT;
        stamps.module = nauha_names_find_module(names_, module.c_str());
        nauha_status status = NAUHA_OK;
        if (stamps.module == NAUHA_NONE)
            status = nauha_names_add_module(names_, module.c_str(), class_name.c_str(),
                                            &stamps.module, &error);
        if (status == NAUHA_OK)
            status = nauha_names_add_slot(names_, slot.c_str(), &stamps.slot, &error);
        if (status != NAUHA_OK)
            throw Failure(status, error.message);
        publish(stamps, NAUHA_KIND_ACTIVATIONS, calls_[{stamps.module, stamps.slot}]++, output);
    }

    void publish(struct nauha_message_info stamps, uint32_t kind, uint32_t call,
                 const at::Tensor &tensor) {
        if (!wanted_[kind])
            return;
        const at::Tensor whole = tensor.contiguous();
        stamps.kind = kind;
        stamps.call = call;
        nauha_tensor view{};
        view.data = whole.data_ptr();
        view.dtype = nauha::model::dtype_of(whole);
        view.ndim = static_cast<uint32_t>(whole.dim());
        view.shape = whole.sizes().data();
        nauha_error error = NAUHA_ERROR_INIT;
        if (nauha_bus_publish_tensor(bus_, &stamps, &view, &error) != NAUHA_OK)
            throw Failure(error.code, error.message);
    }

    /* ---- the Hessian ---- */

    static nauha_status answer(void *self, const nauha_hessian_request *request, double *values,
                               size_t *count, nauha_error *err) {
        return guarded(
            err, [&] { *count = static_cast<nauha_model *>(self)->hessian(*request, values); });
    }

    size_t hessian(const nauha_hessian_request &request, double *values) {
        load(request.global_step);
        if (!exact_)
            exact_ = make_network(at::kDouble);
        if (!exact_loaded_)
            state_.put(*exact_);
        exact_loaded_ = true;
        if (!data_->get(0, 1).second.defined())
            throw Failure(NAUHA_INVALID, "the data have no labels: labels.npy is missing");
        const size_t samples = std::min<size_t>(samples_, request.samples);
        const auto found =
            nauha::model::hessian_eigenvalues(*exact_, *data_, samples, batch_size_, loss_,
                                              request.count, request.tolerance, request.products);
        if (!found.converged)
            tell("step " + std::to_string(request.global_step) +
                 ": the eigenvalues of the Hessian are known to within " +
                 std::to_string(found.residual) + " of the largest after " +
                 std::to_string(found.products) +
                 " products, and one between them may be missing: allow more with products=N");
        for (size_t i = 0; i < found.values.size(); i++)
            values[i] = found.values[i];
        return found.values.size();
    }

    std::string name_;
    nauha_bus *bus_;
    nauha_names *names_;
    std::unique_ptr<Data> data_;
    LossFunction loss_;
    State state_;
    size_t batch_size_, samples_ = 0;
    void (*notice_)(void *, const char *);
    void *notice_context_;
    uint32_t rank_ = 0;
    std::unique_ptr<Network> network_, exact_; /* in the model's precision, and in double */
    bool loaded_ = false, exact_loaded_ = false;
    uint64_t step_ = 0;
    nauha_network service_{};
    nauha_subscriber *subscriber_ = nullptr;
    std::map<uint32_t, bool> wanted_; /* kinds, in the current pass */
    std::map<std::pair<uint32_t, uint32_t>, uint32_t> calls_;
};

/* ---- the module ---- */

static nauha_status open_model(const nauha_model_options *options, nauha_trace *trace,
                               nauha_pipeline *pipeline, nauha_model **model, nauha_error *err) {
    return guarded(err, [&] { *model = new nauha_model(*options, trace, pipeline); });
}

static void finish_model(nauha_model *model) {
    model->finish();
}

static void close_model(nauha_model *model) {
    delete model;
}

const nauha_model_api nauha_model_module = {open_model, finish_model, close_model};
