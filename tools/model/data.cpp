/* SPDX-License-Identifier: MIT */
/* Reading .npy files. A file is a magic number, the version, the length of the header, the header
 * in Python's syntax, and the elements
 * (numpy.org/doc/stable/reference/generated/numpy.lib.format.html). */
#include "tools/model/data.hpp"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>
#include <vector>

#include <sys/stat.h>

namespace nauha {
namespace model {

namespace {

using train::Failure;

[[noreturn]] void malformed(const std::string &path, const std::string &what) {
    throw Failure(NAUHA_FORMAT, "data file \"" + path + "\" " + what);
}

/* The text after 'key': in the header, up to `end`. */
std::string value_of(const std::string &path, const std::string &header, const std::string &key,
                     char end) {
    const size_t at = header.find("'" + key + "':");
    const size_t begin =
        at == std::string::npos ? at : header.find_first_not_of(" ", at + key.size() + 3);
    const size_t stop = begin == std::string::npos ? begin : header.find(end, begin);
    if (stop == std::string::npos)
        malformed(path, "is not a NumPy array: its header has no \"" + key + "\"");
    return header.substr(begin, stop - begin);
}

at::ScalarType type_of(const std::string &path, std::string text) {
    static const std::map<std::string, at::ScalarType> types = {
        {"<f4", at::kFloat}, {"<f8", at::kDouble}, {"<f2", at::kHalf},
        {"<i8", at::kLong},  {"<i4", at::kInt},    {"<i2", at::kShort},
        {"|i1", at::kChar},  {"|u1", at::kByte},   {"|b1", at::kBool}};
    if (text.size() >= 2 && text.front() == '\'' && text.back() == '\'')
        text = text.substr(1, text.size() - 2);
    const auto found = types.find(text);
    if (found == types.end())
        malformed(path,
                  "holds elements of type \"" + text.substr(0, 40) +
                      "\": expected float16, float32, float64, integers or bool, little-endian");
    return found->second;
}

/* "(60, 1, 28, 28" */
std::vector<int64_t> shape_of(const std::string &path, const std::string &text) {
    std::vector<int64_t> shape;
    size_t at = text.find('(');
    if (at == std::string::npos)
        malformed(path, "is not a NumPy array: its header has no shape");
    while ((at = text.find_first_of("0123456789", at)) != std::string::npos) {
        const size_t end = text.find_first_not_of("0123456789", at);
        const std::string digits = text.substr(at, end == std::string::npos ? end : end - at);
        if (digits.size() > 12 || shape.size() >= NAUHA_MAX_NDIM)
            malformed(path, "has an impossible shape in its header");
        shape.push_back(std::stoll(digits));
        at = end;
    }
    return shape;
}

/* Reads the text of the header; the stream is then at the elements. */
std::string read_header(const std::string &path, std::ifstream &file) {
    unsigned char start[12];
    if (!file.read(reinterpret_cast<char *>(start), 10) || std::memcmp(start, "\x93NUMPY", 6) != 0)
        malformed(path, "is not a NumPy array");
    size_t length = start[8] | size_t(start[9]) << 8;
    if (start[6] >= 2) {
        if (!file.read(reinterpret_cast<char *>(start) + 10, 2))
            malformed(path, "is cut short");
        length |= size_t(start[10]) << 16 | size_t(start[11]) << 24;
    }
    if (length > 65536)
        malformed(path, "has an impossible header");
    std::string header(length, '\0');
    if (!file.read(&header[0], static_cast<std::streamsize>(length)))
        malformed(path, "is cut short");
    return header;
}

at::Tensor load_array(const std::string &path) {
    struct stat status;
    if (stat(path.c_str(), &status) != 0)
        throw Failure(NAUHA_IO, "cannot read data file \"" + path + "\": " + std::strerror(errno));
    std::ifstream file(path, std::ios::binary);
    if (!file)
        throw Failure(NAUHA_IO, "cannot read data file \"" + path + "\": " + std::strerror(errno));
    const std::string header = read_header(path, file);
    const auto type = type_of(path, value_of(path, header, "descr", ','));
    const auto shape = shape_of(path, value_of(path, header, "shape", ')'));
    if (value_of(path, header, "fortran_order", ',') != "False")
        malformed(path, "is in Fortran order: save numpy.ascontiguousarray(a)");
    uint64_t bytes = at::elementSize(type);
    for (const int64_t size : shape)
        if (__builtin_mul_overflow(bytes, static_cast<uint64_t>(size), &bytes))
            malformed(path, "has an impossible shape in its header");
    const uint64_t there =
        static_cast<uint64_t>(status.st_size) - static_cast<uint64_t>(file.tellg());
    if (bytes != there)
        malformed(path, "holds " + std::to_string(there) +
                            " bytes of elements, but its shape needs " + std::to_string(bytes));
    const at::Tensor array = at::empty(shape, type);
    if (bytes &&
        !file.read(static_cast<char *>(array.data_ptr()), static_cast<std::streamsize>(bytes)))
        malformed(path, "is cut short");
    return array;
}

class Numpy : public Data {
  public:
    explicit Numpy(const std::string &directory) : inputs_(load_array(directory + "/inputs.npy")) {
        struct stat status;
        const std::string path = directory + "/labels.npy";
        if (inputs_.dim() == 0)
            malformed(directory + "/inputs.npy",
                      "is a single number: expected an array whose first dimension is the samples");
        if (stat(path.c_str(), &status) != 0)
            return;
        labels_ = load_array(path);
        if (labels_.dim() == 0 || labels_.size(0) != inputs_.size(0))
            throw Failure(NAUHA_INVALID, "data file \"" + path + "\" has " +
                                             std::to_string(labels_.dim() ? labels_.size(0) : 1) +
                                             " labels for " + std::to_string(inputs_.size(0)) +
                                             " inputs");
        if (!labels_.is_floating_point())
            labels_ = labels_.to(at::kLong);
    }
    size_t count() const override {
        return static_cast<size_t>(inputs_.size(0));
    }
    std::pair<at::Tensor, at::Tensor> get(size_t first, size_t n) const override {
        const auto from = static_cast<int64_t>(first), length = static_cast<int64_t>(n);
        return {inputs_.narrow(0, from, length),
                labels_.defined() ? labels_.narrow(0, from, length) : at::Tensor()};
    }

  private:
    at::Tensor inputs_, labels_;
};

} // namespace

bool has_numpy(const std::string &directory) {
    struct stat status;
    return stat((directory + "/inputs.npy").c_str(), &status) == 0;
}

std::unique_ptr<Data> load_numpy(const std::string &directory) {
    return std::make_unique<Numpy>(directory);
}

} // namespace model
} // namespace nauha
