/* SPDX-License-Identifier: MIT */
/* The front end for libtorch: records a training with a handful of lines.
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
 * The training is not changed: the same seed gives the same bits with and without an exporter.
 * What goes wrong while it runs is told once, through on_notice(), and never thrown.
 *
 * Threads: one training thread; backward may run in threads of libtorch's own.
 */
#ifndef NAUHA_TORCH_HPP
#define NAUHA_TORCH_HPP

#include <algorithm>
#include <stdexcept>

#include "nauha/torch_modules.hpp"

namespace nauha {

/* What set-up throws: a file that cannot be made, an option that does not exist. */
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

/* Keys and values as the command line has them without the dashes: {{"kinds", "weights,loss"},
 * {"codec", "lz4"}}; nauha_recorder_options() lists them. */
using Options = std::vector<std::pair<std::string, std::string>>;
/* Free-form facts that are kept in the trace: {{"model", "my net"}}. */
using Facts = std::vector<std::pair<std::string, std::string>>;

/* The type of what exporter(module) returns, for members of a model:
 * nauha::Observed<torch::nn::Conv2d> conv{nullptr}; */
template <class Module>
using Observed = detail::ObservedHolder<typename detail::module_of<Module>::type>;

/* What Exporter::set_model() returns: the model, to be called in its place. It and its exporter
 * may end in any order. */
template <class T> class Model {
  public:
    Model(std::shared_ptr<T> module, std::shared_ptr<detail::Publisher> publisher)
        : module_(std::move(module)), publisher_(std::move(publisher)) {
    }

    /* Runs the model. In training mode that begins the next step; in evaluation mode nothing is
     * published unless a tag is set. */
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

    /* For net->forward(x), net->train(), net->parameters(). */
    Model *operator->() {
        return this;
    }

    /* The module itself; its forward() is not observed. */
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

/* What Exporter::set_loss() returns: the loss function, to be called in its place. */
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

/* A tag that lasts until this ends; see Exporter::tag(). */
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

/* An evaluation that lasts until this ends; see Exporter::evaluation(). */
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
    /* Records to a new trace at `path`; with an empty path nothing is stored and messages reach
     * only a tap (see recorder()). rank and world_size: this process's place in a data-parallel
     * training. Throws Error. */
    explicit Exporter(const std::string &path, const Options &options = {}, const Facts &facts = {},
                      uint32_t rank = 0, uint32_t world_size = 1);
    explicit Exporter(const char *path, const Options &options = {}, const Facts &facts = {})
        : Exporter(std::string(path), options, facts) {
    }
    /* Uses a recorder that is open already; borrowed until close(). */
    explicit Exporter(nauha_recorder *recorder)
        : publisher_(std::make_shared<detail::Publisher>(recorder, false)) {
    }
    /* close() */
    ~Exporter() {
        close();
    }
    Exporter(const Exporter &) = delete;
    Exporter &operator=(const Exporter &) = delete;

    /* Where notices go: what cannot be observed, that recording has stopped and why. Each is
     * told once. The default prints them to stderr. */
    void on_notice(Notice notice) {
        publisher_->on_notice(std::move(notice));
    }

    /* For nauha_recorder_tap(), nauha_recorder_get_stats() and the like; borrowed, NULL after
     * close(). */
    nauha_recorder *recorder() const {
        return publisher_->recorder();
    }

    /* Says which model is trained. Call what is returned in its place: auto net =
     * exporter.set_model(model); auto y = net(x);  Takes a module holder or a shared_ptr. */
    template <class T> Model<T> set_model(std::shared_ptr<T> model) {
        publisher_->set_root(model);
        return Model<T>(std::move(model), publisher_);
    }
    template <class T> Model<T> set_model(const torch::nn::ModuleHolder<T> &model) {
        return set_model(model.ptr());
    }

    /* Publishes this module and everything in it: `depth` levels of it (0: the module alone;
     * negative: as the recorder's option "depth" says, all by default), and where `filter` names
     * classes ("Conv2d"), only modules of those. `name` is what a module that is not part of the
     * model is called; its parts continue it.
     *
     * Parameters, their gradients and updates, and buffers are published of all of them.
     * Activations and layer gradients need the module's runs to be seen: those of the entries of
     * a torch::nn::Sequential, wherever in the model it is, of Sequentials, of the model itself,
     * and of what exporter(module) returned. A notice names the others. */
    void add_modules(std::shared_ptr<torch::nn::Module> module, int depth = -1,
                     const std::vector<std::string> &filter = {}, const std::string &name = "");
    template <class T>
    void add_modules(const torch::nn::ModuleHolder<T> &module, int depth = -1,
                     const std::vector<std::string> &filter = {}, const std::string &name = "") {
        add_modules(std::static_pointer_cast<torch::nn::Module>(module.ptr()), depth, filter, name);
    }

    /* Publishes one module and returns it in a form that is seen to run, for use in a Sequential
     * or as a member of a model:
     *
     *     torch::nn::Sequential(exporter(torch::nn::Conv2d(3, 64, 5)), torch::nn::ReLU())
     *     conv = register_module("conv", exporter(torch::nn::Conv2d(3, 64, 5)));
     *
     * with the member declared as nauha::Observed<torch::nn::Conv2d> conv{nullptr}. Names,
     * parameters and modes are those of the module. */
    template <class T> Observed<T> operator()(const std::shared_ptr<T> &module);
    template <class T> Observed<T> operator()(const torch::nn::ModuleHolder<T> &module) {
        return (*this)(module.ptr());
    }
    /* A Sequential is returned as it is: its last entry tells what it gives. */
    torch::nn::Sequential operator()(torch::nn::Sequential module) {
        add_modules(module, 0);
        return module;
    }

    /* Says which loss function is used, so that network_output, input_labels and loss are
     * published: auto loss = exporter.set_loss(fn); loss(output, target).backward();  Takes a
     * function, a lambda or a module such as torch::nn::CrossEntropyLoss(). */
    template <class F> Loss<std::decay_t<F>> set_loss(F &&function) {
        return Loss<std::decay_t<F>>(std::forward<F>(function), publisher_);
    }

    /* Runs of the model while the scope lasts are published under this tag, in any mode, and
     * begin no step:
     *
     *     net->eval();
     *     { auto testing = exporter.tag("testing"); loss(net(x), y); }
     *
     * results_only: only network_output, input_labels and loss. */
    TagScope tag(const std::string &name, bool results_only = false) {
        return TagScope(publisher_, publisher_->tag_number(name), results_only);
    }
    /* The same without a scope; "default" ends it. */
    void set_tag(const std::string &name, bool results_only = false) {
        publisher_->set_tag(publisher_->tag_number(name), results_only);
    }

    /* The same for an evaluation that leaves the training as it was: while the scope lasts the
     * model is in evaluation mode, without gradients and autocast; afterwards every module has its
     * mode, every buffer its values, and the default random generators their states again. */
    EvaluationScope evaluation(const std::string &name, bool results_only = false) {
        return EvaluationScope(publisher_, publisher_->tag_number(name), results_only);
    }

    /* Has `run` called in such an evaluation as every n-th step begins, from the first on:
     *
     *     exporter.probe("svcca_testing", 100, [&] { net(x_test); });
     *     exporter.probe("testing", 500, [&] { loss(net(x_test), y_test); }, true);
     *
     * The parameters and buffers are those that the step's `weights`, `biases` and `buffers` tell.
     * Steps in which nothing of the pass is recorded are left out. Throws Error for n = 0 and for
     * the tag "default". */
    void probe(const std::string &name, uint64_t every, std::function<void()> run,
               bool results_only = false);

    /* From now on step() ends steps, not the model's next run; for gradient accumulation and for
     * several models. Runs of a module within a step are told apart by their call number. */
    void step_by_hand() {
        publisher_->step_by_hand();
    }
    /* Ends the open step: publishes its weights, biases and updates. */
    void step() {
        publisher_->end_step();
    }

    /* To be called whenever the training set has been run through once. Ends the open step. */
    void epoch_finished() {
        publisher_->epoch_finished();
    }

    /* Puts the model in training or in evaluation mode. */
    void train(bool on = true) {
        if (publisher_->root())
            publisher_->root()->train(on);
    }
    void eval() {
        train(false);
    }

    /* Stops a module's parameters from being trained. */
    void freeze_module(torch::nn::Module &module) {
        for (auto &parameter : module.parameters())
            parameter.set_requires_grad(false);
    }
    template <class T> void freeze_module(const torch::nn::ModuleHolder<T> &module) {
        freeze_module(*module.ptr());
    }

    /* Ends the open step and the recording; false, with a notice, where the trace is not complete.
     * The model goes on working. */
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
    /* entries of Sequentials that are tapped, by sequence and position */
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
    /* The topmost module is the model or something whose place in it is not known here. */
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

/* Replaces an entry that holds exactly a T. */
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

/* Puts a tap before every entry of every Sequential, typed where the class is one of libtorch's
 * that programs ask for with Sequential::at<T>(). */
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
