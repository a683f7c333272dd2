/* SPDX-License-Identifier: MIT */
/* The layers of the networks. The class names here become the class names of modules in traces. */
#include "tools/train/models.hpp"

namespace nauha {
namespace train {

using namespace torch::nn;
using torch::Tensor;

Tensor Network::forward(Tensor input) {
    return classifier_->forward(features_->forward(input).flatten(1));
}

void Network::build(Sequential features, Sequential classifier) {
    features_ = register_module("features", features);
    classifier_ = register_module("classifier", classifier);
}

namespace {

ReLU relu() {
    return ReLU(ReLUOptions().inplace(true));
}

/* Has no bias if batch norm follows, which has its own. */
Conv2d conv(int64_t in, int64_t out, int64_t kernel, int64_t stride = 1, bool bias = false) {
    return Conv2d(Conv2dOptions(in, out, kernel).stride(stride).padding(kernel / 2).bias(bias));
}

/* ---- AlexNetMini ---- */

class AlexNetMini : public Network {
  public:
    AlexNetMini(int64_t channels, int64_t size, int64_t classes) {
        const int64_t side = (size - 4) / 2; /* two unpadded 3x3 convolutions, then pooling */
        build(Sequential(Conv2d(channels, 4, 3), relu(), Conv2d(4, 8, 3), relu(), MaxPool2d(2)),
              Sequential(Dropout(0.25), Linear(8 * side * side, 16), relu(), Dropout(0.5),
                         Linear(16, classes)));
    }
};

/* ---- fully connected ---- */

class FullyConnected : public Network {
  public:
    FullyConnected(int64_t channels, int64_t size, int64_t classes) {
        build(Sequential(Flatten()),
              Sequential(Linear(channels * size * size, 4000), relu(), Linear(4000, 4000), relu(),
                         Linear(4000, 4000), relu(), Linear(4000, 1000), relu(),
                         Linear(1000, classes)));
    }
};

/* ---- VGG (Simonyan and Zisserman 2014), three stages ---- */

class VGG : public Network {
  public:
    VGG(int64_t channels, int64_t size, int64_t classes) {
        Sequential features;
        int64_t in = channels, side = size;
        for (const int64_t out : {16, 32, 64}) {
            for (const int64_t from : {in, out}) {
                features->push_back(conv(from, out, 3));
                features->push_back(BatchNorm2d(out));
                features->push_back(relu());
            }
            features->push_back(MaxPool2d(2));
            in = out;
            side /= 2;
        }
        build(features, Sequential(Linear(in * side * side, 128), relu(), Dropout(0.5),
                                   Linear(128, classes)));
    }
};

/* ---- ResNet (He et al. 2015), three stages of two basic blocks ---- */

class BasicBlock : public Module {
  public:
    BasicBlock(int64_t in, int64_t out, int64_t stride) {
        residual_ =
            register_module("residual", Sequential(conv(in, out, 3, stride), BatchNorm2d(out),
                                                   relu(), conv(out, out, 3), BatchNorm2d(out)));
        if (in != out || stride != 1)
            shortcut_ =
                register_module("shortcut", Sequential(conv(in, out, 1, stride), BatchNorm2d(out)));
        output_ = register_module("output", Sequential(relu()));
    }

    Tensor forward(Tensor input) {
        const Tensor direct = shortcut_ ? shortcut_->forward(input) : input;
        return output_->forward(residual_->forward(input) + direct);
    }

  private:
    Sequential residual_{nullptr}, shortcut_{nullptr}, output_{nullptr};
};

class ResNet : public Network {
  public:
    ResNet(int64_t channels, int64_t classes) {
        Sequential features(conv(channels, 16, 3), BatchNorm2d(16), relu());
        int64_t in = 16;
        for (const int64_t out : {16, 32, 64}) {
            features->push_back(std::make_shared<BasicBlock>(in, out, in == out ? 1 : 2));
            features->push_back(std::make_shared<BasicBlock>(out, out, 1));
            in = out;
        }
        features->push_back(AdaptiveAvgPool2d(1));
        build(features, Sequential(Linear(in, classes)));
    }
};

/* ---- DenseNet (Huang et al. 2016), three blocks of four layers ---- */

class DenseLayer : public Module {
  public:
    DenseLayer(int64_t in, int64_t growth) {
        layers_ = register_module(
            "layers", Sequential(BatchNorm2d(in), relu(), conv(in, 4 * growth, 1),
                                 BatchNorm2d(4 * growth), relu(), conv(4 * growth, growth, 3)));
    }

    Tensor forward(Tensor input) {
        return torch::cat({input, layers_->forward(input)}, 1);
    }

  private:
    Sequential layers_{nullptr};
};

class DenseNet : public Network {
  public:
    DenseNet(int64_t channels, int64_t classes) {
        const int64_t growth = 12;
        Sequential features(conv(channels, 2 * growth, 3));
        int64_t in = 2 * growth;
        for (int block = 0; block < 3; block++) {
            if (block > 0) { /* a transition halves channels and sides */
                features->push_back(BatchNorm2d(in));
                features->push_back(relu());
                features->push_back(conv(in, in / 2, 1));
                features->push_back(AvgPool2d(2));
                in /= 2;
            }
            for (int layer = 0; layer < 4; layer++, in += growth)
                features->push_back(std::make_shared<DenseLayer>(in, growth));
        }
        features->push_back(BatchNorm2d(in));
        features->push_back(relu());
        features->push_back(AdaptiveAvgPool2d(1));
        build(features, Sequential(Linear(in, classes)));
    }
};

} // namespace

std::shared_ptr<Network> make_model(nauha_train_model model, int64_t channels, int64_t size,
                                    int64_t classes) {
    switch (model) {
    case NAUHA_TRAIN_FC:
        return std::make_shared<FullyConnected>(channels, size, classes);
    case NAUHA_TRAIN_VGG:
        return std::make_shared<VGG>(channels, size, classes);
    case NAUHA_TRAIN_RESNET:
        return std::make_shared<ResNet>(channels, classes);
    case NAUHA_TRAIN_DENSENET:
        return std::make_shared<DenseNet>(channels, classes);
    default:
        return std::make_shared<AlexNetMini>(channels, size, classes);
    }
}

} // namespace train
} // namespace nauha
