#include <nauha/torch.hpp>

int main() {
    torch::nn::Sequential model(torch::nn::Linear(4, 8), torch::nn::ReLU(),
                                torch::nn::Linear(8, 2));
    torch::optim::SGD optimizer(model->parameters(), 0.1);
    auto x = torch::randn({32, 4}), y = torch::randint(2, {32}, torch::kLong);

    nauha::Exporter exporter("run.h5");
    auto net = exporter.set_model(model); // call net instead of model
    exporter.add_modules(model);          // all of it; or one part after another
    auto loss = exporter.set_loss(torch::nn::CrossEntropyLoss());
    for (int step = 0; step < 100; step++) { // as before
        optimizer.zero_grad();
        loss(net(x), y).backward();
        optimizer.step();
    }
    exporter.epoch_finished();
}
