/* SPDX-License-Identifier: MIT */
/* Reading datasets: files made here byte by byte, whole and damaged, and Fashion-MNIST itself
 * where it is installed. */
#include <csetjmp>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>

#include <unistd.h>
#include <zlib.h>

#include "tools/train/datasets.hpp"

extern "C" {
#include <cmocka.h>
}

using namespace nauha::train;

namespace {

using Bytes = std::vector<uint8_t>;

/* ---- a directory for one test ---- */

struct Directory {
    std::string path;
    std::set<std::string> files;

    Directory() {
        char name[] = "/tmp/nauha-datasets-XXXXXX";
        assert_non_null(mkdtemp(name));
        path = name;
    }
    ~Directory() {
        for (const auto &file : files)
            unlink((path + "/" + file).c_str());
        rmdir(path.c_str());
    }
    void write(const std::string &name, const Bytes &bytes) {
        files.insert(name);
        FILE *file = fopen((path + "/" + name).c_str(), "wb");
        assert_non_null(file);
        if (!bytes.empty())
            assert_int_equal(fwrite(bytes.data(), 1, bytes.size(), file), bytes.size());
        fclose(file);
    }
    void write_gzip(const std::string &name, const Bytes &bytes, size_t cut = 0) {
        files.insert(name);
        const std::string whole = path + "/" + name;
        gzFile file = gzopen(whole.c_str(), "wb");
        assert_non_null(file);
        assert_int_equal(gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size())),
                         bytes.size());
        gzclose(file);
        if (cut) {
            FILE *plain = fopen(whole.c_str(), "rb");
            fseek(plain, 0, SEEK_END);
            const long size = ftell(plain);
            fclose(plain);
            assert_int_equal(truncate(whole.c_str(), size - static_cast<long>(cut)), 0);
        }
    }
};

void expect_failure(nauha_train_dataset dataset, const std::string &directory, nauha_status code,
                    const std::string &message) {
    bool thrown = false;
    try {
        load_images(dataset, directory, Part::training);
    } catch (const Failure &failure) {
        thrown = true;
        assert_string_equal(failure.what(), message.c_str());
        assert_int_equal(failure.code, code);
    }
    assert_true(thrown);
}

/* ---- IDX ---- */

/* Two images of 2x3 and their labels. */
const Bytes two_images = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0,  0,  2,  0,   0,
                          0, 3, 0, 1, 2, 3, 4, 5, 6, 70, 80, 90, 100, 255};
const Bytes two_labels = {0, 0, 8, 1, 0, 0, 0, 2, 9, 0};

void check_two(const Images &images) {
    assert_int_equal(images.count, 2);
    assert_int_equal(images.channels, 1);
    assert_int_equal(images.height, 2);
    assert_int_equal(images.width, 3);
    assert_true(images.pixels == Bytes({0, 1, 2, 3, 4, 5, 6, 70, 80, 90, 100, 255}));
    assert_true(images.labels == Bytes({9, 0}));
}

void test_idx(void **) {
    Directory directory;
    directory.write("train-images-idx3-ubyte", two_images);
    directory.write_gzip("train-labels-idx1-ubyte.gz", two_labels);
    check_two(load_images(NAUHA_TRAIN_MNIST, directory.path, Part::training));
    directory.write_gzip("t10k-images-idx3-ubyte.gz", two_images);
    directory.write("t10k-labels-idx1-ubyte", two_labels);
    check_two(load_images(NAUHA_TRAIN_FASHION_MNIST, directory.path, Part::test));
}

void test_missing(void **) {
    expect_failure(NAUHA_TRAIN_MNIST, "/nonexistent/mnist", NAUHA_IO,
                   "cannot open dataset directory \"/nonexistent/mnist\": No such file or "
                   "directory");
    Directory directory;
    expect_failure(NAUHA_TRAIN_MNIST, directory.path, NAUHA_IO,
                   "cannot read dataset file \"" + directory.path +
                       "/train-images-idx3-ubyte\": No such file or directory");
    directory.write("train-images-idx3-ubyte", two_images);
    expect_failure(NAUHA_TRAIN_MNIST, directory.path, NAUHA_IO,
                   "cannot read dataset file \"" + directory.path +
                       "/train-labels-idx1-ubyte\": No such file or directory");
}

Bytes changed(Bytes bytes, size_t position, uint8_t value) {
    bytes.at(position) = value;
    return bytes;
}

Bytes cut(Bytes bytes, size_t size) {
    bytes.resize(size);
    return bytes;
}

void test_damaged_idx(void **) {
    Directory directory;
    const std::string images = directory.path + "/train-images-idx3-ubyte";
    const std::string labels = directory.path + "/train-labels-idx1-ubyte";
    directory.write("train-labels-idx1-ubyte", two_labels);
    const struct {
        Bytes bytes;
        std::string problem;
    } cases[] = {
        {{}, "is cut short: the header is missing"},
        {cut(two_images, 9), "is cut short: the header is missing"},
        {cut(two_images, 27), "is cut short: images are missing"},
        {changed(two_images, 2, 0x0d), "is not IDX: it begins with 0x00000d03, not 0x00000803"},
        {changed(two_images, 3, 1), "is not IDX: it begins with 0x00000801, not 0x00000803"},
        {changed(two_images, 7, 0), "has an impossible size in its header"},
        {changed(two_images, 4, 0xff), "has an impossible size in its header"},
        {changed(changed(two_images, 8, 0xff), 12, 0xff), "has an impossible size in its header"},
        {changed(two_images, 7, 1), "is longer than it says"},
        {changed(two_images, 9, 0x10), "is cut short: images are missing"},
    };
    for (const auto &one : cases) {
        directory.write("train-images-idx3-ubyte", one.bytes);
        expect_failure(NAUHA_TRAIN_MNIST, directory.path, NAUHA_FORMAT,
                       "dataset file \"" + images + "\" " + one.problem);
    }
    directory.write("train-images-idx3-ubyte", two_images);
    directory.write("train-labels-idx1-ubyte", changed(cut(two_labels, 9), 7, 1));
    expect_failure(NAUHA_TRAIN_MNIST, directory.path, NAUHA_FORMAT,
                   "dataset file \"" + labels + "\" has 1 labels for 2 images");
    directory.write("train-labels-idx1-ubyte", changed(two_labels, 8, 10));
    expect_failure(NAUHA_TRAIN_MNIST, directory.path, NAUHA_FORMAT,
                   "dataset directory \"" + directory.path +
                       "\" has label 10 at image 0, but only 10 classes");
}

void test_damaged_gzip(void **) {
    Directory directory;
    Bytes images = two_images; /* long enough that the cut hits the images */
    images[9] = 0x03;
    for (unsigned i = 0; i < 2 * 3 * 770; i++)
        images.push_back(static_cast<uint8_t>(i * i * 7919 >> 3));
    directory.write_gzip("train-images-idx3-ubyte.gz", images, 100);
    expect_failure(NAUHA_TRAIN_MNIST, directory.path, NAUHA_FORMAT,
                   "dataset file \"" + directory.path +
                       "/train-images-idx3-ubyte.gz\" is cut short: the gzip stream does not end");
}

void test_directory_in_place_of_a_file(void **) {
    Directory directory;
    expect_failure(NAUHA_TRAIN_MNIST, "/dev/null", NAUHA_IO,
                   "cannot read dataset file \"/dev/null/train-images-idx3-ubyte\": Not a "
                   "directory");
}

/* ---- CIFAR ---- */

Bytes cifar_record(std::vector<uint8_t> labels, uint8_t first_pixel) {
    Bytes record(labels);
    for (int i = 0; i < 3 * 32 * 32; i++)
        record.push_back(static_cast<uint8_t>(first_pixel + i));
    return record;
}

Bytes operator+(Bytes a, const Bytes &b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

void test_cifar10(void **) {
    Directory directory;
    for (int batch = 1; batch <= 5; batch++)
        directory.write("data_batch_" + std::to_string(batch) + ".bin",
                        cifar_record({static_cast<uint8_t>(batch)}, static_cast<uint8_t>(batch)));
    directory.write("test_batch.bin", cifar_record({8}, 1) + cifar_record({9}, 2));
    const Images training = load_images(NAUHA_TRAIN_CIFAR10, directory.path, Part::training);
    assert_int_equal(training.count, 5);
    assert_int_equal(training.channels, 3);
    assert_true(training.labels == Bytes({1, 2, 3, 4, 5}));
    assert_int_equal(training.pixels.size(), 5 * 3072);
    assert_int_equal(training.pixels[3072 * 4], 5);
    assert_int_equal(training.pixels[3072 * 4 + 10], 15);
    const Images test = load_images(NAUHA_TRAIN_CIFAR10, directory.path, Part::test);
    assert_true(test.labels == Bytes({8, 9}));

    directory.write("data_batch_3.bin", cut(cifar_record({1}, 1), 3072));
    expect_failure(NAUHA_TRAIN_CIFAR10, directory.path, NAUHA_FORMAT,
                   "dataset file \"" + directory.path +
                       "/data_batch_3.bin\" is cut short: part of an image is missing");
    directory.write("data_batch_3.bin", {});
    expect_failure(NAUHA_TRAIN_CIFAR10, directory.path, NAUHA_FORMAT,
                   "dataset file \"" + directory.path + "/data_batch_3.bin\" is empty");
}

void test_cifar100(void **) {
    Directory directory;
    directory.write("train.bin", cifar_record({19, 99}, 0)); /* coarse label, fine label */
    const Images training = load_images(NAUHA_TRAIN_CIFAR100, directory.path, Part::training);
    assert_true(training.labels == Bytes({99}));
    assert_int_equal(training.pixels[0], 0);
    directory.write("train.bin", cifar_record({19, 100}, 0));
    expect_failure(NAUHA_TRAIN_CIFAR100, directory.path, NAUHA_FORMAT,
                   "dataset directory \"" + directory.path +
                       "\" has label 100 at image 0, but only 100 classes");
}

/* ---- the real one ---- */

/* Counts and class balance as documented; the mean is the one published for the training set. */
void test_fashion_mnist(void **) {
    nauha_train_options options;
    nauha_train_options_init(&options);
    const std::string directory = nauha_train_data_dir(&options);
    if (access(directory.c_str(), R_OK) != 0)
        skip();
    const Images images = load_images(NAUHA_TRAIN_FASHION_MNIST, directory, Part::training);
    assert_int_equal(images.count, 60000);
    assert_int_equal(images.height, 28);
    assert_int_equal(images.width, 28);
    std::vector<int> counts(10);
    for (const auto label : images.labels)
        counts[label]++;
    for (const int count : counts)
        assert_int_equal(count, 6000);
    double sum = 0;
    for (const auto pixel : images.pixels)
        sum += pixel;
    const double mean = sum / 255 / static_cast<double>(images.pixels.size());
    assert_true(std::abs(mean - 0.2860) < 0.0001);
    assert_int_equal(load_images(NAUHA_TRAIN_FASHION_MNIST, directory, Part::test).count, 10000);
}

/* ---- order ---- */

void test_shuffle(void **) {
    const auto order = shuffled(1000, 5, 0);
    const std::set<int64_t> distinct(order.begin(), order.end());
    assert_int_equal(distinct.size(), 1000);
    assert_int_equal(*distinct.begin(), 0);
    assert_int_equal(*distinct.rbegin(), 999);
    assert_true(order == shuffled(1000, 5, 0));
    assert_true(order != shuffled(1000, 6, 0));
    assert_true(order != shuffled(1000, 5, 1));
    assert_true(order != shuffled(1000, 5 + (uint64_t(1) << 32), 0));
    /* about one element of a random permutation stays in place */
    int fixed = 0;
    for (size_t i = 0; i < order.size(); i++)
        fixed += order[i] == static_cast<int64_t>(i);
    assert_true(fixed < 10);
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_idx),
        cmocka_unit_test(test_missing),
        cmocka_unit_test(test_damaged_idx),
        cmocka_unit_test(test_damaged_gzip),
        cmocka_unit_test(test_directory_in_place_of_a_file),
        cmocka_unit_test(test_cifar10),
        cmocka_unit_test(test_cifar100),
        cmocka_unit_test(test_fashion_mnist),
        cmocka_unit_test(test_shuffle),
    };
    return cmocka_run_group_tests_name("datasets", tests, nullptr, nullptr);
}
