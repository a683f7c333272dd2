/* SPDX-License-Identifier: MIT */
/* The built-in training: its options, its networks, and runs on a small dataset made here. */
#include <unistd.h>

#include <cmath>
#include <fstream>

#include "tests/unit/torch_fixture.hpp"
#include "tools/train/datasets.hpp"
#include "tools/train/models.hpp"

using namespace torch_fixture;
using nauha::train::make_model;

namespace {

/* ---- options ---- */

void test_defaults(void **) {
    nauha_train_options options;
    nauha_train_options_init(&options);
    assert_string_equal(nauha_train_model_name(options.model), "alexnetmini");
    assert_string_equal(nauha_train_dataset_name(options.dataset), "fashion-mnist");
    assert_string_equal(nauha_train_optimizer_name(options.optimizer), "adam");
    assert_string_equal(nauha_train_data_dir(&options), "/usr/share/datasets/fashion-mnist");
    assert_int_equal(options.batch_size, 128);
    assert_int_equal(options.epochs, 1);
    assert_int_equal(options.max_steps, 0);
    assert_true(options.learning_rate == 0.001);
    assert_true(options.exponential_decay == 1);
    /* every row of the table is a key, and its default a value */
    size_t count = 0;
    const nauha_option *table = nauha_train_option_table(&count);
    for (size_t i = 0; i < count; i++)
        if (table[i].fallback)
            assert_int_equal(
                nauha_train_options_set(&options, table[i].name, table[i].fallback, nullptr),
                NAUHA_OK);
}

void expect_refused(const char *key, const char *value, nauha_status code, const char *text) {
    nauha_train_options options;
    nauha_train_options_init(&options);
    nauha_error error = NAUHA_ERROR_INIT;
    assert_int_equal(nauha_train_options_set(&options, key, value, &error), code);
    assert_string_equal(error.message, text);
}

void test_options(void **) {
    nauha_train_options options;
    nauha_train_options_init(&options);
    assert_int_equal(nauha_train_options_set(&options, "dataset", "cifar100", nullptr), NAUHA_OK);
    assert_string_equal(nauha_train_data_dir(&options), "data/cifar-100-binary");
    assert_int_equal(nauha_train_options_set(&options, "data-dir", "/images", nullptr), NAUHA_OK);
    assert_string_equal(nauha_train_data_dir(&options), "/images");
    assert_int_equal(nauha_train_options_set(&options, "optimizer", "rmsprop", nullptr), NAUHA_OK);
    assert_int_equal(options.optimizer, NAUHA_TRAIN_RMSPROP);
    assert_int_equal(nauha_train_options_set(&options, "seed", "18446744073709551615", nullptr),
                     NAUHA_OK);
    assert_true(options.seed == UINT64_MAX);
    assert_int_equal(nauha_train_options_set(&options, "learning-rate", "1e-2", nullptr), NAUHA_OK);
    assert_true(options.learning_rate == 0.01);

    expect_refused("model", "lenet", NAUHA_INVALID,
                   "\"lenet\" is not a value of \"model\" (did you mean \"resnet\"?): expected one "
                   "of alexnetmini, fc, vgg, "
                   "resnet, densenet");
    expect_refused("batch-size", "0", NAUHA_INVALID,
                   "\"0\" is not a value of \"batch-size\": expected a whole number from 1 to "
                   "65536");
    expect_refused(
        "epochs", "-1", NAUHA_INVALID,
        "\"-1\" is not a value of \"epochs\": expected a whole number from 1 to 1000000");
    expect_refused("max-steps", "12x", NAUHA_INVALID,
                   "\"12x\" is not a value of \"max-steps\": expected a whole number from 0 to "
                   "18446744073709551615");
    expect_refused("learning-rate", "nan", NAUHA_INVALID,
                   "\"nan\" is not a value of \"learning-rate\": expected a number above 0");
    expect_refused("data-dir", "", NAUHA_INVALID,
                   "\"\" is not a value of \"data-dir\": expected the name of a directory");
    expect_refused(
        "colour", "blue", NAUHA_UNKNOWN,
        "there is no training option \"colour\": expected one of model, dataset, data-dir, "
        "batch-size, epochs, max-steps, optimizer, learning-rate, exponential-decay, test-every, "
        "test-steps, probe-every, probe-samples, probe-tag, seed");
}

/* ---- networks ---- */

/* Parameters counted by hand: a convolution has in*out*k*k (+ out), batch norm 2 per channel. */
void test_models(void **) {
    const struct {
        nauha_train_model model;
        const char *class_name;
        int64_t grey28, colour32;
    } models[] = {
        {NAUHA_TRAIN_ALEXNETMINI, "AlexNetMini", 18954, 25682},
        {NAUHA_TRAIN_FC, "FullyConnected", 39159010, 48311010},
        {NAUHA_TRAIN_VGG, "VGG", 147162, 204794},
        {NAUHA_TRAIN_RESNET, "ResNet", 174970, 175258},
        {NAUHA_TRAIN_DENSENET, "DenseNet", 102298, 102730},
    };
    torch::NoGradGuard no_grad;
    for (const auto &one : models) {
        for (const bool colour : {false, true}) {
            const int64_t channels = colour ? 3 : 1, size = colour ? 32 : 28;
            const auto model = make_model(one.model, channels, size, 10);
            int64_t parameters = 0;
            for (const auto &parameter : model->parameters())
                parameters += parameter.numel();
            assert_int_equal(parameters, colour ? one.colour32 : one.grey28);
            assert_string_equal(nauha::detail::class_name(*model).c_str(), one.class_name);
            const Tensor output = model->forward(torch::zeros({2, channels, size, size}));
            assert_true(output.sizes() == torch::IntArrayRef({2, 10}));
        }
    }
    const auto hundred = make_model(NAUHA_TRAIN_RESNET, 3, 32, 100);
    assert_int_equal(hundred->forward(torch::zeros({1, 3, 32, 32})).size(1), 100);
}

void test_layers_of_alexnetmini(void **) {
    const auto model = make_model(NAUHA_TRAIN_ALEXNETMINI, 1, 28, 10);
    std::vector<std::string> layers;
    for (const auto &item : model->named_modules()) {
        std::ostringstream text;
        item.value()->pretty_print(text);
        if (item.key().find('.') != std::string::npos)
            layers.push_back(item.key() + " " + nauha::detail::class_name(*item.value()));
    }
    assert_texts(layers,
                 {"features.0 Conv2d", "features.1 ReLU", "features.2 Conv2d", "features.3 ReLU",
                  "features.4 MaxPool2d", "classifier.0 Dropout", "classifier.1 Linear",
                  "classifier.2 ReLU", "classifier.3 Dropout", "classifier.4 Linear"});
    const auto shapes = model->named_parameters();
    assert_true(shapes["features.0.weight"].sizes() == torch::IntArrayRef({4, 1, 3, 3}));
    assert_true(shapes["features.2.weight"].sizes() == torch::IntArrayRef({8, 4, 3, 3}));
    assert_true(shapes["classifier.1.weight"].sizes() == torch::IntArrayRef({16, 1152}));
}

/* Every module of every model is seen to run: no notice, and activations of each. */
void test_models_are_observable(void **) {
    for (int i = 0; i < NAUHA_TRAIN_MODEL_COUNT; i++) {
        if (i == NAUHA_TRAIN_FC)
            continue; /* 157 MB of weights a step */
        const auto model = make_model(static_cast<nauha_train_model>(i), 1, 28, 10);
        Tapped tapped;
        auto net = tapped.exporter.set_model(model);
        tapped.exporter.add_modules(model);
        net(torch::zeros({2, 1, 28, 28})).sum().backward();
        assert_int_equal(tapped.notices.size(), 0);
        for (const auto &item : model->named_modules()) {
            const std::string text = item.key() + ":" + nauha::detail::class_name(*item.value());
            assert_int_equal(tapped.count("activations " + text), 1);
            assert_int_equal(tapped.count("layer_gradients " + text), 1);
        }
    }
}

/* ---- runs ---- */

/* 40 images of 28x28 in two classes that differ in brightness; labels 0 and 1. */
struct Dataset {
    std::string path;
    std::vector<std::string> files;

    Dataset() {
        char name[] = "/tmp/nauha-train-XXXXXX";
        assert_non_null(mkdtemp(name));
        path = name;
        write("train", 40);
        write("t10k", 20);
    }
    ~Dataset() {
        for (const auto &file : files)
            unlink(file.c_str());
        rmdir(path.c_str());
    }
    void write(const std::string &part, int count) {
        std::string images(
            {0, 0, 8, 3, 0, 0, 0, static_cast<char>(count), 0, 0, 0, 28, 0, 0, 0, 28});
        std::string labels({0, 0, 8, 1, 0, 0, 0, static_cast<char>(count)});
        for (int i = 0; i < count; i++) {
            labels += static_cast<char>(i % 2);
            for (int pixel = 0; pixel < 28 * 28; pixel++)
                images += static_cast<char>((i % 2 ? 160 : 40) + (pixel * 7 + i * 13) % 50);
        }
        files.push_back(path + "/" + part + "-images-idx3-ubyte");
        std::ofstream(files.back(), std::ios::binary) << images;
        files.push_back(path + "/" + part + "-labels-idx1-ubyte");
        std::ofstream(files.back(), std::ios::binary) << labels;
    }
    nauha_train_options options() const {
        nauha_train_options result;
        nauha_train_options_init(&result);
        nauha_train_options_set(&result, "data-dir", path.c_str(), nullptr);
        nauha_train_options_set(&result, "batch-size", "16", nullptr);
        nauha_train_options_set(&result, "epochs", "2", nullptr);
        nauha_train_options_set(&result, "seed", "4", nullptr);
        return result;
    }
};

nauha_train_result run(const nauha_train_options &options) {
    nauha_train_result result;
    nauha_error error = NAUHA_ERROR_INIT;
    const nauha_status status = nauha_train_run(&options, &result, &error);
    assert_string_equal(error.message, "");
    assert_int_equal(status, NAUHA_OK);
    return result;
}

bool same_bits(double a, double b) {
    return std::memcmp(&a, &b, sizeof a) == 0;
}

void test_recording_changes_nothing(void **) {
    const Dataset dataset;
    nauha_train_options options = dataset.options();
    const nauha_train_result bare = run(options);
    assert_int_equal(bare.steps, 6); /* 40 images are two batches of 16 and one of 8 */
    assert_int_equal(bare.epochs, 2);
    assert_true(bare.loss > 0 && bare.test_accuracy >= 0);

    assert_int_equal(nauha_recorder_open(nullptr, nullptr, &options.recorder, nullptr), NAUHA_OK);
    Tapped unused; /* for its lookups */
    nauha_recorder_tap(options.recorder, collect, &unused.messages, nullptr);
    const nauha_train_result recorded = run(options);
    assert_int_equal(nauha_recorder_close(options.recorder, nullptr), NAUHA_OK);
    assert_true(same_bits(bare.loss, recorded.loss));
    assert_true(same_bits(bare.accuracy, recorded.accuracy));
    assert_true(same_bits(bare.test_accuracy, recorded.test_accuracy));

    assert_int_equal(unused.count("loss"), 6);
    assert_true(same_bits(unused.one("loss", 5).tensor.item<float>(), recorded.loss));
    assert_int_equal(unused.count("epoch_finished"), 2);
    assert_int_equal(unused.count("activations :AlexNetMini"), 6);
    assert_int_equal(unused.count("weight_updates features.0:Conv2d [weight]"), 6);
    assert_int_equal(unused.one("input_data", 2).tensor.size(0), 8);
    /* the test passes: 20 images are two batches, after steps 2 and 5; results only */
    assert_int_equal(unused.count("network_output@testing"), 2);
    assert_int_equal(unused.one("network_output@testing #1", 5).tensor.size(0), 4);
    assert_int_equal(unused.count_tag("testing"), 2 * 2 * 3);

    nauha_train_options_set(&options, "seed", "5", nullptr);
    options.recorder = nullptr;
    assert_false(same_bits(run(options).loss, bare.loss));
}

/* Pixels arrive scaled to 0..1 and normalised: (x / 255 - mean) / deviation. */
void test_input_is_normalised(void **) {
    const Dataset dataset;
    nauha_train_options options = dataset.options();
    options.max_steps = 1;
    assert_int_equal(nauha_recorder_open(nullptr, nullptr, &options.recorder, nullptr), NAUHA_OK);
    Tapped unused;
    nauha_recorder_tap(options.recorder, collect, &unused.messages, nullptr);
    run(options);
    nauha_recorder_close(options.recorder, nullptr);
    const Tensor input = unused.one("input_data").tensor;
    const Tensor target = unused.one("input_labels").tensor;
    assert_true(input.sizes() == torch::IntArrayRef({16, 1, 28, 28}));
    for (int64_t i = 0; i < 16; i++) {
        const float low = input[i].min().item<float>() * 0.3530f + 0.2860f;
        const float base = target[i].item<int64_t>() ? 160.f : 40.f;
        assert_true(std::abs(low * 255 - base) < 0.01f);
    }
}

void test_optimizers_learn(void **) {
    const Dataset dataset;
    for (const char *optimizer : {"sgd", "adam", "adamw", "rmsprop"}) {
        nauha_train_options options = dataset.options();
        nauha_train_options_set(&options, "optimizer", optimizer, nullptr);
        nauha_train_options_set(&options, "learning-rate",
                                std::string(optimizer) == "sgd" ? "0.05" : "0.003", nullptr);
        nauha_train_options_set(&options, "epochs", "12", nullptr);
        assert_true(run(options).test_accuracy == 1.0);
    }
}

/* After the first epoch the rate is so small that weights stop moving. */
void test_exponential_decay(void **) {
    const Dataset dataset;
    nauha_train_options options = dataset.options();
    nauha_train_options_set(&options, "optimizer", "sgd", nullptr);
    nauha_train_options_set(&options, "exponential-decay", "1e-30", nullptr);
    assert_int_equal(nauha_recorder_open(nullptr, nullptr, &options.recorder, nullptr), NAUHA_OK);
    Tapped unused;
    nauha_recorder_tap(options.recorder, collect, &unused.messages, nullptr);
    run(options);
    nauha_recorder_close(options.recorder, nullptr);
    const std::string update = "weight_updates features.0:Conv2d [weight]";
    assert_true(unused.one(update, 2).tensor.abs().sum().item<float>() > 0);
    assert_true(unused.one(update, 3).tensor.abs().sum().item<float>() == 0);
}

struct Progress {
    volatile sig_atomic_t stop = 0;
    std::vector<nauha_train_progress> seen;
};

void test_limits_and_stop(void **) {
    const Dataset dataset;
    nauha_train_options options = dataset.options();
    options.max_steps = 4;
    Progress progress;
    options.context = &progress;
    options.stop = &progress.stop;
    options.progress = [](void *context, const nauha_train_progress *now) {
        static_cast<Progress *>(context)->seen.push_back(*now);
    };
    const nauha_train_result limited = run(options);
    assert_int_equal(limited.steps, 4);
    assert_int_equal(limited.epochs, 1);
    assert_false(limited.stopped);
    assert_int_equal(progress.seen.back().step, 4);
    assert_int_equal(progress.seen.back().steps, 4);
    assert_int_equal(progress.seen.back().epoch, 1);
    assert_true(same_bits(progress.seen.back().loss, limited.loss));

    progress.stop = 1;
    const nauha_train_result stopped = run(options);
    assert_int_equal(stopped.steps, 0);
    assert_true(stopped.stopped);
    assert_true(std::isnan(stopped.loss));
}

void test_run_errors(void **) {
    nauha_train_options options;
    nauha_train_options_init(&options);
    nauha_train_options_set(&options, "data-dir", "/nonexistent", nullptr);
    nauha_train_result result;
    nauha_error error = NAUHA_ERROR_INIT;
    assert_int_equal(nauha_train_run(&options, &result, &error), NAUHA_IO);
    assert_string_equal(error.message, "cannot open dataset directory \"/nonexistent\": No such "
                                       "file or directory");
    assert_int_equal(result.steps, 0);
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_models),
        cmocka_unit_test(test_layers_of_alexnetmini),
        cmocka_unit_test(test_models_are_observable),
        cmocka_unit_test(test_recording_changes_nothing),
        cmocka_unit_test(test_input_is_normalised),
        cmocka_unit_test(test_optimizers_learn),
        cmocka_unit_test(test_exponential_decay),
        cmocka_unit_test(test_limits_and_stop),
        cmocka_unit_test(test_run_errors),
    };
    torch::set_num_threads(1);
    return cmocka_run_group_tests_name("train", tests, nullptr, nullptr);
}
