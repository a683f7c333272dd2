/* SPDX-License-Identifier: MIT */
/* A part of nauha/torch.hpp, not for direct use: the modules that are published, their names, and
 * the step, call and tag of each of their tensors.
 *
 * Threads: the training thread and, for hooks of backward passes, libtorch's own; a mutex guards
 * all that hooks use. It is held while a message is published, because the tag is set in the
 * recorder before the message is. It is recursive, because on_notice() may call the exporter.
 */
#ifndef NAUHA_TORCH_PUBLISHER_HPP
#define NAUHA_TORCH_PUBLISHER_HPP

#include <cstdio>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "nauha/recorder.h"
#include "nauha/torch_probe.hpp"
#include "nauha/torch_records.hpp"
#include "nauha/torch_tensor.hpp"

namespace nauha {

/* Receives texts for the user, for example that a module cannot be observed. */
using Notice = std::function<void(const std::string &)>;

namespace detail {

class Publisher : public std::enable_shared_from_this<Publisher> {
  public:
    using Lock = std::lock_guard<std::recursive_mutex>;

    Publisher(nauha_recorder *recorder, bool owned) : recorder_(recorder), owned_(owned) {
    }
    Publisher(const Publisher &) = delete;
    Publisher &operator=(const Publisher &) = delete;

    nauha_recorder *recorder() const {
        return recorder_;
    }

    void on_notice(Notice notice) {
        Lock lock(mutex_);
        notice_ = std::move(notice);
    }

    /* Gives a notice to the user, each text once. */
    void tell(const std::string &text) {
        Lock lock(mutex_);
        if (!told_.insert(text).second)
            return;
        if (notice_)
            notice_(text);
        else
            std::fprintf(stderr, "nauha: %s\n", text.c_str());
    }

    /* ---- modules ---- */

    Record &add(const std::shared_ptr<torch::nn::Module> &module, const std::string &fallback,
                const std::string &class_name) {
        Lock lock(mutex_);
        if (Record *known = find(module.get()))
            return *known;
        auto record = std::make_unique<Record>();
        record->module = module;
        record->address = module.get();
        record->fallback = fallback;
        record->class_name = class_name;
        by_address_[module.get()] = record.get();
        records_.push_back(std::move(record));
        unnamed_ = true;
        return *records_.back();
    }

    Record *find(const torch::nn::Module *address) {
        Lock lock(mutex_);
        const auto found = by_address_.find(address);
        if (found == by_address_.end() || found->second->module.expired())
            return nullptr;
        return found->second;
    }

    void set_root(const std::shared_ptr<torch::nn::Module> &root) {
        Lock lock(mutex_);
        root_ = root;
        unnamed_ = true;
    }

    bool is_root(const torch::nn::Module *module) const {
        return root_.get() == module;
    }

    const std::shared_ptr<torch::nn::Module> &root() const {
        return root_;
    }

    /* ---- steps ---- */

    void step_by_hand() {
        Lock lock(mutex_);
        by_hand_ = true;
    }

    void end_step() {
        Lock lock(mutex_);
        if (!recorder_ || !step_open_)
            return;
        step_open_ = false;
        use_tag(0);
        const auto &values = collect();
        nauha_error error = NAUHA_ERROR_INIT;
        check(nauha_recorder_end_step(recorder_, values.data(), values.size(), &error), error);
        error = NAUHA_ERROR_INIT;
        if (nauha_recorder_failure(recorder_, &error) != NAUHA_OK)
            tell(std::string("recording has stopped: ") + error.message);
    }

    void epoch_finished() {
        Lock lock(mutex_);
        end_step();
        if (!recorder_)
            return;
        use_tag(0);
        nauha_error error = NAUHA_ERROR_INIT;
        check(nauha_recorder_epoch_finished(recorder_, &error), error);
    }

    void add_probe(Probe probe) {
        Lock lock(mutex_);
        probes_.push_back(std::move(probe));
    }

    /* Called when a run of the model begins. In training mode without a tag, it begins a step,
     * unless steps are ended by hand and one is open, and then runs the probes of that step. */
    Moment begin_pass(bool training) {
        if (begin_step_of_pass(training))
            run_probes();
        Lock lock(mutex_);
        Moment pass;
        if (recorder_) {
            name_modules();
            pass.tag = tag_;
            pass.on = tag_ != 0 || training;
            pass.serial = serial_;
            if (pass.on)
                pass.call = runs_.next(serial_, pass.tag);
        }
        pass_ = pass;
        ++depth_;
        return pass;
    }

    void end_pass() {
        Lock lock(mutex_);
        --depth_;
    }

    /* Called when a run of a module begins: whether and how it is published. */
    Moment enter(Record &record, const torch::nn::Module &module) {
        Lock lock(mutex_);
        Moment moment;
        if (!recorder_)
            return moment;
        if (unnamed_)
            name_modules();
        if (depth_ > 0) {
            moment.on = pass_.on;
            moment.tag = pass_.tag;
        } else {
            moment.tag = tag_;
            moment.on = tag_ != 0 || (step_open_ && module.is_training());
            if (!moment.on && module.is_training())
                tell("a module ran in training mode outside any step and was not recorded; call "
                     "the model through what set_model() returned");
        }
        if (record.id == NAUHA_NONE || (results_only_ && moment.tag != 0))
            moment.on = false;
        moment.serial = serial_;
        if (moment.on)
            moment.call = record.calls.next(serial_, moment.tag);
        return moment;
    }

    /* Called when the loss function has run: whether and how it is published. */
    Moment loss_ran() {
        Lock lock(mutex_);
        Moment moment = latest();
        if (moment.on)
            moment.call = losses_.next(serial_, moment.tag);
        return moment;
    }

    /* ---- tags ---- */

    /* The number of a tag; 0 ("default"), with a notice, if the name is not valid. */
    uint32_t tag_number(const std::string &name) {
        Lock lock(mutex_);
        uint32_t id = 0;
        nauha_error error = NAUHA_ERROR_INIT;
        if (recorder_)
            check(nauha_names_add_tag(nauha_recorder_names(recorder_), name.c_str(), &id, &error),
                  error);
        return id;
    }

    /* Sets the tag and results_only, and returns their previous values. */
    std::pair<uint32_t, bool> set_tag(uint32_t tag, bool results_only) {
        Lock lock(mutex_);
        const auto before = std::make_pair(tag_, results_only_);
        tag_ = tag;
        results_only_ = results_only;
        return before;
    }

    bool results_only() const {
        return results_only_ && tag_ != 0;
    }

    /* ---- publishing ---- */

    bool wants(uint32_t kind, uint32_t module, const Moment &moment) {
        Lock lock(mutex_);
        if (!recorder_ || !moment.on)
            return false;
        use_tag(moment.tag);
        return nauha_recorder_wants(recorder_, kind, module);
    }

    void publish(uint32_t kind, uint32_t module, const std::string &slot, const Moment &moment,
                 const torch::Tensor &tensor) {
        Lock lock(mutex_);
        if (tensor.defined() && wants(kind, module, moment))
            send(kind, module, slot_number(slot), moment, tensor);
    }

    /* Publishes layer_gradients when backward() computes the gradient of this output. The hook is
     * on the node, not on the tensor, because an in-place operation gives the tensor a new node,
     * and libtorch 1.x would leave a second tensor hook at the first node. */
    void publish_gradient_of(const torch::Tensor &output, Record &record, const std::string &slot,
                             const Moment &moment) {
        if (!output.defined() || !output.requires_grad() ||
            !wants(NAUHA_KIND_LAYER_GRADIENTS, record.id, moment))
            return;
        std::weak_ptr<Publisher> weak = shared_from_this();
        const uint32_t module = record.id;
        auto send_it = [weak, module, slot, moment](const torch::Tensor &gradient) {
            if (const auto publisher = weak.lock())
                publisher->layer_gradient(module, slot, moment, gradient);
        };
        if (const auto node = output.grad_fn())
            node->add_pre_hook(std::make_unique<OutputHook>(send_it, output.output_nr()));
        else
            output.register_hook([send_it](torch::Tensor gradient) { send_it(gradient); });
    }

    /* Ends the open step and stops using the recorder; closes it if it is owned. Returns false if
     * the trace is incomplete. */
    bool close() {
        Lock lock(mutex_);
        if (!recorder_)
            return true;
        if (std::uncaught_exceptions() > 0)
            nauha_recorder_dump(recorder_, "an exception",
                                nullptr); /* or there is no option flight */
        /* If an exception ends the first step, an earlier trace is not replaced. */
        if (std::uncaught_exceptions() == 0 || nauha_recorder_settled(recorder_))
            end_step();
        for (auto &entry : parameters_)
            if (entry.second->hooked)
                entry.second->tensor.remove_hook(entry.second->hook);
        parameters_.clear();
        nauha_recorder *recorder = recorder_;
        recorder_ = nullptr;
        nauha_error error = NAUHA_ERROR_INIT;
        if (owned_ && nauha_recorder_close(recorder, &error) != NAUHA_OK) {
            tell(std::string("the recording is incomplete: ") + error.message);
            return false;
        }
        return true;
    }

  private:
    struct OutputHook : torch::autograd::FunctionPreHook {
        std::function<void(const torch::Tensor &)> send_it;
        size_t position;

        OutputHook(std::function<void(const torch::Tensor &)> function, int64_t output_nr)
            : send_it(std::move(function)), position(static_cast<size_t>(output_nr)) {
        }
        torch::autograd::variable_list
        operator()(const torch::autograd::variable_list &gradients) override {
            if (position < gradients.size() && gradients[position].defined())
                send_it(gradients[position]);
            return gradients;
        }
    };

    void check(nauha_status status, const nauha_error &error) {
        if (status != NAUHA_OK)
            tell(error.message);
    }

    void use_tag(uint32_t tag) {
        if (tag == recorder_tag_)
            return;
        nauha_error error = NAUHA_ERROR_INIT;
        check(nauha_recorder_set_tag(recorder_, tag, &error), error);
        recorder_tag_ = tag;
    }

    uint32_t slot_number(const std::string &slot) {
        if (slot.empty())
            return 0;
        const auto known = slots_.find(slot);
        if (known != slots_.end())
            return known->second;
        uint32_t id = 0;
        nauha_error error = NAUHA_ERROR_INIT;
        check(nauha_names_add_slot(nauha_recorder_names(recorder_), slot.c_str(), &id, &error),
              error);
        return slots_[slot] = id;
    }

    void send(uint32_t kind, uint32_t module, uint32_t slot, const Moment &moment,
              const torch::Tensor &tensor) {
        View view;
        std::string reason;
        if (!view.set(tensor, reason)) {
            tell(reason);
            return;
        }
        view.tensor.identity = identities_.of(tensor);
        use_tag(moment.tag);
        nauha_error error = NAUHA_ERROR_INIT;
        check(nauha_recorder_publish(recorder_, kind, module, slot, moment.call, &view.tensor,
                                     &error),
              error);
    }

    void layer_gradient(uint32_t module, const std::string &slot, const Moment &moment,
                        const torch::Tensor &gradient) {
        Lock lock(mutex_);
        if (!recorder_)
            return;
        if (moment.serial != serial_) {
            tell("gradients of an earlier step's outputs were not recorded");
            return;
        }
        publish(NAUHA_KIND_LAYER_GRADIENTS, module, slot, moment, gradient);
    }

    void parameter_gradient(Parameter &parameter, const torch::Tensor &gradient) {
        Lock lock(mutex_);
        if (!recorder_ || !gradient.defined())
            return;
        Moment moment = latest();
        if (!moment.on || (results_only_ && moment.tag != 0))
            return;
        moment.call = parameter.calls.next(serial_, moment.tag);
        const uint32_t kind =
            parameter.bias ? NAUHA_KIND_BIAS_GRADIENTS : NAUHA_KIND_WEIGHT_GRADIENTS;
        if (wants(kind, parameter.module, moment))
            send(kind, parameter.module, parameter.slot, moment, gradient);
    }

    /* For the loss and the gradients of parameters, which do not belong to a run of a module: they
     * are published with the tag that is set; else in training mode with the open step, and in
     * evaluation mode as the latest run of the model was. */
    Moment latest() const {
        Moment moment;
        if (tag_ != 0) {
            moment.on = true;
            moment.tag = tag_;
        } else if (!root_ || root_->is_training()) {
            moment.on = step_open_;
        } else {
            moment.on = pass_.on && (pass_.tag != 0 || step_open_);
            moment.tag = pass_.tag;
        }
        moment.on = moment.on && recorder_;
        moment.serial = serial_;
        return moment;
    }

    /* Gives every module added since the last call its name and number. */
    void name_modules() {
        if (!unnamed_)
            return;
        unnamed_ = false;
        std::unordered_map<const torch::nn::Module *, std::vector<std::string>> paths;
        if (root_)
            for (const auto &item : root_->named_modules())
                paths[item.value().get()].push_back(item.key());
        for (auto &record : records_) {
            if (record->named)
                continue;
            record->named = true;
            const auto found = paths.find(record->address);
            if (found == paths.end()) {
                record->name = record->fallback;
                record->id = module_number(record->name, *record);
                continue;
            }
            record->name = found->second.front();
            record->id = module_number(record->name, *record);
            for (size_t i = 1; i < found->second.size(); i++)
                record->other_ids.push_back(module_number(found->second[i], *record));
        }
    }

    uint32_t module_number(std::string &name, const Record &record) {
        const std::string wanted = name;
        for (unsigned n = 2; !take_name(name, record); n++)
            name = wanted + "~" + std::to_string(n);
        if (name != wanted)
            tell("two modules are called \"" + wanted + "\"; the second is recorded as \"" + name +
                 "\"");
        uint32_t id = NAUHA_NONE;
        nauha_error error = NAUHA_ERROR_INIT;
        if (nauha_names_add_module(nauha_recorder_names(recorder_), name.c_str(),
                                   record.class_name.c_str(), &id, &error) == NAUHA_OK)
            return id;
        tell(std::string("a module is not recorded: ") + error.message);
        return NAUHA_NONE;
    }

    /* A name is free again when its module no longer exists, as when a model is built anew. */
    bool take_name(const std::string &name, const Record &record) {
        auto &owner = names_[name];
        if (owner && owner != &record && !owner->module.expired())
            return false;
        owner = &record;
        return true;
    }

    void begin_step() {
        use_tag(0);
        serial_++;
        const auto &values = collect();
        nauha_error error = NAUHA_ERROR_INIT;
        check(nauha_recorder_begin_step(recorder_, values.data(), values.size(), &error), error);
        step_open_ = true;
        publish_buffers();
        hook_parameters();
    }

    /* Begins a step if this run of the model is to begin one; returns whether it has. */
    bool begin_step_of_pass(bool training) {
        Lock lock(mutex_);
        if (!recorder_ || tag_ != 0 || !training || (step_open_ && by_hand_))
            return false;
        name_modules();
        end_step();
        begin_step();
        return true;
    }

    /* Whether any message of the probe would be recorded in the open step. */
    bool wants_pass(const Probe &probe) {
        Moment pass;
        pass.on = true;
        pass.tag = probe.tag;
        for (const uint32_t kind :
             {NAUHA_KIND_NETWORK_OUTPUT, NAUHA_KIND_INPUT_LABELS, NAUHA_KIND_LOSS})
            if (wants(kind, NAUHA_NONE, pass))
                return true;
        if (probe.results_only)
            return false;
        for (const auto &record : records_)
            for (const uint32_t kind : {NAUHA_KIND_ACTIVATIONS, NAUHA_KIND_INPUTS})
                if (record->id != NAUHA_NONE && wants(kind, record->id, pass))
                    return true;
        return wants(NAUHA_KIND_INPUT_DATA, NAUHA_NONE, pass);
    }

    /* An exception from a probe becomes a notice, and the training goes on. */
    void run_probes() {
        for (size_t i = 0; i < probes_.size(); i++) {
            const Probe probe = probes_[i];
            if (nauha_recorder_global_step(recorder_) % probe.every != 0 || !wants_pass(probe))
                continue;
            const auto before = set_tag(probe.tag, probe.results_only);
            try {
                const Untouched untouched(root_);
                probe.run();
            } catch (const std::exception &error) {
                const std::string text = error.what();
                tell("a probe failed: " + text.substr(0, text.find('\n')));
            }
            set_tag(before.first, before.second);
        }
    }

    /* The parameters with their present values, each under its first name. They are collected anew
     * for every step, because a program may replace or freeze parameters between steps. */
    const std::vector<nauha_parameter> &collect() {
        name_modules();
        walk_++;
        values_.clear();
        views_.clear();
        for (auto &record : records_) {
            const auto module = record->module.lock();
            if (!module || record->id == NAUHA_NONE)
                continue;
            for (const auto &item : module->named_parameters(/*recurse=*/false))
                if (item.value().defined())
                    collect_one(*record, item.key(), item.value());
        }
        for (auto entry = parameters_.begin(); entry != parameters_.end();)
            entry = entry->second->seen == walk_ ? std::next(entry) : parameters_.erase(entry);
        for (size_t i = 0; i < values_.size(); i++)
            values_[i].tensor = views_[i].tensor;
        return values_;
    }

    void collect_one(const Record &record, const std::string &key, const torch::Tensor &tensor) {
        auto &known = parameters_[tensor.unsafeGetTensorImpl()];
        const uint32_t slot = slot_number(key);
        if (!known) {
            known = std::make_shared<Parameter>();
            known->tensor = tensor;
            known->module = record.id;
            known->slot = slot;
            known->bias = key.find("bias") != std::string::npos;
        }
        if (known->module != record.id || known->slot != slot)
            alias(*known, record.id, slot);
        for (const uint32_t other : record.other_ids)
            alias(*known, other, slot);
        if (known->seen == walk_)
            return;
        known->seen = walk_;
        std::string reason;
        views_.emplace_back();
        if (!views_.back().set(tensor, reason)) {
            views_.pop_back();
            tell(reason);
            return;
        }
        nauha_parameter value{};
        value.module = known->module;
        value.slot = known->slot;
        value.bias = known->bias;
        values_.push_back(value);
    }

    void alias(Parameter &parameter, uint32_t module, uint32_t slot) {
        if (module == NAUHA_NONE || !parameter.aliases.emplace(module, slot).second)
            return;
        nauha_error error = NAUHA_ERROR_INIT;
        check(
            nauha_recorder_alias(recorder_, parameter.module, parameter.slot, module, slot, &error),
            error);
    }

    void hook_parameters() {
        Moment now;
        now.on = true;
        for (auto &entry : parameters_) {
            Parameter &parameter = *entry.second;
            const uint32_t kind =
                parameter.bias ? NAUHA_KIND_BIAS_GRADIENTS : NAUHA_KIND_WEIGHT_GRADIENTS;
            if (parameter.hooked || !parameter.tensor.requires_grad() ||
                !wants(kind, parameter.module, now))
                continue;
            std::weak_ptr<Publisher> weak = shared_from_this();
            std::weak_ptr<Parameter> weak_parameter = entry.second;
            parameter.hooked = true;
            parameter.hook =
                parameter.tensor.register_hook([weak, weak_parameter](torch::Tensor gradient) {
                    const auto publisher = weak.lock();
                    const auto held = weak_parameter.lock();
                    if (publisher && held)
                        publisher->parameter_gradient(*held, gradient);
                });
        }
    }

    void publish_buffers() {
        Moment moment;
        moment.on = true;
        moment.serial = serial_;
        for (auto &record : records_) {
            const auto module = record->module.lock();
            if (!module || record->id == NAUHA_NONE ||
                !wants(NAUHA_KIND_BUFFERS, record->id, moment))
                continue;
            for (const auto &item : module->named_buffers(/*recurse=*/false))
                publish(NAUHA_KIND_BUFFERS, record->id, item.key(), moment, item.value());
        }
    }

    mutable std::recursive_mutex mutex_;
    nauha_recorder *recorder_;
    bool owned_;
    Notice notice_;
    std::set<std::string> told_;

    std::shared_ptr<torch::nn::Module> root_;
    std::vector<std::unique_ptr<Record>> records_;
    std::unordered_map<const torch::nn::Module *, Record *> by_address_;
    std::map<std::string, const Record *> names_;
    Identities identities_;
    std::unordered_map<std::string, uint32_t> slots_;
    bool unnamed_ = false;

    std::map<const c10::TensorImpl *, std::shared_ptr<Parameter>> parameters_;
    std::vector<nauha_parameter> values_;
    std::vector<View> views_;
    uint64_t walk_ = 0;

    bool by_hand_ = false;
    bool step_open_ = false;
    uint64_t serial_ = 0; /* number of steps that have begun */
    int depth_ = 0;       /* number of runs of the model that have not ended */
    Moment pass_;         /* the latest run of the model */
    std::vector<Probe> probes_;
    Counter runs_;
    Counter losses_;
    uint32_t tag_ = 0;
    uint32_t recorder_tag_ = 0;
    bool results_only_ = false;
};

} // namespace detail
} // namespace nauha
#endif
