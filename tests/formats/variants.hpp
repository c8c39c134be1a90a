#pragma once

#include <calm/base.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <utility>
#include <vector>

// Malformed and merely unusual files, each with the judgement it must get. A row of a table says
// how the file is made from a tiny valid one, and the judgement is written down beside it: nothing
// here asks a reader.
namespace calm::formats_test {

struct Variant {
  std::string name;
  std::vector<std::byte> file;
  calm_status status = CALM_OK;
  std::string message;  // what the refusal must contain: the field or the place
};

std::vector<Variant> cwgt_variants();
std::vector<Variant> ctds_variants();
std::vector<Variant> safetensors_variants();

// How a row makes its file.
using Edit = std::function<void(std::vector<std::byte> &)>;

// A variant to be: a tiny valid file, edited, and its judgement.
struct Row {
  const char *name;
  Edit edit;
  calm_status status;
  const char *message;
};

inline std::vector<Variant> make_variants(const std::vector<Row> &rows,
                                          const std::vector<std::byte> &valid) {
  std::vector<Variant> variants;
  for (const Row &row : rows) {
    std::vector<std::byte> file = valid;
    row.edit(file);
    variants.push_back({row.name, std::move(file), row.status, row.message});
  }
  return variants;
}

template <class T>
Edit put_at(std::size_t offset, T value) {
  return [=](std::vector<std::byte> &file) {
    std::memcpy(file.data() + offset, &value, sizeof value);
  };
}
inline Edit u8(std::size_t offset, std::uint8_t value) { return put_at(offset, value); }
inline Edit u16(std::size_t offset, std::uint16_t value) { return put_at(offset, value); }
inline Edit u32(std::size_t offset, std::uint32_t value) { return put_at(offset, value); }
inline Edit f32(std::size_t offset, float value) { return put_at(offset, value); }

inline Edit text_at(std::size_t offset, const std::string &text) {
  return [=](std::vector<std::byte> &file) {
    std::memcpy(file.data() + offset, text.data(), text.size());
  };
}
// The first `bytes` bytes.
inline Edit first(std::size_t bytes) {
  return [=](std::vector<std::byte> &file) { file.resize(bytes); };
}
// Without the last `bytes` bytes.
inline Edit without_last(std::size_t bytes) {
  return [=](std::vector<std::byte> &file) { file.resize(file.size() - bytes); };
}
// `bytes` zeros behind the end.
inline Edit with_more(std::size_t bytes) {
  return [=](std::vector<std::byte> &file) { file.resize(file.size() + bytes); };
}
// `text` put in at `offset`, instead of `old` bytes.
inline Edit replace(std::size_t offset, std::size_t old, const std::string &text) {
  return [=](std::vector<std::byte> &file) {
    const auto at = file.begin() + static_cast<std::ptrdiff_t>(offset);
    const auto *bytes = reinterpret_cast<const std::byte *>(text.data());
    file.insert(file.erase(at, at + static_cast<std::ptrdiff_t>(old)), bytes, bytes + text.size());
  };
}
inline Edit twice() {
  return [](std::vector<std::byte> &file) {
    const std::vector<std::byte> copy = file;
    file.insert(file.end(), copy.begin(), copy.end());
  };
}
inline Edit whole(const std::string &text) {
  return [=](std::vector<std::byte> &file) {
    file.resize(text.size());
    std::memcpy(file.data(), text.data(), text.size());
  };
}
inline Edit both(const Edit &a, const Edit &b) {
  return [=](std::vector<std::byte> &file) {
    a(file);
    b(file);
  };
}

}  // namespace calm::formats_test
