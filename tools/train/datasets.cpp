/* SPDX-License-Identifier: MIT */
/* Reading IDX and CIFAR files. zlib reads plain files as well as gzip, so one reader serves both.
 */
#include "tools/train/datasets.hpp"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <numeric>
#include <random>

#include <sys/stat.h>
#include <zlib.h>

namespace nauha {
namespace train {

namespace {

/* Larger than any data set that is supported, and far smaller than what a damaged header could ask
 * for. */
constexpr uint64_t max_images = 10u * 1000u * 1000u;
constexpr uint64_t max_bytes = uint64_t(4) << 30;

bool exists(const std::string &path) {
    struct stat status;
    return stat(path.c_str(), &status) == 0;
}

class File {
  public:
    /* PATH, or PATH.gz if only that exists. */
    explicit File(const std::string &path) : path_(path) {
        if (!exists(path_) && exists(path_ + ".gz"))
            path_ += ".gz";
        struct stat status;
        if (stat(path_.c_str(), &status) != 0)
            fail_errno(errno);
        if (!S_ISREG(status.st_mode))
            throw Failure(NAUHA_IO, "cannot read dataset file \"" + path_ + "\": not a file");
        errno = 0;
        file_ = gzopen(path_.c_str(), "rb");
        if (!file_)
            fail_errno(errno ? errno : ENOMEM);
        gzbuffer(file_, 256 * 1024);
    }
    ~File() {
        gzclose(file_);
    }
    File(const File &) = delete;
    File &operator=(const File &) = delete;

    const std::string &path() const {
        return path_;
    }

    /* Reads exactly `bytes`; the error for missing bytes says that they are `what`. */
    void read(uint8_t *out, size_t bytes, const char *what) {
        while (bytes > 0) {
            const unsigned chunk = static_cast<unsigned>(std::min<size_t>(bytes, 1u << 20));
            const size_t got = read_some(out, chunk);
            if (got == 0)
                throw Failure(NAUHA_FORMAT,
                              "dataset file \"" + path_ + "\" is cut short: " + what + " missing");
            out += got;
            bytes -= got;
        }
    }

    /* Appends `bytes` to data, which grows only as they are read, because the size is not
     * trusted. */
    void append(std::vector<uint8_t> &data, size_t bytes, const char *what) {
        while (bytes > 0) {
            const size_t step = std::min<size_t>(bytes, size_t(16) << 20);
            const size_t before = data.size();
            data.resize(before + step);
            read(data.data() + before, step, what);
            bytes -= step;
        }
    }

    /* Reads `bytes`; returns false at the end of the file. */
    bool read_record(uint8_t *out, size_t bytes, const char *what) {
        const size_t got = read_some(out, 1);
        if (got == 1)
            read(out + 1, bytes - 1, what);
        return got == 1;
    }

    void expect_end() {
        uint8_t byte;
        if (read_some(&byte, 1) != 0)
            throw Failure(NAUHA_FORMAT, "dataset file \"" + path_ + "\" is longer than it says");
    }

  private:
    size_t read_some(uint8_t *out, unsigned bytes) {
        const int got = gzread(file_, out, bytes);
        if (got > 0)
            return static_cast<size_t>(got);
        int code = Z_OK;
        const char *text = gzerror(file_, &code);
        if (code == Z_ERRNO)
            fail_errno(errno);
        if (code == Z_BUF_ERROR)
            throw Failure(NAUHA_FORMAT, "dataset file \"" + path_ +
                                            "\" is cut short: the gzip stream does not end");
        if (code != Z_OK && code != Z_STREAM_END)
            throw Failure(NAUHA_FORMAT,
                          "dataset file \"" + path_ + "\" does not decompress: " + text);
        return 0;
    }

    [[noreturn]] void fail_errno(int number) const {
        throw Failure(NAUHA_IO,
                      "cannot read dataset file \"" + path_ + "\": " + std::strerror(number));
    }

    std::string path_;
    gzFile file_ = nullptr;
};

/* ---- IDX ---- */

uint32_t big_endian(const uint8_t *bytes) {
    return uint32_t(bytes[0]) << 24 | uint32_t(bytes[1]) << 16 | uint32_t(bytes[2]) << 8 | bytes[3];
}

std::string hex(uint32_t number) {
    char text[16];
    std::snprintf(text, sizeof text, "0x%08x", number);
    return text;
}

/* The dimensions of an IDX file of unsigned bytes: magic 00 00 08 NDIM, then NDIM sizes, 32 bits
 * each, most significant byte first (yann.lecun.com/exdb/mnist). */
std::vector<size_t> read_idx_header(File &file, uint32_t ndim) {
    std::vector<uint8_t> header(4 + 4 * size_t(ndim));
    file.read(header.data(), 4, "the header is");
    const uint32_t magic = big_endian(header.data()), expected = 0x800u | ndim;
    if (magic != expected)
        throw Failure(NAUHA_FORMAT, "dataset file \"" + file.path() +
                                        "\" is not IDX: it begins with " + hex(magic) + ", not " +
                                        hex(expected));
    file.read(header.data() + 4, header.size() - 4, "the header is");
    std::vector<size_t> shape;
    uint64_t bytes = 1;
    for (uint32_t i = 0; i < ndim; i++) {
        const uint32_t size = big_endian(header.data() + 4 + 4 * size_t(i));
        shape.push_back(size);
        bytes = size > max_bytes / std::max<uint64_t>(bytes, 1) ? max_bytes + 1 : bytes * size;
    }
    if (bytes == 0 || bytes > max_bytes || shape[0] > max_images)
        throw Failure(NAUHA_FORMAT,
                      "dataset file \"" + file.path() + "\" has an impossible size in its header");
    return shape;
}

Images load_idx(const std::string &directory, Part part) {
    const std::string prefix = directory + (part == Part::training ? "/train" : "/t10k");
    Images images;
    {
        File file(prefix + "-images-idx3-ubyte");
        const auto shape = read_idx_header(file, 3);
        images.count = shape[0];
        images.channels = 1;
        images.height = shape[1];
        images.width = shape[2];
        file.append(images.pixels, shape[0] * shape[1] * shape[2], "images are");
        file.expect_end();
    }
    File file(prefix + "-labels-idx1-ubyte");
    const auto shape = read_idx_header(file, 1);
    if (shape[0] != images.count)
        throw Failure(NAUHA_FORMAT, "dataset file \"" + file.path() + "\" has " +
                                        std::to_string(shape[0]) + " labels for " +
                                        std::to_string(images.count) + " images");
    file.append(images.labels, shape[0], "labels are");
    file.expect_end();
    return images;
}

/* ---- CIFAR ---- */

constexpr size_t cifar_pixels = 3 * 32 * 32;

/* Appends the records of a file: `label_bytes` labels, the last of which counts, then the image
 * (www.cs.toronto.edu/~kriz/cifar.html, "Binary version"). */
void load_cifar_file(const std::string &path, size_t label_bytes, Images &images) {
    File file(path);
    std::vector<uint8_t> record(label_bytes + cifar_pixels);
    const size_t before = images.count;
    while (file.read_record(record.data(), record.size(), "part of an image is")) {
        if (++images.count > max_images)
            throw Failure(NAUHA_FORMAT, "dataset file \"" + file.path() + "\" is too long");
        images.labels.push_back(record[label_bytes - 1]);
        images.pixels.insert(images.pixels.end(),
                             record.begin() + static_cast<std::ptrdiff_t>(label_bytes),
                             record.end());
    }
    if (images.count == before)
        throw Failure(NAUHA_FORMAT, "dataset file \"" + file.path() + "\" is empty");
}

Images load_cifar(nauha_train_dataset dataset, const std::string &directory, Part part) {
    Images images;
    images.channels = 3;
    images.height = images.width = 32;
    if (dataset == NAUHA_TRAIN_CIFAR100) {
        load_cifar_file(directory + (part == Part::training ? "/train.bin" : "/test.bin"), 2,
                        images);
    } else if (part == Part::test) {
        load_cifar_file(directory + "/test_batch.bin", 1, images);
    } else {
        for (int batch = 1; batch <= 5; batch++)
            load_cifar_file(directory + "/data_batch_" + std::to_string(batch) + ".bin", 1, images);
    }
    return images;
}

} // namespace

/* Means and standard deviations as commonly published for the training sets. */
const DatasetInfo &dataset_info(nauha_train_dataset dataset) {
    static const DatasetInfo fashion{10, 1, {0.2860f}, {0.3530f}};
    static const DatasetInfo mnist{10, 1, {0.1307f}, {0.3081f}};
    static const DatasetInfo cifar10{
        10, 3, {0.4914f, 0.4822f, 0.4465f}, {0.2470f, 0.2435f, 0.2616f}};
    static const DatasetInfo cifar100{
        100, 3, {0.5071f, 0.4865f, 0.4409f}, {0.2673f, 0.2564f, 0.2762f}};
    switch (dataset) {
    case NAUHA_TRAIN_MNIST:
        return mnist;
    case NAUHA_TRAIN_CIFAR10:
        return cifar10;
    case NAUHA_TRAIN_CIFAR100:
        return cifar100;
    default:
        return fashion;
    }
}

Images load_images(nauha_train_dataset dataset, const std::string &directory, Part part) {
    struct stat status;
    if (stat(directory.c_str(), &status) != 0)
        throw Failure(NAUHA_IO, "cannot open dataset directory \"" + directory +
                                    "\": " + std::strerror(errno));
    const bool idx = dataset == NAUHA_TRAIN_FASHION_MNIST || dataset == NAUHA_TRAIN_MNIST;
    Images images = idx ? load_idx(directory, part) : load_cifar(dataset, directory, part);
    const size_t classes = dataset_info(dataset).classes;
    for (size_t i = 0; i < images.count; i++)
        if (images.labels[i] >= classes)
            throw Failure(NAUHA_FORMAT, "dataset directory \"" + directory + "\" has label " +
                                            std::to_string(images.labels[i]) + " at image " +
                                            std::to_string(i) + ", but only " +
                                            std::to_string(classes) + " classes");
    return images;
}

/* Fisher-Yates with our own choice of indices: std::shuffle differs between libraries. The
 * modulo's bias is below 2^-37 for any dataset that loads. */
std::vector<int64_t> shuffled(size_t count, uint64_t seed, uint64_t epoch) {
    std::seed_seq mixed{uint32_t(seed), uint32_t(seed >> 32), uint32_t(epoch),
                        uint32_t(epoch >> 32)};
    std::mt19937_64 random(mixed);
    std::vector<int64_t> order(count);
    std::iota(order.begin(), order.end(), int64_t(0));
    for (size_t i = count; i > 1; i--)
        std::swap(order[i - 1], order[random() % i]);
    return order;
}

} // namespace train
} // namespace nauha
