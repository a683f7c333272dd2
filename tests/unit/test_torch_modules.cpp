/* SPDX-License-Identifier: MIT */
/* The libtorch front end: how modules are found, named, wrapped and left as they were. */
#include "tests/unit/torch_fixture.hpp"

using namespace torch_fixture;

namespace {

/* ---- wrapping single modules ---- */

struct DirectImpl : torch::nn::Module {
    nauha::Observed<torch::nn::Conv2d> conv{nullptr};
    torch::nn::Linear linear{nullptr};
    explicit DirectImpl(nauha::Exporter &exporter) {
        conv = register_module("conv", exporter(torch::nn::Conv2d(1, 2, 3)));
        linear = register_module("linear", torch::nn::Linear(8, 3));
    }
    Tensor forward(Tensor x) {
        return linear(conv->forward(x).relu_().flatten(1));
    }
};
TORCH_MODULE(Direct);

void test_observed_member(void **) {
    Tapped tapped;
    Direct model(tapped.exporter);
    auto net = tapped.exporter.set_model(model);
    tapped.exporter.add_modules(model);
    assert_int_equal(tapped.notices.size(), 1);
    assert_string_equal(
        tapped.notices[0].c_str(),
        "the calls of these modules cannot be observed, so only their parameters are recorded, not "
        "their activations and layer gradients: \"linear\" (Linear); to record everything, put the "
        "modules into a torch::nn::Sequential, or declare the members as nauha::Observed<...> and "
        "make them with exporter(module)");
    std::vector<std::string> names;
    for (const auto &item : model->named_parameters())
        names.push_back(item.key());
    assert_texts(names, {"conv.weight", "conv.bias", "linear.weight", "linear.bias"});

    const Tensor x = images();
    net(x).sum().backward();
    tapped.exporter.step();
    const Tensor expected = torch::conv2d(x, model->conv->weight, model->conv->bias);
    assert_true(same(tapped.one("activations conv:Conv2d").tensor, expected));
    assert_int_equal(tapped.count("layer_gradients conv:Conv2d"), 1);
    assert_int_equal(tapped.count("activations linear:Linear"), 0);
    assert_int_equal(tapped.count("weights linear:Linear [weight]"), 1);
    assert_int_equal(tapped.count("weight_gradients linear:Linear [weight]"), 1);

    model->eval();
    assert_false(model->conv->is_training());
    model->to(torch::kDouble);
    assert_true(model->conv->weight.scalar_type() == torch::kDouble);
    assert_true(net(x.to(torch::kDouble)).scalar_type() == torch::kDouble);
    net->zero_grad();
    assert_true(!model->conv->weight.grad().defined() ||
                model->conv->weight.grad().abs().sum().item<double>() == 0);
}

void test_wrapping_in_a_sequential(void **) {
    Tapped tapped;
    nauha::Exporter &exporter = tapped.exporter;
    torch::nn::Sequential model(exporter(torch::nn::Conv2d(1, 2, 3)),
                                torch::nn::ReLU(torch::nn::ReLUOptions(true)), torch::nn::Flatten(),
                                exporter(std::make_shared<torch::nn::LinearImpl>(8, 3)));
    auto net = exporter.set_model(model);
    const Tensor x = images();
    const Tensor y = net(x);
    y.sum().backward();
    exporter.step();
    assert_int_equal(tapped.notices.size(), 0);
    assert_true(model->ptr(0)->as<torch::nn::Conv2d>());
    assert_true(model->named_parameters().contains("0.weight"));
    assert_true(same(tapped.one("activations 3:Linear").tensor, y));
    const auto conv = torch::conv2d(x, model->named_parameters()["0.weight"],
                                    model->named_parameters()["0.bias"]);
    assert_true(same(tapped.one("activations 0:Conv2d").tensor, conv));
    assert_int_equal(tapped.count("weights 0:Conv2d [weight]"), 1);
    assert_int_equal(tapped.count("activations 1:ReLU"), 0); /* only what was wrapped */
    /* adding everything later does not record the wrapped ones twice */
    exporter.add_modules(model);
    net(x);
    assert_int_equal(tapped.count("activations 0:Conv2d", 1), 1);
    assert_int_equal(tapped.count("activations 1:ReLU", 1), 1);
    assert_int_equal(tapped.count("activations :Sequential", 1), 1);
}

void test_recurrent_module(void **) {
    Tapped tapped;
    auto lstm = tapped.exporter(torch::nn::LSTM(3, 2));
    auto net = tapped.exporter.set_model(lstm.ptr());
    const Tensor x = torch::ones({4, 1, 3});
    tapped.exporter.step_by_hand();
    const auto direct = lstm(x); /* with LSTM's default argument; no step is open */
    assert_int_equal(tapped.messages.size(), 0);
    assert_int_equal(tapped.notices.size(), 1);
    const auto result = net->forward(x, c10::nullopt);
    assert_true(same(tapped.one("activations :LSTM [0]").tensor, std::get<0>(result)));
    assert_true(
        same(tapped.one("activations :LSTM [1.0]").tensor, std::get<0>(std::get<1>(result))));
    assert_true(
        same(tapped.one("activations :LSTM [1.1]").tensor, std::get<1>(std::get<1>(result))));
    std::get<0>(result).sum().backward();
    tapped.exporter.step();
    assert_int_equal(tapped.count("weights :LSTM [weight_ih_l0]"), 1);
    assert_int_equal(tapped.count("biases :LSTM [bias_hh_l0]"), 1);
    assert_int_equal(tapped.count("bias_gradients :LSTM [bias_ih_l0]"), 1);
    assert_true(same(std::get<0>(direct), std::get<0>(result)));
}

/* ---- the model stays what it was ---- */

struct BlockImpl : torch::nn::Module {
    torch::nn::Sequential inner{nullptr};
    BlockImpl() {
        inner = register_module("inner", torch::nn::Sequential(torch::nn::Linear(3, 3)));
    }
    Tensor forward(Tensor x) {
        return x + inner->forward(x);
    }
};
TORCH_MODULE(Block);

void test_model_is_unchanged(void **) {
    Tapped tapped;
    torch::nn::Sequential model(torch::nn::Linear(3, 3), Block(), torch::nn::Dropout(0.5));
    std::vector<const void *> before, after;
    for (const auto &module : model->modules())
        before.push_back(module.get());
    auto net = tapped.exporter.set_model(model);
    tapped.exporter.add_modules(model);
    tapped.exporter.add_modules(model); /* no second observation */
    for (const auto &module : model->modules())
        after.push_back(module.get());
    assert_true(before == after);
    assert_int_equal(model->at<torch::nn::LinearImpl>(0).options.in_features(), 3);
    assert_ptr_equal(model->ptr(1).get(), before[2]);
    const Tensor x = torch::ones({2, 3});
    net(x);
    assert_int_equal(tapped.count("activations 0:Linear"), 1);
    assert_int_equal(tapped.count("activations 1:Block"), 1);
    assert_int_equal(tapped.count("activations 1.inner.0:Linear"), 1);
    assert_int_equal(tapped.count("activations 1.inner:Sequential"), 1);
    assert_int_equal(tapped.notices.size(), 0);
    /* after close() it still works */
    tapped.exporter.close();
    const size_t closed = tapped.messages.size();
    net(x).sum().backward();
    assert_int_equal(tapped.messages.size(), closed);
}

void test_clone_reports_nothing(void **) {
    Tapped tapped;
    torch::nn::Sequential model(torch::nn::Linear(3, 3), torch::nn::BatchNorm1d(3),
                                tapped.exporter(torch::nn::Linear(3, 2)));
    auto net = tapped.exporter.set_model(model);
    tapped.exporter.add_modules(model);
    const auto clone = std::dynamic_pointer_cast<torch::nn::SequentialImpl>(model->clone());
    const Tensor x = torch::randn({4, 3});
    const Tensor y = net(x);
    const size_t published = tapped.messages.size();
    assert_true(same(clone->forward(x), y));
    assert_int_equal(tapped.messages.size(), published);
    assert_true(clone->parameters()[0].data_ptr() != model->parameters()[0].data_ptr());
}

void test_depth_filter_and_parts(void **) {
    Tapped shallow;
    Net model;
    auto net = shallow.exporter.set_model(model);
    shallow.exporter.add_modules(model, 1);
    net(images());
    assert_int_equal(shallow.count("activations features:Sequential"), 1);
    assert_int_equal(shallow.count("activations features.0:Conv2d"), 0);
    shallow.exporter.close();

    Tapped filtered;
    auto again = filtered.exporter.set_model(model);
    filtered.exporter.add_modules(model, -1, {"Conv2d", "Linear"});
    again(images());
    assert_int_equal(filtered.count("activations features.0:Conv2d"), 1);
    assert_int_equal(filtered.count("activations classifier.1:Linear"), 1);
    assert_int_equal(filtered.count("activations features:Sequential"), 0);
    filtered.exporter.close();

    Tapped part;
    part.exporter.add_modules(model->features); /* before the model is known */
    auto last = part.exporter.set_model(model);
    last(images());
    assert_int_equal(part.count("activations features.0:Conv2d"), 1);
    assert_int_equal(part.count("activations features:Sequential"), 1);
    assert_int_equal(part.count("activations classifier.1:Linear"), 0);
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_observed_member),
        cmocka_unit_test(test_wrapping_in_a_sequential),
        cmocka_unit_test(test_recurrent_module),
        cmocka_unit_test(test_model_is_unchanged),
        cmocka_unit_test(test_clone_reports_nothing),
        cmocka_unit_test(test_depth_filter_and_parts),
    };
    torch::set_num_threads(1);
    return cmocka_run_group_tests_name("torch_modules", tests, nullptr, nullptr);
}
