/* SPDX-License-Identifier: MIT */
/* A part of nauha/torch.hpp, not for direct use: evaluations that do not affect the training.
 *
 * Threads: the training thread.
 */
#ifndef NAUHA_TORCH_PROBE_HPP
#define NAUHA_TORCH_PROBE_HPP

#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/autocast_mode.h>
#include <torch/torch.h>

namespace nauha {
namespace detail {

/* Restores the states of the default random generators when it is destroyed. */
class RandomStates {
  public:
    RandomStates() {
        keep(at::detail::getDefaultCPUGenerator());
        if (torch::cuda::is_available())
            for (size_t i = 0; i < torch::cuda::device_count(); i++)
                keep(at::globalContext().defaultGenerator(
                    at::Device(at::kCUDA, static_cast<at::DeviceIndex>(i))));
    }
    ~RandomStates() {
        for (auto &entry : states_) {
            const std::lock_guard<std::mutex> lock(entry.first.mutex());
            entry.first.set_state(entry.second);
        }
    }
    RandomStates(const RandomStates &) = delete;
    RandomStates &operator=(const RandomStates &) = delete;

  private:
    void keep(at::Generator generator) {
        const std::lock_guard<std::mutex> lock(generator.mutex());
        states_.emplace_back(generator, generator.get_state());
    }

    std::vector<std::pair<at::Generator, torch::Tensor>> states_;
};

/* Switches autocast off until it is destroyed. Its cache is switched off, too: otherwise the
 * forward pass of the training would use casts of the weights that were made without gradients. */
class NoAutocast {
  public:
    NoAutocast() : before_(get()) {
        set({});
    }
    ~NoAutocast() {
        set(before_);
    }
    NoAutocast(const NoAutocast &) = delete;
    NoAutocast &operator=(const NoAutocast &) = delete;

  private:
    struct Switches {
        bool gpu = false, cpu = false, cache = false;
    };

    static Switches get() {
        Switches now;
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
        now.gpu = at::autocast::is_autocast_enabled(at::kCUDA);
        now.cpu = at::autocast::is_autocast_enabled(at::kCPU);
#else
        now.gpu = at::autocast::is_enabled();
        now.cpu = at::autocast::is_cpu_enabled();
#endif
        now.cache = at::autocast::is_autocast_cache_enabled();
        return now;
    }

    static void set(const Switches &to) {
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
        at::autocast::set_autocast_enabled(at::kCUDA, to.gpu);
        at::autocast::set_autocast_enabled(at::kCPU, to.cpu);
#else
        at::autocast::set_enabled(to.gpu);
        at::autocast::set_cpu_enabled(to.cpu);
#endif
        at::autocast::set_autocast_cache_enabled(to.cache);
    }

    Switches before_;
};

/* Sets a model to evaluation mode, without gradients and autocast, until it is destroyed. Then the
 * modes of the modules, the values of the buffers and the states of the random generators are
 * restored. */
class Untouched {
  public:
    explicit Untouched(const std::shared_ptr<torch::nn::Module> &model) {
        if (!model)
            return;
        collect(model);
        for (const auto &buffer : model->buffers())
            if (buffer.defined() && !buffer.is_inference())
                buffers_.push_back({buffer, buffer.clone(), buffer._version()});
        model->eval();
    }
    ~Untouched() {
        for (auto &kept : buffers_)
            if (kept.buffer._version() != kept.version || !is_equal(kept.buffer, kept.values))
                kept.buffer.data().copy_(kept.values);
        for (auto mode = modes_.rbegin(); mode != modes_.rend(); ++mode)
            mode->first->train(mode->second);
    }
    Untouched(const Untouched &) = delete;
    Untouched &operator=(const Untouched &) = delete;

  private:
    struct Kept {
        torch::Tensor buffer, values;
        int64_t version;
    };

    /* Writing through data() does not change the version, so that values must be compared. */
    static bool is_equal(const torch::Tensor &buffer, const torch::Tensor &values) {
        try {
            return buffer.equal(values);
        } catch (const std::exception &) { /* a type that libtorch cannot compare */
            return true;
        }
    }

    /* Submodules come before their module. The destructor restores in reverse order, because
     * train() of a module also sets the mode of its submodules. */
    void collect(const std::shared_ptr<torch::nn::Module> &module) {
        if (!seen_.insert(module.get()).second)
            return;
        for (const auto &child : module->children())
            collect(child);
        modes_.emplace_back(module, module->is_training());
    }

    RandomStates random_;
    NoAutocast no_autocast_;
    torch::NoGradGuard no_grad_;
    std::vector<std::pair<std::shared_ptr<torch::nn::Module>, bool>> modes_;
    std::set<const torch::nn::Module *> seen_;
    std::vector<Kept> buffers_;
};

/* A function that runs at the beginning of every n-th step; see Exporter::probe(). */
struct Probe {
    uint32_t tag;
    bool results_only;
    uint64_t every;
    std::function<void()> run;
};

} // namespace detail
} // namespace nauha
#endif
