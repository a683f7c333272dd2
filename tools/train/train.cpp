/* SPDX-License-Identifier: MIT */
/* The training itself, and the C function of the module, which throws no exceptions. */
#include <chrono>
#include <cmath>
#include <exception>
#include <limits>
#include <memory>
#include <optional>

#include "nauha/torch.hpp"
#include "tools/train/batches.hpp"
#include "tools/train/datasets.hpp"
#include "tools/train/models.hpp"
#include "tools/train/train.h"

namespace nauha {
namespace train {

namespace {

using torch::Tensor;

constexpr double none = std::numeric_limits<double>::quiet_NaN();

std::unique_ptr<torch::optim::Optimizer> make_optimizer(const nauha_train_options &options,
                                                        std::vector<Tensor> parameters) {
    using namespace torch::optim;
    const double rate = options.learning_rate;
    switch (options.optimizer) {
    case NAUHA_TRAIN_SGD:
        return std::make_unique<SGD>(std::move(parameters), SGDOptions(rate));
    case NAUHA_TRAIN_ADAMW:
        return std::make_unique<AdamW>(std::move(parameters), AdamWOptions(rate));
    case NAUHA_TRAIN_RMSPROP:
        return std::make_unique<RMSprop>(std::move(parameters), RMSpropOptions(rate));
    default:
        return std::make_unique<Adam>(std::move(parameters), AdamOptions(rate));
    }
}

Tensor cross_entropy(const Tensor &output, const Tensor &target) {
    return torch::nn::functional::cross_entropy(output, target);
}

int64_t count_correct(const Tensor &output, const Tensor &target) {
    return output.argmax(1).eq(target).sum().item<int64_t>();
}

class Training {
  public:
    Training(const nauha_train_options &options, nauha_train_result &result)
        : options_(options), result_(result),
          training_set_(options.dataset, nauha_train_data_dir(&options), Part::training) {
        if (options.test_every || options.test_steps || options.probe_every)
            test_set_ = std::make_unique<Batches>(options.dataset, nauha_train_data_dir(&options),
                                                  Part::test);
        torch::manual_seed(options.seed);
        const Images &images = training_set_.images();
        const auto side = static_cast<int64_t>(images.height);
        if (images.height != images.width || side < 28)
            throw Failure(NAUHA_INVALID, "images of " + std::to_string(images.height) + "x" +
                                             std::to_string(images.width) +
                                             " do not fit the models: square ones of at least "
                                             "28x28 are expected");
        model_ = make_model(options.model, static_cast<int64_t>(images.channels), side,
                            static_cast<int64_t>(dataset_info(options.dataset).classes));
        optimizer_ = make_optimizer(options, model_->parameters());
        nauha_recorder *recorder = options.recorder;
        nauha_error error = NAUHA_ERROR_INIT;
        if (options.begin && options.begin(options.context, &recorder, &error) != NAUHA_OK)
            throw Failure(error.code, error.message);
        if (recorder)
            attach(recorder);
    }

    void run() {
        steps_per_epoch_ = (training_set_.count() + options_.batch_size - 1) / options_.batch_size;
        steps_ = options_.epochs > UINT64_MAX / steps_per_epoch_
                     ? UINT64_MAX
                     : options_.epochs * steps_per_epoch_;
        if (options_.max_steps && options_.max_steps < steps_)
            steps_ = options_.max_steps;
        start_ = last_report_ = Clock::now();
        for (uint64_t epoch = 0; epoch < options_.epochs && !ended(); epoch++)
            run_epoch(epoch);
        if (exporter_)
            exporter_->close();
        report(/*always=*/true);
        if (latest_loss_.defined())
            result_.loss = latest_loss_.item<double>();
        result_.seconds = seconds();
    }

  private:
    using Clock = std::chrono::steady_clock;

    void attach(nauha_recorder *recorder) {
        exporter_ = std::make_unique<Exporter>(recorder);
        exporter_->on_notice([this](const std::string &text) {
            if (options_.notice)
                options_.notice(options_.context, text.c_str());
        });
        net_.emplace(exporter_->set_model(model_));
        exporter_->add_modules(model_);
        loss_.emplace(exporter_->set_loss(&cross_entropy));
        if (options_.test_steps)
            exporter_->probe(
                "testing", options_.test_steps, [this] { run_test_set(); }, true);
        if (options_.probe_every)
            exporter_->probe(options_.probe_tag, options_.probe_every, [this] {
                const size_t n = std::min<size_t>(options_.probe_samples, test_set_->count());
                const auto [input, target] = test_set_->get(0, n);
                loss(forward(input), target);
            });
    }

    Tensor forward(const Tensor &input) {
        return net_ ? net_->forward(input) : model_->forward(input);
    }

    Tensor loss(const Tensor &output, const Tensor &target) {
        return loss_ ? (*loss_)(output, target) : cross_entropy(output, target);
    }

    bool ended() {
        result_.stopped = result_.stopped || (options_.stop && *options_.stop);
        return result_.stopped || result_.steps >= steps_;
    }

    void run_epoch(uint64_t epoch) {
        const auto order = shuffled(training_set_.count(), options_.seed, epoch);
        model_->train();
        int64_t correct = 0;
        size_t first = 0;
        while (first < order.size() && !ended()) {
            const size_t n = std::min<size_t>(options_.batch_size, order.size() - first);
            correct += run_step(order, first, n);
            first += n;
        }
        if (first < order.size())
            return;
        if (exporter_)
            exporter_->epoch_finished();
        result_.epochs = epoch + 1;
        result_.accuracy = static_cast<double>(correct) / static_cast<double>(order.size());
        for (auto &group : optimizer_->param_groups())
            group.options().set_lr(group.options().get_lr() * options_.exponential_decay);
        if (options_.test_every && (epoch + 1) % options_.test_every == 0)
            test();
    }

    int64_t run_step(const std::vector<int64_t> &order, size_t first, size_t n) {
        const auto [input, target] = training_set_.get(order, first, n);
        optimizer_->zero_grad();
        const Tensor output = forward(input);
        const Tensor value = loss(output, target);
        value.backward();
        optimizer_->step();
        latest_loss_ = value.detach();
        const int64_t correct = count_correct(output.detach(), target);
        latest_accuracy_ = static_cast<double>(correct) / static_cast<double>(n);
        result_.steps++;
        report(/*always=*/false);
        return correct;
    }

    /* Outputs, labels and losses get the tag "testing". Activations are left out, because those of
     * a whole test set are larger than those of many training steps. */
    void test() {
        torch::NoGradGuard no_grad;
        if (exporter_)
            exporter_->set_tag("testing", /*results_only=*/true);
        model_->eval();
        run_test_set();
        model_->train();
        if (exporter_)
            exporter_->set_tag("default");
    }

    void run_test_set() {
        const size_t count = test_set_->count();
        int64_t correct = 0;
        size_t first = 0;
        while (first < count && !(options_.stop && *options_.stop)) {
            const size_t n = std::min<size_t>(options_.batch_size, count - first);
            const auto [input, target] = test_set_->get(first, n);
            const Tensor output = forward(input);
            loss(output, target);
            correct += count_correct(output, target);
            first += n;
        }
        if (first == count)
            result_.test_accuracy = static_cast<double>(correct) / static_cast<double>(count);
    }

    double seconds() const {
        return std::chrono::duration<double>(Clock::now() - start_).count();
    }

    void report(bool always) {
        const auto now = Clock::now();
        if (!options_.progress || !latest_loss_.defined() ||
            (!always && now - last_report_ < std::chrono::milliseconds(100)))
            return;
        last_report_ = now;
        nauha_train_progress progress{};
        progress.step = result_.steps;
        progress.steps = steps_;
        progress.epoch = static_cast<uint32_t>((result_.steps - 1) / steps_per_epoch_);
        progress.epochs = static_cast<uint32_t>(options_.epochs);
        progress.loss = latest_loss_.item<double>();
        progress.accuracy = latest_accuracy_;
        progress.test_accuracy = result_.test_accuracy;
        progress.seconds = seconds();
        options_.progress(options_.context, &progress);
    }

    const nauha_train_options &options_;
    nauha_train_result &result_;
    Batches training_set_;
    std::unique_ptr<Batches> test_set_;
    std::shared_ptr<Network> model_;
    std::unique_ptr<torch::optim::Optimizer> optimizer_;
    std::unique_ptr<Exporter> exporter_;
    std::optional<Model<Network>> net_;
    std::optional<Loss<decltype(&cross_entropy)>> loss_;
    uint64_t steps_per_epoch_ = 1;
    uint64_t steps_ = 0;
    Tensor latest_loss_;
    double latest_accuracy_ = none;
    Clock::time_point start_, last_report_;
};

/* The first line of the error: libtorch appends the position in its sources. */
std::string first_line(const std::string &text) {
    return text.substr(0, text.find('\n'));
}

} // namespace

} // namespace train
} // namespace nauha

nauha_status nauha_train_run(const nauha_train_options *options, nauha_train_result *result,
                             nauha_error *err) {
    using namespace nauha::train;
    *result = nauha_train_result{0, 0, none, none, none, 0, false};
    try {
        Training training(*options, *result);
        training.run();
        return NAUHA_OK;
    } catch (const Failure &failure) {
        return nauha_error_set(err, failure.code, "%s", failure.what());
    } catch (const std::bad_alloc &) {
        return nauha_error_set(err, NAUHA_NOMEM, "training failed: out of memory");
    } catch (const c10::Error &error) {
        return nauha_error_set(err, NAUHA_STATE, "training failed in libtorch: %s",
                               first_line(error.what_without_backtrace()).c_str());
    } catch (const std::exception &error) {
        return nauha_error_set(err, NAUHA_STATE, "training failed: %s",
                               first_line(error.what()).c_str());
    } catch (...) {
        return nauha_error_set(err, NAUHA_STATE, "training failed for an unknown reason");
    }
}
