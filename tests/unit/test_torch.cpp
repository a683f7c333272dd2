/* SPDX-License-Identifier: MIT */
/* The libtorch front end: what is published, when and with which values. Compared with what
 * libtorch itself computes, through a recorder that stores nothing and taps everything. */
#include "tests/unit/torch_fixture.hpp"

using namespace torch_fixture;

namespace {

/* ---- order and stamps ---- */

void test_order_and_stamps(void **) {
    Tapped tapped;
    Net model;
    auto net = tapped.exporter.set_model(model);
    tapped.exporter.add_modules(model);
    auto loss = tapped.exporter.set_loss(torch::nn::CrossEntropyLoss());
    torch::optim::SGD optimizer(model->parameters(), 0.1);
    for (int epoch = 0; epoch < 2; epoch++) {
        for (int batch = 0; batch < 2; batch++) {
            optimizer.zero_grad();
            loss(net(images()), labels()).backward();
            optimizer.step();
        }
        tapped.exporter.epoch_finished();
    }
    tapped.exporter.close();

    std::vector<std::string> first;
    std::vector<std::string> rest;
    for (const auto &message : tapped.messages)
        if (message.step == 0) {
            const bool by_backward = message.kind.find("gradients") != std::string::npos;
            (by_backward ? rest : first).push_back(message.text());
        }
    assert_texts(first, {"epoch_started",
                         "batch_started",
                         "buffers features.1:BatchNorm2d [running_mean]",
                         "buffers features.1:BatchNorm2d [running_var]",
                         "buffers features.1:BatchNorm2d [num_batches_tracked]",
                         "input_data",
                         "activations features.0:Conv2d",
                         "activations features.1:BatchNorm2d",
                         "activations features.2:ReLU",
                         "activations features:Sequential",
                         "activations classifier.0:Dropout",
                         "activations classifier.1:Linear",
                         "activations classifier:Sequential",
                         "activations :Net",
                         "network_output",
                         "input_labels",
                         "loss",
                         "weights features.0:Conv2d [weight]",
                         "biases features.0:Conv2d [bias]",
                         "weights features.1:BatchNorm2d [weight]",
                         "biases features.1:BatchNorm2d [bias]",
                         "weights classifier.1:Linear [weight]",
                         "biases classifier.1:Linear [bias]",
                         "weight_updates features.0:Conv2d [weight]",
                         "bias_updates features.0:Conv2d [bias]",
                         "weight_updates features.1:BatchNorm2d [weight]",
                         "bias_updates features.1:BatchNorm2d [bias]",
                         "weight_updates classifier.1:Linear [weight]",
                         "bias_updates classifier.1:Linear [bias]",
                         "batch_finished"});
    std::sort(rest.begin(), rest.end());
    assert_texts(
        rest,
        {"bias_gradients classifier.1:Linear [bias]", "bias_gradients features.0:Conv2d [bias]",
         "bias_gradients features.1:BatchNorm2d [bias]", "layer_gradients :Net",
         "layer_gradients classifier.0:Dropout", "layer_gradients classifier.1:Linear",
         "layer_gradients classifier:Sequential", "layer_gradients features.0:Conv2d",
         "layer_gradients features.1:BatchNorm2d", "layer_gradients features.2:ReLU",
         "layer_gradients features:Sequential", "weight_gradients classifier.1:Linear [weight]",
         "weight_gradients features.0:Conv2d [weight]",
         "weight_gradients features.1:BatchNorm2d [weight]"});
    /* Gradients come between the loss and the step's end. */
    size_t position = 0, loss_at = 0, weights_at = 0, first_gradient = SIZE_MAX, last_gradient = 0;
    for (const auto &message : tapped.messages) {
        if (message.step == 0) {
            if (message.kind == "loss")
                loss_at = position;
            if (message.kind == "weights" && !weights_at)
                weights_at = position;
            if (message.kind.find("gradients") != std::string::npos) {
                first_gradient = std::min(first_gradient, position);
                last_gradient = position;
            }
        }
        position++;
    }
    assert_true(loss_at < first_gradient && last_gradient < weights_at);

    assert_int_equal(tapped.count("epoch_started"), 2);
    assert_int_equal(tapped.one("epoch_finished", 1).train_step, 1);
    assert_int_equal(tapped.one("epoch_finished", 3).epoch, 1);
    assert_int_equal(tapped.one("loss", 2).train_step, 0);
    assert_int_equal(tapped.one("loss", 3).epoch, 1);
    assert_int_equal(tapped.notices.size(), 0);
}

/* ---- values ---- */

void test_values(void **) {
    Tapped tapped;
    torch::manual_seed(1);
    Net model;
    model->classifier->eval(); /* no dropout, so that the reference below is exact */
    const auto reference = std::dynamic_pointer_cast<NetImpl>([&] {
        auto copy = std::make_shared<NetImpl>();
        torch::NoGradGuard no_grad;
        auto to = copy->named_parameters();
        for (const auto &item : model->named_parameters())
            to[item.key()].copy_(item.value());
        copy->classifier->eval();
        return std::static_pointer_cast<torch::nn::Module>(copy);
    }());
    auto net = tapped.exporter.set_model(model);
    tapped.exporter.add_modules(model);
    auto loss = tapped.exporter.set_loss(torch::nn::CrossEntropyLoss());
    torch::optim::SGD optimizer(model->parameters(), 0.1);
    const Tensor x = images();
    std::map<std::string, Tensor> before;
    for (const auto &item : model->named_parameters())
        before[item.key()] = item.value().detach().clone();
    optimizer.zero_grad();
    const Tensor y = net->forward(x);
    const Tensor value = loss(y, labels());
    value.backward();
    optimizer.step();
    tapped.exporter.step();

    /* The same by hand, without in-place operations. */
    const auto conv = reference->features->at<torch::nn::Conv2dImpl>(0).forward(x);
    const auto norm = reference->features->ptr(1)->as<torch::nn::BatchNorm2d>()->forward(conv);
    const auto relu = torch::relu(norm);
    const auto out = reference->classifier->at<torch::nn::LinearImpl>(1).forward(relu.flatten(1));
    const auto cost = torch::nn::functional::cross_entropy(out, labels());
    const auto gradients = torch::autograd::grad({cost}, {conv, norm, relu, out}, {}, true);

    assert_true(same(tapped.one("input_data").tensor, x));
    assert_true(same(tapped.one("activations features.0:Conv2d").tensor, conv));
    assert_true(same(tapped.one("activations features.1:BatchNorm2d").tensor, norm));
    assert_true(same(tapped.one("activations features.2:ReLU").tensor, relu));
    assert_true(same(tapped.one("activations features:Sequential").tensor, relu));
    assert_true(same(tapped.one("activations :Net").tensor, out));
    assert_true(same(tapped.one("network_output").tensor, out));
    assert_true(same(tapped.one("input_labels").tensor, labels()));
    assert_true(same(tapped.one("loss").tensor, cost));
    assert_int_equal(tapped.one("loss").tensor.dim(), 0);
    assert_true(same(tapped.one("layer_gradients features.0:Conv2d").tensor, gradients[0]));
    assert_true(same(tapped.one("layer_gradients features.1:BatchNorm2d").tensor, gradients[1]));
    assert_true(same(tapped.one("layer_gradients features.2:ReLU").tensor, gradients[2]));
    assert_true(same(tapped.one("layer_gradients features:Sequential").tensor, gradients[2]));
    assert_true(same(tapped.one("layer_gradients classifier.1:Linear").tensor, gradients[3]));

    for (const auto &item : model->named_parameters()) {
        const auto dot = item.key().rfind('.');
        const std::string module = item.key().substr(0, dot), slot = item.key().substr(dot + 1);
        for (const auto &message : tapped.messages) {
            if (message.module != module || message.slot != slot)
                continue;
            const Tensor &now = item.value();
            if (message.kind == "weights" || message.kind == "biases")
                assert_true(same(message.tensor, before[item.key()]));
            else if (message.kind == "weight_updates" || message.kind == "bias_updates")
                assert_true(same(message.tensor, now - before[item.key()]));
            else if (message.kind == "weight_gradients" || message.kind == "bias_gradients")
                assert_true(same(message.tensor, now.grad()));
            else
                fail_msg("unexpected kind %s", message.kind.c_str());
        }
    }
    assert_int_equal(tapped.one("buffers features.1:BatchNorm2d [num_batches_tracked]").dtype,
                     NAUHA_DTYPE_I64);
    assert_true(same(tapped.one("buffers features.1:BatchNorm2d [running_mean]").tensor,
                     torch::zeros({2})));
    const Tensor mean = model->named_buffers()["features.1.running_mean"].clone();
    net->forward(x);
    assert_true(same(tapped.one("buffers features.1:BatchNorm2d [running_mean]", 1).tensor, mean));
}

void test_inputs_on_demand(void **) {
    const Tensor x = images();
    for (const bool asked : {false, true}) {
        Tapped tapped(asked ? nauha::Options{{"kinds", "loss,inputs"}} : nauha::Options{});
        Net model;
        auto net = tapped.exporter.set_model(model);
        tapped.exporter.add_modules(model);
        net(x);
        const Tensor &conv = tapped.one("activations features.0:Conv2d").tensor;
        if (asked) {
            assert_true(same(tapped.one("inputs :Net").tensor, x));
            assert_true(same(tapped.one("inputs features.0:Conv2d").tensor, x));
            assert_true(same(tapped.one("inputs features.1:BatchNorm2d").tensor, conv));
        } else {
            assert_int_equal(tapped.count("inputs features.0:Conv2d"), 0);
        }
    }
}

/* ---- the training is not changed ---- */

std::pair<std::vector<Tensor>, std::vector<Tensor>> train(bool recorded) {
    torch::manual_seed(3);
    Net model;
    std::unique_ptr<Tapped> tapped;
    std::optional<nauha::Model<NetImpl>> net;
    if (recorded) {
        tapped = std::make_unique<Tapped>();
        net.emplace(tapped->exporter.set_model(model));
        tapped->exporter.add_modules(model);
    }
    auto criterion = [](const Tensor &y, const Tensor &t) {
        return torch::nn::functional::cross_entropy(y, t);
    };
    std::optional<nauha::Loss<decltype(criterion)>> loss;
    if (recorded)
        loss.emplace(tapped->exporter.set_loss(criterion));
    torch::optim::Adam optimizer(model->parameters(), 0.01);
    std::vector<Tensor> losses;
    for (int step = 0; step < 8; step++) {
        const Tensor x = torch::randn({5, 1, 4, 4}); /* from the generator that dropout uses */
        optimizer.zero_grad();
        const Tensor y = net ? net->forward(x) : model->forward(x);
        const Tensor value = loss ? (*loss)(y, labels()) : criterion(y, labels());
        value.backward();
        optimizer.step();
        losses.push_back(value.detach().clone());
    }
    if (recorded)
        assert_int_equal(tapped->count("loss"), 8);
    return {losses, model->parameters()};
}

void test_training_is_bit_identical(void **) {
    const auto bare = train(false), recorded = train(true);
    for (size_t i = 0; i < bare.first.size(); i++)
        assert_true(same(bare.first[i], recorded.first[i]));
    for (size_t i = 0; i < bare.second.size(); i++)
        assert_true(same(bare.second[i], recorded.second[i]));
    assert_false(same(bare.first[0], bare.first[7]));
}

void test_graph_is_not_retained(void **) {
    Tapped tapped;
    Net model;
    auto net = tapped.exporter.set_model(model);
    tapped.exporter.add_modules(model);
    auto loss = tapped.exporter.set_loss(torch::nn::CrossEntropyLoss());
    /* The first convolution's node keeps the input, so the input's end is the graph's. */
    bool freed = false;
    {
        std::vector<float> pixels(5 * 4 * 4, 1);
        const Tensor x =
            torch::from_blob(pixels.data(), {5, 1, 4, 4}, [&freed](void *) { freed = true; });
        loss(net(x), labels());
        assert_false(freed);
    }
    assert_true(freed);
}

/* ---- shared weights, repeated calls ---- */

void test_module_called_twice(void **) {
    Tapped tapped;
    torch::nn::Linear shared(4, 4);
    torch::nn::Sequential model(shared, torch::nn::Tanh(), shared);
    auto net = tapped.exporter.set_model(model);
    tapped.exporter.add_modules(model);
    const Tensor x = images().view({5, 16}).slice(1, 0, 4);
    net(x).sum().backward();
    tapped.exporter.step();

    const Tensor first = shared(x), second = shared(torch::tanh(first));
    const auto gradients = torch::autograd::grad({second.sum()}, {first, second});
    assert_true(same(tapped.one("activations 0:Linear").tensor, first));
    assert_true(same(tapped.one("activations 0:Linear #1").tensor, second));
    assert_true(same(tapped.one("layer_gradients 0:Linear").tensor, gradients[0]));
    assert_true(same(tapped.one("layer_gradients 0:Linear #1").tensor, gradients[1]));
    assert_true(same(tapped.one("input_data").tensor, x)); /* not contiguous */
    /* one parameter: its gradient is the sum over both uses */
    assert_true(
        same(tapped.one("weight_gradients 0:Linear [weight]").tensor, shared->weight.grad()));
    assert_int_equal(tapped.count("weights 0:Linear [weight]"), 1);
    assert_int_equal(tapped.count("weights 2:Linear [weight]"), 0);
    /* the next step counts from 0 again */
    net(x);
    assert_int_equal(tapped.count("activations 0:Linear", 1), 1);
}

struct TiedImpl : torch::nn::Module {
    torch::nn::Sequential in{nullptr}, out{nullptr};
    TiedImpl() {
        torch::nn::Linear a(torch::nn::LinearOptions(3, 3).bias(false));
        torch::nn::Linear b(torch::nn::LinearOptions(3, 3).bias(false));
        b->weight = b->register_parameter("tied", a->weight);
        in = register_module("in", torch::nn::Sequential(a));
        out = register_module("out", torch::nn::Sequential(b));
    }
    Tensor forward(Tensor x) {
        return out->forward(in->forward(x));
    }
};
TORCH_MODULE(Tied);

void test_shared_parameter(void **) {
    Tapped tapped;
    Tied model;
    auto net = tapped.exporter.set_model(model);
    tapped.exporter.add_modules(model);
    net(torch::ones({2, 3})).sum().backward();
    tapped.exporter.step();
    assert_int_equal(tapped.count("weights in.0:Linear [weight]"), 1);
    assert_int_equal(tapped.count("weights out.0:Linear [tied]"), 0);
    assert_int_equal(tapped.count("weight_updates in.0:Linear [weight]"), 1);
    assert_int_equal(tapped.count("weight_gradients in.0:Linear [weight]"), 1);
}

/* ---- modes and tags ---- */

void test_evaluation_mode(void **) {
    Tapped tapped;
    Net model;
    auto net = tapped.exporter.set_model(model);
    tapped.exporter.add_modules(model);
    auto loss = tapped.exporter.set_loss(torch::nn::CrossEntropyLoss());
    net->eval();
    loss(net(images()), labels()).backward();
    assert_false(model->is_training());
    assert_int_equal(tapped.messages.size(), 0);

    net->train();
    const Tensor y = net(images());
    const size_t published = tapped.messages.size();
    tapped.exporter.eval();
    loss(net(images()), labels()).backward();
    assert_int_equal(tapped.messages.size(), published);
    assert_false(model->is_training());
    tapped.exporter.train();
    assert_true(model->is_training());
    loss(y, labels()).backward();
    tapped.exporter.step();
    assert_int_equal(tapped.count("loss", 0), 1);
    assert_int_equal(tapped.count("weight_gradients features.0:Conv2d [weight]", 0), 1);
    assert_int_equal(tapped.count("batch_started"), 1);
}

void test_tags(void **) {
    Tapped tapped;
    Net model;
    auto net = tapped.exporter.set_model(model);
    tapped.exporter.add_modules(model);
    auto loss = tapped.exporter.set_loss(torch::nn::CrossEntropyLoss());
    loss(net(images()), labels()).backward();
    tapped.exporter.epoch_finished();
    net->eval();
    {
        auto testing = tapped.exporter.tag("testing");
        torch::NoGradGuard no_grad;
        for (int batch = 0; batch < 2; batch++)
            loss(net(images()), labels());
    }
    const Tensor expected = model->features->forward(images());
    assert_true(same(tapped.one("activations@testing features:Sequential").tensor, expected));
    assert_int_equal(tapped.count("network_output@testing"), 1);
    assert_int_equal(tapped.count("network_output@testing #1"), 1);
    assert_int_equal(tapped.count("input_labels@testing #1"), 1);
    assert_int_equal(tapped.count("input_data@testing #1"), 1);
    assert_int_equal(tapped.one("loss@testing").step, 0);
    assert_int_equal(tapped.count("batch_started"), 1);
    const size_t tagged = tapped.count_tag("testing");
    net(images()); /* the scope is over */
    assert_int_equal(tapped.count_tag("testing"), tagged);

    tapped.exporter.set_tag("probe", /*results_only=*/true);
    loss(net(images()), labels());
    tapped.exporter.set_tag("default");
    assert_int_equal(tapped.count_tag("probe"), 3);
    net->train();
    loss(net(images()), labels());
    assert_int_equal(tapped.one("loss", 1).epoch, 1);
}

void test_tagged_gradients_keep_their_tag(void **) {
    Tapped tapped;
    Net model;
    auto net = tapped.exporter.set_model(model);
    tapped.exporter.add_modules(model);
    net(images()).sum().backward();
    net->eval();
    Tensor y;
    {
        auto probe = tapped.exporter.tag("probe");
        y = net(images());
    }
    y.sum().backward();
    assert_int_equal(tapped.count("layer_gradients@probe features.0:Conv2d"), 1);
    assert_int_equal(tapped.count("weight_gradients@probe features.0:Conv2d [weight]"), 1);
    assert_int_equal(tapped.count("layer_gradients features.0:Conv2d"), 1);
    net->train();
    net(images());
    assert_int_equal(tapped.one("weights features.0:Conv2d [weight]").step, 0);
}

/* ---- freezing ---- */

void test_frozen_module(void **) {
    Tapped tapped;
    Net model;
    auto net = tapped.exporter.set_model(model);
    tapped.exporter.add_modules(model);
    torch::optim::SGD optimizer(model->parameters(), 0.1);
    tapped.exporter.freeze_module(model->features);
    for (int step = 0; step < 2; step++) {
        optimizer.zero_grad();
        net(images()).pow(2).sum().backward();
        optimizer.step();
        if (step == 0) /* thawed: gradients from the next step on */
            for (auto &parameter : model->features->parameters())
                parameter.set_requires_grad(true);
    }
    tapped.exporter.step();
    assert_int_equal(tapped.count("weight_gradients features.0:Conv2d [weight]", 0), 0);
    assert_int_equal(tapped.count("weight_gradients classifier.1:Linear [weight]", 0), 1);
    assert_int_equal(tapped.count("weight_gradients features.0:Conv2d [weight]", 1), 1);
    assert_int_equal(tapped.count("weights features.0:Conv2d [weight]", 0), 1);
    const Message &update = tapped.one("weight_updates features.0:Conv2d [weight]", 0);
    assert_true(same(update.tensor, torch::zeros_like(update.tensor)));
}

/* ---- steps by hand ---- */

void test_steps_by_hand(void **) {
    Tapped tapped;
    torch::nn::Sequential model(torch::nn::Linear(2, 1));
    torch::nn::Sequential judge(torch::nn::Linear(1, 1));
    tapped.exporter.step_by_hand();
    auto net = tapped.exporter.set_model(model);
    tapped.exporter.add_modules(model);
    tapped.exporter.add_modules(judge, -1, {}, "judge");
    for (int step = 0; step < 2; step++) {
        for (int part = 0; part < 2; part++)
            judge->forward(net(torch::ones({1, 2}))).sum().backward();
        tapped.exporter.step();
    }
    assert_int_equal(tapped.count("batch_started"), 2);
    assert_int_equal(tapped.count("activations 0:Linear", 1), 1);
    assert_int_equal(tapped.count("activations 0:Linear #1", 1), 1);
    assert_int_equal(tapped.count("activations judge.0:Linear #1", 1), 1);
    assert_int_equal(tapped.count("activations judge:Sequential #1", 1), 1);
    assert_int_equal(tapped.count("weight_gradients 0:Linear [weight] #1", 0), 1);
    assert_int_equal(tapped.count("weights judge.0:Linear [weight]", 1), 1);
}

/* ---- element types ---- */

struct CastImpl : torch::nn::Module {
    torch::ScalarType type;
    explicit CastImpl(torch::ScalarType to) : type(to) {
    }
    Tensor forward(Tensor x) {
        return x.to(type).t();
    }
};
TORCH_MODULE(Cast);

void test_element_types(void **) {
    const std::vector<std::pair<torch::ScalarType, nauha_dtype>> types = {
        {torch::kFloat, NAUHA_DTYPE_F32}, {torch::kDouble, NAUHA_DTYPE_F64},
        {torch::kHalf, NAUHA_DTYPE_F16},  {torch::kBFloat16, NAUHA_DTYPE_BF16},
        {torch::kByte, NAUHA_DTYPE_U8},   {torch::kChar, NAUHA_DTYPE_I8},
        {torch::kShort, NAUHA_DTYPE_I16}, {torch::kInt, NAUHA_DTYPE_I32},
        {torch::kLong, NAUHA_DTYPE_I64},  {torch::kBool, NAUHA_DTYPE_BOOL}};
    const Tensor x = torch::arange(6, torch::kFloat).view({2, 3});
    for (const auto &type : types) {
        Tapped tapped;
        torch::nn::Sequential model{Cast(type.first)};
        auto net = tapped.exporter.set_model(model);
        tapped.exporter.add_modules(model);
        net(x);
        const Message &message = tapped.one("activations 0:Cast");
        assert_int_equal(message.dtype, type.second);
        assert_true(same(message.tensor, x.to(type.first).t()));
    }
    Tapped tapped;
    torch::nn::Sequential model{Cast(torch::kComplexFloat)};
    auto net = tapped.exporter.set_model(model);
    tapped.exporter.add_modules(model);
    net(x);
    net(x);
    assert_int_equal(tapped.count("activations 0:Cast"), 0);
    assert_int_equal(tapped.notices.size(), 1);
    assert_string_equal(tapped.notices[0].c_str(),
                        "tensors of type ComplexFloat cannot be recorded");
}

void test_sparse_gradient(void **) {
    Tapped tapped;
    torch::nn::Sequential model{
        torch::nn::Embedding(torch::nn::EmbeddingOptions(4, 2).sparse(true))};
    auto net = tapped.exporter.set_model(model);
    tapped.exporter.add_modules(model);
    net(torch::tensor({1, 1, 3}, torch::kLong)).sum().backward();
    const Tensor expected = torch::tensor({0.f, 0.f, 2.f, 2.f, 0.f, 0.f, 1.f, 1.f}).view({4, 2});
    assert_true(same(tapped.one("weight_gradients 0:Embedding [weight]").tensor, expected));
}

/* ---- failures ---- */

void test_setup_errors(void **) {
    bool thrown = false;
    try {
        nauha::Exporter exporter("", {{"colour", "blue"}});
    } catch (const nauha::Error &error) {
        thrown = true;
        assert_int_equal(error.code(), NAUHA_UNKNOWN);
        assert_non_null(std::strstr(error.what(), "\"colour\""));
    }
    assert_true(thrown);
    thrown = false;
    try {
        nauha::Exporter exporter("/nonexistent/dir/run.h5");
    } catch (const nauha::Error &error) {
        thrown = true;
        assert_int_equal(error.code(), NAUHA_IO);
        assert_non_null(std::strstr(error.what(), "/nonexistent/dir/run.h5"));
    }
    assert_true(thrown);
}

nauha_status refuse(void *, nauha_message *, nauha_error *err) {
    return nauha_error_set(err, NAUHA_SUBSCRIBER, "no more \"messages\" wanted");
}

void test_failure_is_told_once_and_not_thrown(void **) {
    nauha::Exporter exporter("");
    std::vector<std::string> notices;
    exporter.on_notice([&](const std::string &text) { notices.push_back(text); });
    assert_int_equal(nauha_recorder_tap(exporter.recorder(), refuse, nullptr, nullptr), NAUHA_OK);
    Net model;
    auto net = exporter.set_model(model);
    exporter.add_modules(model);
    for (int step = 0; step < 3; step++)
        net(images()).sum().backward();
    exporter.step();
    size_t told = 0;
    for (const auto &notice : notices)
        told += notice.find("no more \"messages\" wanted") != std::string::npos;
    assert_int_equal(told, 1);
}

void test_borrowed_recorder(void **) {
    nauha_recorder *recorder = nullptr;
    assert_int_equal(nauha_recorder_open(nullptr, nullptr, &recorder, nullptr), NAUHA_OK);
    std::vector<Message> messages;
    nauha_recorder_tap(recorder, collect, &messages, nullptr);
    {
        nauha::Exporter exporter(recorder);
        torch::nn::Sequential model(torch::nn::Linear(2, 1));
        auto net = exporter.set_model(model);
        exporter.add_modules(model);
        net(torch::ones({1, 2}));
    } /* the destructor ends the step and leaves the recorder open */
    assert_string_equal(messages.back().kind.c_str(), "batch_finished");
    assert_int_equal(nauha_recorder_close(recorder, nullptr), NAUHA_OK);
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_order_and_stamps),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_inputs_on_demand),
        cmocka_unit_test(test_training_is_bit_identical),
        cmocka_unit_test(test_graph_is_not_retained),
        cmocka_unit_test(test_module_called_twice),
        cmocka_unit_test(test_shared_parameter),
        cmocka_unit_test(test_evaluation_mode),
        cmocka_unit_test(test_tags),
        cmocka_unit_test(test_tagged_gradients_keep_their_tag),
        cmocka_unit_test(test_frozen_module),
        cmocka_unit_test(test_steps_by_hand),
        cmocka_unit_test(test_element_types),
        cmocka_unit_test(test_sparse_gradient),
        cmocka_unit_test(test_setup_errors),
        cmocka_unit_test(test_failure_is_told_once_and_not_thrown),
        cmocka_unit_test(test_borrowed_recorder),
    };
    torch::set_num_threads(1);
    return cmocka_run_group_tests_name("torch", tests, nullptr, nullptr);
}
