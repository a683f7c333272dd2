/* SPDX-License-Identifier: MIT */
/* A part of nauha/torch.hpp, not for direct use: observing the calls of modules. libtorch has no
 * module hooks, so that either the class of the module is extended (Observed), or its entry in a
 * Sequential is replaced (Tapped).
 */
#ifndef NAUHA_TORCH_MODULES_HPP
#define NAUHA_TORCH_MODULES_HPP

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "nauha/torch_publisher.hpp"

namespace nauha {
namespace detail {

/* The optional of libtorch, which is std::optional from version 2.4 on. */
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
template <class T> using Optional = std::optional<T>;
#else
template <class T> using Optional = c10::optional<T>;
#endif

/* ---- the tensors in the arguments and results of modules ---- */

/* Calls fn(path, tensor) for each tensor in a value. The path is "" for a value that is a tensor;
 * indices such as "0" and "1.0" in tuples, pairs and lists; and keys in dictionaries. Values of
 * other types have no tensors. */
template <class F>
void each_tensor(const torch::Tensor &tensor, const std::string &path, const F &fn) {
    if (tensor.defined())
        fn(path, tensor);
}
template <class T, class F>
void each_tensor(const std::vector<T> &list, const std::string &path, const F &fn);
template <class T, size_t N, class F>
void each_tensor(const std::array<T, N> &list, const std::string &path, const F &fn);
template <class T, class F>
void each_tensor(const Optional<T> &value, const std::string &path, const F &fn);
template <class A, class B, class F>
void each_tensor(const std::pair<A, B> &pair, const std::string &path, const F &fn);
template <class... T, class F>
void each_tensor(const std::tuple<T...> &tuple, const std::string &path, const F &fn);
template <class T, class F>
void each_tensor(const std::map<std::string, T> &map, const std::string &path, const F &fn);
template <class T, class F>
void each_tensor(const torch::OrderedDict<std::string, T> &map, const std::string &path,
                 const F &fn);
template <class T, class F> void each_tensor(const T &, const std::string &, const F &) {
}

inline std::string join(const std::string &path, const std::string &key) {
    return path.empty() ? key : path + "." + key;
}

template <class T, class F>
void each_tensor(const std::vector<T> &list, const std::string &path, const F &fn) {
    for (size_t i = 0; i < list.size(); i++)
        each_tensor(list[i], join(path, std::to_string(i)), fn);
}
template <class T, size_t N, class F>
void each_tensor(const std::array<T, N> &list, const std::string &path, const F &fn) {
    for (size_t i = 0; i < N; i++)
        each_tensor(list[i], join(path, std::to_string(i)), fn);
}
template <class T, class F>
void each_tensor(const Optional<T> &value, const std::string &path, const F &fn) {
    if (value)
        each_tensor(*value, path, fn);
}
template <class A, class B, class F>
void each_tensor(const std::pair<A, B> &pair, const std::string &path, const F &fn) {
    each_tensor(pair.first, join(path, "0"), fn);
    each_tensor(pair.second, join(path, "1"), fn);
}
template <class Tuple, class F, size_t... I>
void each_element(const Tuple &tuple, const std::string &path, const F &fn,
                  std::index_sequence<I...>) {
    (each_tensor(std::get<I>(tuple), join(path, std::to_string(I)), fn), ...);
}
template <class... T, class F>
void each_tensor(const std::tuple<T...> &tuple, const std::string &path, const F &fn) {
    each_element(tuple, path, fn, std::index_sequence_for<T...>{});
}
template <class T, class F>
void each_tensor(const std::map<std::string, T> &map, const std::string &path, const F &fn) {
    for (const auto &item : map)
        each_tensor(item.second, join(path, item.first), fn);
}
template <class T, class F>
void each_tensor(const torch::OrderedDict<std::string, T> &map, const std::string &path,
                 const F &fn) {
    for (const auto &item : map)
        each_tensor(item.value(), join(path, item.key()), fn);
}

/* The same for the arguments of a module; if there is one argument, its path is "". */
template <class F, class... A> void each_argument(const F &fn, const A &...arguments) {
    if constexpr (sizeof...(A) == 1)
        (each_tensor(arguments, "", fn), ...);
    else
        each_tensor(std::tie(arguments...), "", fn);
}

template <class T, class F> bool each_tensor_if(torch::nn::AnyValue &value, const F &fn) {
    T *held = value.try_get<T>();
    if (held)
        each_tensor(*held, "", fn);
    return held != nullptr;
}

/* The same for a value whose type is known only at run time; false if the type is none of these. */
template <class F> bool each_tensor_in(torch::nn::AnyValue &value, const F &fn) {
    using T = torch::Tensor;
    return each_tensor_if<T>(value, fn) || each_tensor_if<std::tuple<T, T>>(value, fn) ||
           each_tensor_if<std::tuple<T, std::tuple<T, T>>>(value, fn) ||
           each_tensor_if<std::tuple<T, T, T>>(value, fn) ||
           each_tensor_if<std::tuple<T, T, T, T>>(value, fn) ||
           each_tensor_if<std::vector<T>>(value, fn) ||
           each_tensor_if<std::tuple<T, std::vector<T>>>(value, fn) ||
           each_tensor_if<std::pair<T, T>>(value, fn) || each_tensor_if<Optional<T>>(value, fn) ||
           each_tensor_if<std::map<std::string, T>>(value, fn) ||
           each_tensor_if<torch::OrderedDict<std::string, T>>(value, fn);
}

/* ---- publishing a call of a module ---- */

struct PublishActivation {
    Publisher &publisher;
    Record &record;
    const Moment &moment;

    void operator()(const std::string &path, const torch::Tensor &tensor) const {
        publisher.publish(NAUHA_KIND_ACTIVATIONS, record.id, path, moment, tensor);
        publisher.publish_gradient_of(tensor, record, path, moment);
    }
};

struct PublishInput {
    Publisher &publisher;
    uint32_t kind;
    uint32_t module;
    const Moment &moment;

    void operator()(const std::string &path, const torch::Tensor &tensor) const {
        publisher.publish(kind, module, path, moment, tensor);
    }
};

/* ---- modules whose class is extended ---- */

class ObservedBase {
  public:
    virtual ~ObservedBase() = default;
    virtual std::string observed_class() const = 0;
    /* The publisher of its calls; empty in a clone. */
    std::weak_ptr<Publisher> publisher;
};

inline std::string class_name(const torch::nn::Module &module) {
    if (const auto *observed = dynamic_cast<const ObservedBase *>(&module))
        return observed->observed_class();
    return class_name(typeid(module));
}

/* The type of a member function, such as &T::forward, without const and noexcept. */
template <class F> struct plain_signature;
template <class C, class R, class... A> struct plain_signature<R (C::*)(A...)> {
    using type = R (C::*)(A...);
};
template <class C, class R, class... A> struct plain_signature<R (C::*)(A...) const> {
    using type = R (C::*)(A...);
};
template <class C, class R, class... A> struct plain_signature<R (C::*)(A...) noexcept> {
    using type = R (C::*)(A...);
};
template <class C, class R, class... A> struct plain_signature<R (C::*)(A...) const noexcept> {
    using type = R (C::*)(A...);
};
template <class T> using signature_of = typename plain_signature<decltype(&T::forward)>::type;

template <class T, class Signature = signature_of<T>> class ObservedImpl;

/* A T whose forward() publishes. It is a copy of a T, with which it shares parameters, buffers and
 * submodules, as all copies of modules do. */
template <class T, class C, class R, class... A>
class ObservedImpl<T, R (C::*)(A...)> : public T, public ObservedBase {
  public:
    static_assert(std::is_copy_constructible<T>::value,
                  "exporter(module) extends a copy of the module, which needs a copy constructor");

    /* The copy constructor of T does not copy its virtual base Module. */
    explicit ObservedImpl(const T &module) : T(module) {
        torch::nn::Module::operator=(module);
    }

    R forward(A... arguments) {
        return observe(std::forward<A>(arguments)...);
    }

    /* The same as forward(), but also with the default arguments of T::forward(). */
    template <class... B> R observe(B &&...arguments) {
        const auto to = publisher.lock();
        Record *record = to ? to->find(this) : nullptr;
        if (!record)
            return T::forward(std::forward<B>(arguments)...);
        const Moment moment = to->enter(*record, *this);
        if (to->wants(NAUHA_KIND_INPUTS, record->id, moment))
            each_argument(PublishInput{*to, NAUHA_KIND_INPUTS, record->id, moment}, arguments...);
        R result = T::forward(std::forward<B>(arguments)...);
        if (moment.on)
            each_tensor(result, "", PublishActivation{*to, *record, moment});
        return result;
    }

    std::string observed_class() const override {
        return class_name(typeid(T));
    }

    /* A clone is another module, which is not published. */
    std::shared_ptr<torch::nn::Module>
    clone(const Optional<torch::Device> &device = {}) const override {
        const auto copy = std::dynamic_pointer_cast<T>(T::clone(device));
        TORCH_CHECK(copy, "clone() of a module gave a module of another class");
        return std::make_shared<ObservedImpl>(*copy);
    }
};

template <class T> class ObservedHolder : public torch::nn::ModuleHolder<ObservedImpl<T>> {
  public:
    using torch::nn::ModuleHolder<ObservedImpl<T>>::ModuleHolder;

    template <class... A> auto operator()(A &&...arguments) {
        return this->get()->observe(std::forward<A>(arguments)...);
    }
};

template <class M, class = void> struct module_of { using type = M; };
template <class M> struct module_of<M, std::void_t<typename M::ContainedType>> {
    using type = typename M::ContainedType;
};

/* ---- entries of Sequentials ---- */

template <size_t... I>
torch::nn::AnyValue call_with(torch::nn::AnyModule &module,
                              std::vector<torch::nn::AnyValue> &arguments,
                              std::index_sequence<I...>) {
    return module.any_forward(std::move(arguments[I])...);
}

inline torch::nn::AnyValue call_any(torch::nn::AnyModule &module,
                                    std::vector<torch::nn::AnyValue> &&arguments) {
    switch (arguments.size()) {
    case 0:
        return module.any_forward();
    case 1:
        return call_with(module, arguments, std::make_index_sequence<1>{});
    case 2:
        return call_with(module, arguments, std::make_index_sequence<2>{});
    case 3:
        return call_with(module, arguments, std::make_index_sequence<3>{});
    case 4:
        return call_with(module, arguments, std::make_index_sequence<4>{});
    case 5:
        return call_with(module, arguments, std::make_index_sequence<5>{});
    case 6:
        return call_with(module, arguments, std::make_index_sequence<6>{});
    case 7:
        return call_with(module, arguments, std::make_index_sequence<7>{});
    case 8:
        return call_with(module, arguments, std::make_index_sequence<8>{});
    default:
        TORCH_CHECK(false, "an observed module takes ", arguments.size(),
                    " arguments, but nauha passes on at most 8");
    }
}

/* Observes the calls of an entry of a Sequential. */
class Tap {
  public:
    Tap(std::weak_ptr<Publisher> publisher, torch::nn::AnyModule inner,
        const std::shared_ptr<torch::nn::SequentialImpl> &sequence, size_t position)
        : publisher_(std::move(publisher)), inner_(std::move(inner)), sequence_(sequence),
          position_(position) {
    }

    std::shared_ptr<torch::nn::Module> module() const {
        return inner_.ptr();
    }

    /* A tap on a deep copy of the entry, which is another module and is not published. */
    Tap clone(Optional<torch::Device> device) const {
        return Tap({}, inner_.clone(device), nullptr, 0);
    }

    torch::nn::AnyValue run(std::vector<torch::nn::AnyValue> &&arguments) {
        const auto to = publisher_.lock();
        if (!to || !to->recorder())
            return call_any(inner_, std::move(arguments));
        const auto module = inner_.ptr();
        /* An observed module publishes its calls itself. */
        Record *record =
            dynamic_cast<const ObservedBase *>(module.get()) ? nullptr : to->find(module.get());
        Moment moment;
        if (record) {
            moment = to->enter(*record, *module);
            if (to->wants(NAUHA_KIND_INPUTS, record->id, moment))
                inputs(*to, *record, moment, arguments);
        }
        torch::nn::AnyValue output = call_any(inner_, std::move(arguments));
        if (record)
            report(*to, *record, moment, output);
        report_sequence(*to, output);
        return output;
    }

  private:
    static void inputs(Publisher &to, const Record &record, const Moment &moment,
                       std::vector<torch::nn::AnyValue> &arguments) {
        const PublishInput publish{to, NAUHA_KIND_INPUTS, record.id, moment};
        for (size_t i = 0; i < arguments.size(); i++) {
            const std::string prefix = arguments.size() == 1 ? "" : std::to_string(i);
            each_tensor_in(arguments[i], [&](const std::string &path, const torch::Tensor &tensor) {
                publish(prefix.empty() || path.empty() ? prefix + path : prefix + "." + path,
                        tensor);
            });
        }
    }

    static void report(Publisher &to, Record &record, const Moment &moment,
                       torch::nn::AnyValue &output) {
        if (moment.on && !each_tensor_in(output, PublishActivation{to, record, moment}))
            to.tell("the activations of \"" + record.name + "\" (" + record.class_name +
                    ") are not recorded: it returns " +
                    std::string(c10::demangle(output.type_info().name())));
    }

    /* Publishes the output of the last entry as that of the Sequential. Not for derived classes,
     * whose output may be another one, nor for the model, which is observed by Model. */
    void report_sequence(Publisher &to, torch::nn::AnyValue &output) {
        const auto sequence = sequence_.lock();
        if (!sequence || position_ + 1 != sequence->size() || to.is_root(sequence.get()))
            return;
        const torch::nn::SequentialImpl &whole = *sequence;
        if (typeid(whole) != typeid(torch::nn::SequentialImpl))
            return;
        if (Record *record = to.find(sequence.get()))
            report(to, *record, to.enter(*record, *sequence), output);
    }

    std::weak_ptr<Publisher> publisher_;
    torch::nn::AnyModule inner_;
    std::weak_ptr<torch::nn::SequentialImpl> sequence_;
    size_t position_;
};

/* An AnyModule made from a Tapped is an entry with a tap. The Tapped itself never becomes part of a
 * model: ptr() of the holders below returns the module behind it, so that state_dict names,
 * train(), to() and optimizers see the original model. */
template <class T, class Signature = signature_of<T>> class Tapped;

template <class T, class C, class R, class... A>
class Tapped<T, R (C::*)(A...)> : public torch::nn::Module {
  public:
    Tapped(std::shared_ptr<T> module_, Tap tap_) : module(std::move(module_)), tap(tap_) {
    }
    R forward(A... arguments) {
        return module->forward(std::forward<A>(arguments)...);
    }
    std::shared_ptr<T> module;
    Tap tap;
};

/* The same for modules whose class is not known at compile time. */
class TappedAny : public torch::nn::Module {
  public:
    explicit TappedAny(Tap tap_) : tap(std::move(tap_)) {
    }
    torch::Tensor forward(torch::Tensor input) {
        return input;
    }
    Tap tap;
};

} // namespace detail
} // namespace nauha

namespace torch {
namespace nn {

/* Derived from AnyModuleHolder<T>, so that Sequential::at<T>() works as before. */
template <class T, class Signature, class... A>
struct AnyModuleHolder<nauha::detail::Tapped<T, Signature>, A...> : AnyModuleHolder<T, A...> {
    using Base = AnyModuleHolder<T, A...>;

    explicit AnyModuleHolder(std::shared_ptr<nauha::detail::Tapped<T, Signature>> &&tapped)
        : Base(std::shared_ptr<T>(tapped->module)), tap(tapped->tap) {
    }
    AnyValue forward(std::vector<AnyValue> &&arguments) override {
        return tap.run(std::move(arguments));
    }
    std::unique_ptr<AnyModulePlaceholder> copy() const override {
        return std::make_unique<AnyModuleHolder>(*this);
    }

    nauha::detail::Tap tap;
};

template <> struct AnyModuleHolder<nauha::detail::TappedAny, Tensor> : public AnyModulePlaceholder {
    explicit AnyModuleHolder(std::shared_ptr<nauha::detail::TappedAny> &&tapped)
        : AnyModulePlaceholder(typeid(nauha::detail::TappedAny)), tap(tapped->tap) {
    }
    AnyValue forward(std::vector<AnyValue> &&arguments) override {
        return tap.run(std::move(arguments));
    }
    std::shared_ptr<Module> ptr() override {
        return tap.module();
    }
    std::unique_ptr<AnyModulePlaceholder> copy() const override {
        return std::make_unique<AnyModuleHolder>(*this);
    }
    std::unique_ptr<AnyModulePlaceholder>
    clone_module(nauha::detail::Optional<Device> device) const override {
        return std::make_unique<AnyModuleHolder>(
            std::make_shared<nauha::detail::TappedAny>(tap.clone(device)));
    }

    nauha::detail::Tap tap;
};

} // namespace nn
} // namespace torch
#endif
