#pragma once

#include <calm/format.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <calm/cpp/value.hpp>

// What the tests of file formats share: plugins met by loading them, files in memory, documents
// that own their parts.
namespace calm::formats_test {

using Bytes = std::vector<std::byte>;

// A file below tests/parity/data.
Bytes golden(const std::string &name);

// The format of the plugin <name>.so.
const calm_format &format(const std::string &name);

struct Field {
  std::string name;
  calm_value_type type = CALM_VALUE_NONE;
  std::int64_t i64 = 0;
  double f64 = 0;
  std::string str;
};

struct Tensor {
  std::string name;
  calm_type type{};
  Bytes data;

  template <class T>
  std::vector<T> values() const {
    std::vector<T> out(data.size() / sizeof(T));
    if (!out.empty()) {
      std::memcpy(out.data(), data.data(), data.size());
    }
    return out;
  }
};

struct Contents {
  std::vector<Field> fields;
  std::vector<Tensor> tensors;

  // Null when absent.
  Field *field(std::string_view name);
  Tensor *tensor(std::string_view name);

  // Adds, or replaces what has the name.
  void set(const std::string &name, std::int64_t v);
  void set(const std::string &name, double v);
  void set_flag(const std::string &name, bool v);
  void set(const std::string &name, const std::string &v);
  template <class T>
  void add(const std::string &name, calm_dtype dtype, std::initializer_list<std::int64_t> shape,
           const std::vector<T> &values) {
    Tensor t{name, type_of(dtype, shape), Bytes(values.size() * sizeof(T))};
    if (!values.empty()) {
      std::memcpy(t.data.data(), values.data(), t.data.size());
    }
    tensors.push_back(std::move(t));
  }
  void remove_field(std::string_view name);
  void remove_tensor(std::string_view name);
};

struct Opened {
  calm_status status = CALM_OK;
  std::string message;
  std::vector<std::string> warnings;
  std::size_t largest_allocation = 0;  // one request while the file was opened
  Contents contents;                   // when status is CALM_OK
};

// Opens and reads everything.
Opened open(const calm_format &format, const Bytes &file);

struct Written {
  calm_status status = CALM_OK;
  std::string message;
  Bytes file;
};

Written write(const calm_format &format, const Contents &contents);

// Largest single allocation since the last call (allocation_meter.cpp).
std::size_t take_largest_allocation();

template <class T>
void put(Bytes &file, std::size_t offset, T value) {
  std::memcpy(file.data() + offset, &value, sizeof value);
}

}  // namespace calm::formats_test
