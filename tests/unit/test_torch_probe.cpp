/* SPDX-License-Identifier: MIT */
/* The libtorch front end's probes and evaluations: what they publish, and that the training does
 * not notice. */
#include "tests/unit/torch_fixture.hpp"

#include <cstdlib>

#include <unistd.h>

using namespace torch_fixture;

namespace {

/* Draws random numbers and writes a buffer in any mode, and does both in its evaluation. */
struct NoisyImpl : torch::nn::Module {
    torch::nn::Sequential layers{nullptr};
    Tensor runs, uncounted;

    NoisyImpl() {
        layers = register_module(
            "layers", torch::nn::Sequential(torch::nn::Linear(16, 8), torch::nn::BatchNorm1d(8),
                                            torch::nn::ReLU(), torch::nn::Dropout(0.5),
                                            torch::nn::Linear(8, 3)));
        runs = register_buffer("runs", torch::zeros({}));
        uncounted = register_buffer("uncounted", torch::zeros({}));
    }
    Tensor forward(Tensor x) {
        runs.add_(1);
        uncounted.data().add_(1);
        return layers->forward(x.flatten(1) + torch::randn({1}) * runs);
    }
};
TORCH_MODULE(Noisy);

struct Trained {
    std::vector<Tensor> tensors;
    std::vector<bool> modes;
    size_t probes = 0;
};

/* Trains with one layer in evaluation mode, as a fine-tuning does. */
Trained train(bool probed) {
    Trained result;
    Tapped tapped;
    torch::manual_seed(3);
    Noisy model;
    auto net = tapped.exporter.set_model(model);
    tapped.exporter.add_modules(model);
    auto loss = tapped.exporter.set_loss(torch::nn::CrossEntropyLoss());
    torch::optim::Adam optimizer(model->parameters(), 0.01);
    const Tensor x = torch::randn({5, 1, 4, 4});
    if (probed) {
        tapped.exporter.probe("svcca_testing", 2, [&] { net(x); });
        tapped.exporter.probe(
            "testing", 3,
            [&] {
                for (int batch = 0; batch < 2; batch++)
                    loss(net(x), labels());
            },
            /*results_only=*/true);
    }
    model->layers->ptr(1)->eval();
    for (int step = 0; step < 7; step++) {
        optimizer.zero_grad();
        const Tensor value = loss(net(x), labels());
        value.backward();
        optimizer.step();
        result.tensors.push_back(value.detach().clone());
    }
    if (probed) {
        auto evaluation = tapped.exporter.evaluation("last");
        assert_false(model->is_training() || torch::GradMode::is_enabled());
        loss(net(x), labels());
    }
    assert_true(torch::GradMode::is_enabled());
    result.tensors.push_back(torch::randn({4}));
    for (const auto &parameter : model->parameters())
        result.tensors.push_back(parameter.detach());
    for (const auto &buffer : model->buffers())
        result.tensors.push_back(buffer);
    for (const auto &module : model->modules())
        result.modes.push_back(module->is_training());
    tapped.exporter.close();
    result.probes = tapped.count("activations@svcca_testing layers.4:Linear") +
                    tapped.count("loss@testing") + tapped.count("loss@testing #1") +
                    tapped.count("loss@last");
    assert_int_equal(tapped.count("activations@testing layers.4:Linear"), 0);
    assert_int_equal(tapped.count("loss"), 7);
    assert_int_equal(tapped.notices.size(), 0);
    return result;
}

void test_training_does_not_notice(void **) {
    const Trained bare = train(false), probed = train(true);
    assert_int_equal(bare.probes, 0);
    assert_int_equal(probed.probes, 4 + 3 + 3 + 1);
    assert_int_equal(bare.tensors.size(), probed.tensors.size());
    for (size_t i = 0; i < bare.tensors.size(); i++)
        assert_true(same(bare.tensors[i], probed.tensors[i]));
    assert_true(bare.modes == probed.modes);
    assert_false(bare.modes[3]); /* the layer that was frozen */
    assert_false(same(bare.tensors[0], bare.tensors[6]));
}

/* A probe sees the parameters and buffers that the step's messages tell. */
void test_values_and_order(void **) {
    Tapped tapped;
    torch::manual_seed(1);
    Net model;
    auto net = tapped.exporter.set_model(model);
    tapped.exporter.add_modules(model);
    auto loss = tapped.exporter.set_loss(torch::nn::CrossEntropyLoss());
    torch::optim::SGD optimizer(model->parameters(), 0.5);
    tapped.exporter.probe("testing", 2, [&] { loss(net(images()), labels()); });
    for (int step = 0; step < 3; step++) {
        optimizer.zero_grad();
        loss(net(images()), labels()).backward();
        optimizer.step();
    }
    tapped.exporter.close();
    Net again;
    torch::NoGradGuard no_grad;
    for (auto &item : again->named_parameters()) {
        const auto dot = item.key().rfind('.');
        const std::string module = item.key().substr(0, dot), slot = item.key().substr(dot + 1);
        for (const auto &message : tapped.messages)
            if (message.step == 2 && message.module == module && message.slot == slot &&
                (message.kind == "weights" || message.kind == "biases"))
                item.value().copy_(message.tensor);
    }
    for (auto &item : again->named_buffers())
        item.value().copy_(
            tapped.one("buffers features.1:BatchNorm2d [" + item.key().substr(11) + "]", 2).tensor);
    again->eval();
    const Tensor output = again->forward(images());
    assert_true(same(tapped.one("network_output@testing", 2).tensor, output));
    assert_true(same(tapped.one("loss@testing", 2).tensor,
                     torch::nn::functional::cross_entropy(output, labels())));
    assert_true(same(tapped.one("activations@testing features:Sequential", 2).tensor,
                     again->features->forward(images())));
    assert_int_equal(tapped.count("loss@testing"), 2);
    std::vector<std::string> groups;
    for (const auto &message : tapped.messages) {
        const std::string group = message.kind + "@" + message.tag;
        if (message.step == 2 && (groups.empty() || groups.back() != group))
            groups.push_back(group);
    }
    groups.resize(8);
    assert_texts(groups, {"batch_started@default", "buffers@default", "input_data@testing",
                          "activations@testing", "network_output@testing", "input_labels@testing",
                          "loss@testing", "input_data@default"});
}

void test_steps_that_are_not_recorded(void **) {
    nauha_error error = NAUHA_ERROR_INIT;
    char path[] = "/tmp/nauha-test-probes-XXXXXX";
    const int file = mkstemp(path);
    assert_true(file >= 0);
    ::close(file);
    nauha::Exporter exporter(path, {{"steps", "4:"}, {"kinds", "loss"}});
    torch::nn::Sequential model(torch::nn::Linear(16, 3));
    auto net = exporter.set_model(model);
    exporter.add_modules(model);
    auto loss = exporter.set_loss(torch::nn::CrossEntropyLoss());
    int runs = 0;
    exporter.probe("testing", 2, [&] {
        runs++;
        loss(net(images().flatten(1)), labels());
    });
    for (int step = 0; step < 7; step++)
        loss(net(images().flatten(1)), labels()).backward();
    assert_int_equal(nauha_recorder_failure(exporter.recorder(), &error), NAUHA_OK);
    assert_int_equal(runs, 2);
    exporter.close();
    ::unlink(path);
}

void test_a_failing_probe_is_told(void **) {
    Tapped tapped;
    torch::nn::Sequential model(torch::nn::Linear(16, 3));
    auto net = tapped.exporter.set_model(model);
    tapped.exporter.add_modules(model);
    auto loss = tapped.exporter.set_loss(torch::nn::CrossEntropyLoss());
    tapped.exporter.probe("testing", 1, [&] { throw std::runtime_error("no data\nat all"); });
    for (int step = 0; step < 2; step++)
        loss(net(images().flatten(1)), labels()).backward();
    tapped.exporter.close();
    assert_texts(tapped.notices, {"a probe failed: no data"});
    assert_int_equal(tapped.count("loss"), 2);
    assert_int_equal(tapped.count_tag("testing"), 0);
    assert_true(model->is_training());
}

std::string refusal(const std::string &tag, uint64_t every) {
    Tapped tapped;
    try {
        tapped.exporter.probe(tag, every, [] {});
    } catch (const nauha::Error &error) {
        assert_int_equal(error.code(), NAUHA_INVALID);
        return error.what();
    }
    return "";
}

void test_refused(void **) {
    assert_string_equal(refusal("testing", 1).c_str(), "");
    assert_string_equal(refusal("testing", 0).c_str(), "probes every 0 steps: expected 1 or more");
    assert_string_equal(refusal("default", 1).c_str(), "\"default\" cannot be the tag of probes");
}

} // namespace

int main() {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_training_does_not_notice),
        cmocka_unit_test(test_values_and_order),
        cmocka_unit_test(test_steps_that_are_not_recorded),
        cmocka_unit_test(test_a_failing_probe_is_told),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
