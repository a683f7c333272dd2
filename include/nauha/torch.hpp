/* SPDX-License-Identifier: MIT */
/* The front end for libtorch: it records a C++ training with a few added lines.
 *
 *     nauha::Exporter exporter("run.h5");
 *     auto net = exporter.set_model(model);      // call net instead of model
 *     exporter.add_modules(model);
 *     auto loss = exporter.set_loss(torch::nn::CrossEntropyLoss());
 *     for (...) {                                // as before
 *         optimizer.zero_grad();
 *         loss(net(x), y).backward();
 *         optimizer.step();
 *     }
 *     exporter.epoch_finished();
 *
 * The exporter does not change the training: the same seed gives the same bits with and without it.
 * Errors during the training are never thrown, but reported once, through on_notice().
 *
 * Threads: one training thread; backward passes may run in libtorch's own threads.
 */
#ifndef NAUHA_TORCH_HPP
#define NAUHA_TORCH_HPP

#include <algorithm>
#include <stdexcept>

#include "nauha/torch_modules.hpp"

namespace nauha {

/* Thrown while an exporter is set up, for example if the file cannot be created or an option does
 * not exist. */
class Error : public std::runtime_error {
  public:
    explicit Error(const nauha_error &error)
        : std::runtime_error(error.message), code_(error.code) {
    }
    nauha_status code() const noexcept {
        return code_;
    }

  private:
    nauha_status code_;
};

/* The options of `nauha record` without dashes, such as {{"kinds", "weights,loss"}, {"codec",
 * "lz4"}}. nauha_recorder_options() and nauha_selector_options() list them. */
using Options = std::vector<std::pair<std::string, std::string>>;
/* Facts about the run that the trace keeps, any keys and values: {{"model", "my net"}}. */
using Facts = std::vector<std::pair<std::string, std::string>>;

/* The type of exporter(module), for declaring members of a model:
 * nauha::Observed<torch::nn::Conv2d> conv{nullptr}; */
template <class Module>
using Observed = detail::ObservedHolder<typename detail::module_of<Module>::type>;

/* The result of Exporter::set_model(): call it in place of the model. It and the exporter may be
 * destroyed in any order. */
template <class T> class Model {
  public:
    Model(std::shared_ptr<T> module, std::shared_ptr<detail::Publisher> publisher)
        : module_(std::move(module)), publisher_(std::move(publisher)) {
    }

    /* Runs the model. In training mode, without a tag, this begins the next step (but see
     * Exporter::step_by_hand()); in evaluation mode nothing is published unless a tag is set. */
    template <class... A> auto forward(A &&...arguments) {
        detail::Publisher &to = *publisher_;
        const Pass pass(to, module_->is_training());
        if (!to.results_only() && to.wants(NAUHA_KIND_INPUT_DATA, NAUHA_NONE, pass.moment))
            detail::each_argument(
                detail::PublishInput{to, NAUHA_KIND_INPUT_DATA, NAUHA_NONE, pass.moment},
                arguments...);
        detail::Record *record = to.find(module_.get());
        detail::Moment moment;
        if (record && !is_observed()) {
            moment = to.enter(*record, *module_);
            if (to.wants(NAUHA_KIND_INPUTS, record->id, moment))
                detail::each_argument(
                    detail::PublishInput{to, NAUHA_KIND_INPUTS, record->id, moment}, arguments...);
        }
        auto output = module_->forward(std::forward<A>(arguments)...);
        if (moment.on)
            detail::each_tensor(output, "", detail::PublishActivation{to, *record, moment});
        return output;
    }
    template <class... A> auto operator()(A &&...arguments) {
        return forward(std::forward<A>(arguments)...);
    }

    /* So that net->forward(x), net->train() and net->parameters() work as for a module holder. */
    Model *operator->() {
        return this;
    }

    /* The module itself. A call of its forward() is not observed. */
    T &operator*() const {
        return *module_;
    }
    const std::shared_ptr<T> &ptr() const {
        return module_;
    }

    void train(bool on = true) {
        module_->train(on);
    }
    void eval() {
        module_->eval();
    }
    bool is_training() const {
        return module_->is_training();
    }
    template <class... A> void to(A &&...arguments) {
        module_->to(std::forward<A>(arguments)...);
    }
    void zero_grad() {
        module_->zero_grad();
    }
    std::vector<torch::Tensor> parameters(bool recurse = true) const {
        return module_->parameters(recurse);
    }
    torch::OrderedDict<std::string, torch::Tensor> named_parameters(bool recurse = true) const {
        return module_->named_parameters(recurse);
    }
    std::vector<torch::Tensor> buffers(bool recurse = true) const {
        return module_->buffers(recurse);
    }

  private:
    struct Pass {
        detail::Publisher &publisher;
        detail::Moment moment;

        Pass(detail::Publisher &to, bool training)
            : publisher(to), moment(to.begin_pass(training)) {
        }
        ~Pass() {
            publisher.end_pass();
        }
        Pass(const Pass &) = delete;
        Pass &operator=(const Pass &) = delete;
    };

    bool is_observed() const {
        return dynamic_cast<const detail::ObservedBase *>(
                   static_cast<const torch::nn::Module *>(module_.get())) != nullptr;
    }

    std::shared_ptr<T> module_;
    std::shared_ptr<detail::Publisher> publisher_;
};

/* The result of Exporter::set_loss(): call it in place of the loss function. */
template <class F> class Loss {
  public:
    Loss(F function, std::shared_ptr<detail::Publisher> publisher)
        : function_(std::move(function)), publisher_(std::move(publisher)) {
    }

    /* Computes the loss and publishes network_output, input_labels and loss. */
    template <class Output, class Target, class... A>
    auto operator()(const Output &output, const Target &target, A &&...more) {
        auto loss = function_(output, target, std::forward<A>(more)...);
        detail::Publisher &to = *publisher_;
        const detail::Moment moment = to.loss_ran();
        if (moment.on) {
            publish(NAUHA_KIND_NETWORK_OUTPUT, moment, output);
            publish(NAUHA_KIND_INPUT_LABELS, moment, target);
            publish(NAUHA_KIND_LOSS, moment, loss);
        }
        return loss;
    }

  private:
    template <class T> void publish(uint32_t kind, const detail::Moment &moment, const T &value) {
        detail::each_tensor(value, "", detail::PublishInput{*publisher_, kind, NAUHA_NONE, moment});
    }

    F function_;
    std::shared_ptr<detail::Publisher> publisher_;
};

/* Sets a tag until it is destroyed; see Exporter::tag(). */
class [[nodiscard]] TagScope {
  public:
    TagScope(std::shared_ptr<detail::Publisher> publisher, uint32_t tag, bool results_only)
        : publisher_(std::move(publisher)), before_(publisher_->set_tag(tag, results_only)) {
    }
    ~TagScope() {
        publisher_->set_tag(before_.first, before_.second);
    }
    TagScope(const TagScope &) = delete;
    TagScope &operator=(const TagScope &) = delete;

  private:
    std::shared_ptr<detail::Publisher> publisher_;
    std::pair<uint32_t, bool> before_;
};

/* An evaluation, until it is destroyed; see Exporter::evaluation(). */
class [[nodiscard]] EvaluationScope {
  public:
    EvaluationScope(std::shared_ptr<detail::Publisher> publisher, uint32_t tag, bool results_only)
        : untouched_(publisher->root()), tag_(std::move(publisher), tag, results_only) {
    }

  private:
    detail::Untouched untouched_;
    TagScope tag_;
};

class Exporter {
  public:
    /* Records to a new trace at `path`. With an empty path nothing is stored, and messages reach
     * only a tap, see nauha_recorder_tap(). rank and world_size are the rank of this process in a
     * data-parallel training and the number of ranks. Throws Error. */
    explicit Exporter(const std::string &path, const Options &options = {}, const Facts &facts = {},
                      uint32_t rank = 0, uint32_t world_size = 1);
    explicit Exporter(const char *path, const Options &options = {}, const Facts &facts = {})
        : Exporter(std::string(path), options, facts) {
    }
    /* Uses an open recorder, which is borrowed until close(). */
    explicit Exporter(nauha_recorder *recorder)
        : publisher_(std::make_shared<detail::Publisher>(recorder, false)) {
    }
    /* Calls close(). */
    ~Exporter() {
        close();
    }
    Exporter(const Exporter &) = delete;
    Exporter &operator=(const Exporter &) = delete;

    /* Sets the function that receives notices, for example that a module cannot be observed, or
     * that recording has stopped and why. Each notice is given once. The default prints it to
     * stderr. */
    void on_notice(Notice notice) {
        publisher_->on_notice(std::move(notice));
    }

    /* The recorder, for nauha_recorder_tap(), nauha_recorder_get_stats() and so on. Borrowed until
     * close(), after which this is NULL. */
    nauha_recorder *recorder() const {
        return publisher_->recorder();
    }

    /* Sets the model that is trained, a module holder or a shared_ptr. Call the result in place of
     * the model: auto net = exporter.set_model(model); auto y = net(x); */
    template <class T> Model<T> set_model(std::shared_ptr<T> model) {
        publisher_->set_root(model);
        return Model<T>(std::move(model), publisher_);
    }
    template <class T> Model<T> set_model(const torch::nn::ModuleHolder<T> &model) {
        return set_model(model.ptr());
    }

    /* Publishes this module and its submodules: `depth` levels of them (0: only the module itself;
     * negative: as many as the recorder's option "depth" says, by default all), and only modules of
     * the classes in `filter`, such as "Conv2d", unless it is empty. `name` is the name of the
     * module if it is not part of the model; the names of its submodules begin with it.
     *
     * Parameters, their gradients and updates, and buffers are published for all of them.
     * Activations and layer gradients are published only for modules whose calls can be observed:
     * the model itself, Sequentials and their entries, wherever they are in the model, and modules
     * that exporter(module) returned. A notice names the others. */
    void add_modules(std::shared_ptr<torch::nn::Module> module, int depth = -1,
                     const std::vector<std::string> &filter = {}, const std::string &name = "");
    template <class T>
    void add_modules(const torch::nn::ModuleHolder<T> &module, int depth = -1,
                     const std::vector<std::string> &filter = {}, const std::string &name = "") {
        add_modules(std::static_pointer_cast<torch::nn::Module>(module.ptr()), depth, filter, name);
    }

    /* Publishes a module, and returns it with calls that are observed, for use in a Sequential or
     * as a member of a model:
     *
     *     torch::nn::Sequential(exporter(torch::nn::Conv2d(3, 64, 5)), torch::nn::ReLU())
     *     conv = register_module("conv", exporter(torch::nn::Conv2d(3, 64, 5)));
     *
     * with the member declared as nauha::Observed<torch::nn::Conv2d> conv{nullptr}. The result is a
     * copy that shares the parameters, buffers and submodules of the module. */
    template <class T> Observed<T> operator()(const std::shared_ptr<T> &module);
    template <class T> Observed<T> operator()(const torch::nn::ModuleHolder<T> &module) {
        return (*this)(module.ptr());
    }
    /* A Sequential is returned as it is: its output is that of its last entry. */
    torch::nn::Sequential operator()(torch::nn::Sequential module) {
        add_modules(module, 0);
        return module;
    }

    /* Sets the loss function: a function, a lambda or a module such as
     * torch::nn::CrossEntropyLoss(). The result is called in its place and publishes
     * network_output, input_labels and loss:
     *
     *     auto loss = exporter.set_loss(fn);
     *     loss(output, target).backward(); */
    template <class F> Loss<std::decay_t<F>> set_loss(F &&function) {
        return Loss<std::decay_t<F>>(std::forward<F>(function), publisher_);
    }

    /* While the scope lasts, runs of the model are published with this tag, in any mode, and do not
     * begin a step:
     *
     *     net->eval();
     *     { auto testing = exporter.tag("testing"); loss(net(x), y); }
     *
     * With results_only, only network_output, input_labels and loss are published. */
    TagScope tag(const std::string &name, bool results_only = false) {
        return TagScope(publisher_, publisher_->tag_number(name), results_only);
    }
    /* The same without a scope, until it is called with "default". */
    void set_tag(const std::string &name, bool results_only = false) {
        publisher_->set_tag(publisher_->tag_number(name), results_only);
    }

    /* The same for an evaluation that does not affect the training. While the scope lasts, the
     * model is in evaluation mode, without gradients and autocast. At its end, the modes of the
     * modules, the values of the buffers and the states of the default random generators are
     * restored. */
    EvaluationScope evaluation(const std::string &name, bool results_only = false) {
        return EvaluationScope(publisher_, publisher_->tag_number(name), results_only);
    }

    /* Calls `run` in such an evaluation at the beginning of every n-th step, where n is `every`,
     * beginning with the first:
     *
     *     exporter.probe("svcca_testing", 100, [&] { net(x_test); });
     *     exporter.probe("testing", 500, [&] { loss(net(x_test), y_test); }, true);
     *
     * The parameters and buffers have the values that the step records as `weights`, `biases` and
     * `buffers`. In steps in which none of the messages would be recorded, `run` is not called. If
     * it throws, a notice says so. Throws Error if every is 0, or name is "default" or invalid. */
    void probe(const std::string &name, uint64_t every, std::function<void()> run,
               bool results_only = false);

    /* From now on, steps end when step() is called, not when the model runs again: for gradient
     * accumulation and for several models. The field `call` distinguishes the runs of a module in a
     * step. */
    void step_by_hand() {
        publisher_->step_by_hand();
    }
    /* Ends the open step: publishes its weights, biases and updates. */
    void step() {
        publisher_->end_step();
    }

    /* Ends the open step and the epoch: call it after each pass over the training set. */
    void epoch_finished() {
        publisher_->epoch_finished();
    }

    /* Sets the model to training or evaluation mode. */
    void train(bool on = true) {
        if (publisher_->root())
            publisher_->root()->train(on);
    }
    void eval() {
        train(false);
    }

    /* Excludes the parameters of a module from training: sets requires_grad to false. */
    void freeze_module(torch::nn::Module &module) {
        for (auto &parameter : module.parameters())
            parameter.set_requires_grad(false);
    }
    template <class T> void freeze_module(const torch::nn::ModuleHolder<T> &module) {
        freeze_module(*module.ptr());
    }

    /* Writes the steps in full that the option "flight" holds in memory, and those that follow; see
     * nauha_recorder_dump(). An exception that destroys the exporter does the same. Throws Error
     * without that option. */
    void dump(const std::string &reason) {
        nauha_error error = NAUHA_ERROR_INIT;
        if (recorder() && nauha_recorder_dump(recorder(), reason.c_str(), &error) != NAUHA_OK)
            throw Error(error);
    }

    /* Ends the open step and the recording. Returns false, with a notice, if the trace is
     * incomplete. The model can still be used. */
    bool close() {
        return publisher_->close();
    }

  private:
    struct Walk {
        int depth;
        std::vector<std::string> filter;
        std::vector<std::string> unseen;
    };

    void walk(Walk &walk, const std::shared_ptr<torch::nn::Module> &module,
              const torch::nn::Module *parent, const std::string &name, int depth);
    bool is_seen(const torch::nn::Module &module, const torch::nn::Module *parent) const;
    void tap_entries(const std::shared_ptr<torch::nn::Module> &module);
    void tell_unseen(const Walk &walk);

    std::shared_ptr<detail::Publisher> publisher_;
    /* The Sequentials whose entries are observed, by Sequential and position of the entry. */
    std::map<std::pair<const void *, size_t>, std::weak_ptr<torch::nn::SequentialImpl>> tapped_;
};

/* ---- definitions ---- */

inline Exporter::Exporter(const std::string &path, const Options &options, const Facts &facts,
                          uint32_t rank, uint32_t world_size) {
    nauha_error error = NAUHA_ERROR_INIT;
    auto check = [&error](nauha_status status) {
        if (status != NAUHA_OK)
            throw Error(error);
    };
    const std::unique_ptr<nauha_recorder_config, void (*)(nauha_recorder_config *)> config(
        nauha_recorder_config_new(), nauha_recorder_config_free);
    if (!config)
        throw std::bad_alloc();
    for (const auto &option : options)
        check(nauha_recorder_config_set(config.get(), option.first.c_str(), option.second.c_str(),
                                        &error));
    for (const auto &fact : facts)
        check(nauha_recorder_config_describe(config.get(), fact.first.c_str(), fact.second.c_str(),
                                             &error));
    check(nauha_recorder_config_set_rank(config.get(), rank, world_size, &error));
    nauha_recorder *recorder = nullptr;
    check(nauha_recorder_open(path.empty() ? nullptr : path.c_str(), config.get(), &recorder,
                              &error));
    publisher_ = std::make_shared<detail::Publisher>(recorder, true);
}

inline void Exporter::probe(const std::string &name, uint64_t every, std::function<void()> run,
                            bool results_only) {
    nauha_error error = NAUHA_ERROR_INIT;
    if (every == 0)
        nauha_error_set(&error, NAUHA_INVALID, "probes every 0 steps: expected 1 or more");
    const uint32_t tag = publisher_->tag_number(name);
    if (every > 0 && tag == 0)
        nauha_error_set(&error, NAUHA_INVALID, "\"%s\" cannot be the tag of probes", name.c_str());
    if (error.code != NAUHA_OK)
        throw Error(error);
    publisher_->add_probe({tag, results_only, every, std::move(run)});
}

template <class T> Observed<T> Exporter::operator()(const std::shared_ptr<T> &module) {
    auto observed = std::make_shared<detail::ObservedImpl<T>>(*module);
    observed->publisher = publisher_;
    const std::string name = detail::class_name(typeid(T));
    publisher_->add(observed, name, name);
    return Observed<T>(std::move(observed));
}

inline void Exporter::add_modules(std::shared_ptr<torch::nn::Module> module, int depth,
                                  const std::vector<std::string> &filter, const std::string &name) {
    if (!module || !recorder())
        return;
    Walk state{depth < 0 ? nauha_recorder_depth(recorder()) : depth, filter, {}};
    walk(state, module, nullptr, name, 0);
    tap_entries(module);
    tell_unseen(state);
}

inline void Exporter::walk(Walk &state, const std::shared_ptr<torch::nn::Module> &module,
                           const torch::nn::Module *parent, const std::string &name, int depth) {
    const std::string class_name = detail::class_name(*module);
    const auto &filter = state.filter;
    if (filter.empty() || std::find(filter.begin(), filter.end(), class_name) != filter.end()) {
        publisher_->add(module, name, class_name);
        if (!is_seen(*module, parent))
            state.unseen.push_back("\"" + name + "\" (" + class_name + ")");
    }
    if (state.depth >= 0 && depth >= state.depth)
        return;
    for (const auto &child : module->named_children())
        walk(state, child.value(), module.get(), detail::join(name, child.key()), depth + 1);
}

inline bool Exporter::is_seen(const torch::nn::Module &module,
                              const torch::nn::Module *parent) const {
    using namespace torch::nn;
    /* The module given to add_modules() is the model, or its place in the model is not known. */
    return !parent || publisher_->is_root(&module) || typeid(module) == typeid(SequentialImpl) ||
           dynamic_cast<const SequentialImpl *>(parent) ||
           dynamic_cast<const detail::ObservedBase *>(&module) ||
           typeid(module) == typeid(ModuleListImpl) || typeid(module) == typeid(ModuleDictImpl) ||
           typeid(module) == typeid(ParameterListImpl) ||
           typeid(module) == typeid(ParameterDictImpl);
}

inline void Exporter::tell_unseen(const Walk &state) {
    if (state.unseen.empty())
        return;
    const size_t most = 8;
    std::string text = "the calls of these modules cannot be observed, so only their parameters "
                       "are recorded, not their activations and layer gradients: ";
    for (size_t i = 0; i < state.unseen.size() && i < most; i++)
        text += (i ? ", " : "") + state.unseen[i];
    if (state.unseen.size() > most)
        text += " and " + std::to_string(state.unseen.size() - most) + " more";
    text += "; to record everything, put the modules into a torch::nn::Sequential, or declare the "
            "members as nauha::Observed<...> and make them with exporter(module)";
    publisher_->tell(text);
}

namespace detail {

/* Makes an entry of a Sequential observed if its class is exactly T; else returns false. */
template <class T> bool tap_as(torch::nn::AnyModule &entry, const Tap &tap) {
    if (entry.type_info() != typeid(T))
        return false;
    auto module = std::dynamic_pointer_cast<T>(entry.ptr());
    entry = torch::nn::AnyModule(std::make_shared<Tapped<T>>(std::move(module), tap));
    return true;
}

template <class... T> bool tap_as_one_of(torch::nn::AnyModule &entry, const Tap &tap) {
    return (tap_as<T>(entry, tap) || ...);
}

} // namespace detail

/* Makes every entry of every Sequential in the module observed. Entries of the classes listed here,
 * which programs ask for with Sequential::at<T>(), keep their type. */
inline void Exporter::tap_entries(const std::shared_ptr<torch::nn::Module> &module) {
    using namespace torch::nn;
    for (const auto &part : module->modules()) {
        const auto sequence = std::dynamic_pointer_cast<SequentialImpl>(part);
        if (!sequence)
            continue;
        size_t position = 0;
        for (auto &entry : *sequence) {
            const size_t here = position++;
            auto &tapped = tapped_[{sequence.get(), here}];
            if (entry.is_empty() || !tapped.expired())
                continue;
            tapped = sequence;
            const detail::Tap tap(publisher_, entry, sequence, here);
            if (!detail::tap_as_one_of<LinearImpl, BilinearImpl, Conv1dImpl, Conv2dImpl, Conv3dImpl,
                                       ConvTranspose1dImpl, ConvTranspose2dImpl,
                                       ConvTranspose3dImpl, EmbeddingImpl, LayerNormImpl,
                                       GroupNormImpl, ReLUImpl, LeakyReLUImpl, GELUImpl, SiLUImpl,
                                       SigmoidImpl, TanhImpl, FlattenImpl>(entry, tap))
                entry = AnyModule(std::make_shared<detail::TappedAny>(tap));
        }
    }
}

} // namespace nauha
#endif
