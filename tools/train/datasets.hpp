/* SPDX-License-Identifier: MIT */
/* Reading image datasets in the formats in which they are published: IDX (MNIST, Fashion-MNIST;
 * plain or gzip) and the binary versions of CIFAR-10 and CIFAR-100. */
#ifndef NAUHA_TOOLS_TRAIN_DATASETS_HPP
#define NAUHA_TOOLS_TRAIN_DATASETS_HPP

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "tools/train/train.h"

namespace nauha {
namespace train {

/* A failure with a status code; what() is an error message in the form of all others. */
class Failure : public std::runtime_error {
  public:
    Failure(nauha_status status, const std::string &message)
        : std::runtime_error(message), code(status) {
    }
    const nauha_status code;
};

struct Images {
    size_t count = 0;
    size_t channels = 0, height = 0, width = 0;
    std::vector<uint8_t> pixels; /* [count, channels, height, width] */
    std::vector<uint8_t> labels; /* [count], each below the number of classes */
};

/* What is known of a dataset without its files. */
struct DatasetInfo {
    size_t classes;
    size_t channels;
    /* Per channel, of the training images scaled to 0..1; both 3 long for CIFAR. */
    std::vector<float> mean, deviation;
};
const DatasetInfo &dataset_info(nauha_train_dataset dataset);

enum class Part { training, test };

/* Reads one part of a dataset. The files are untrusted. Throws Failure, naming the file: IO if it
 * cannot be read, FORMAT if its content is wrong. */
Images load_images(nauha_train_dataset dataset, const std::string &directory, Part part);

/* The order in which an epoch goes through `count` images: a permutation that depends on the
 * seed and the epoch only. */
std::vector<int64_t> shuffled(size_t count, uint64_t seed, uint64_t epoch);

} // namespace train
} // namespace nauha
#endif
