#pragma once

#include <calm/base.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <calm/cpp/error.hpp>

namespace calm {

/// Little-endian numbers appended to a buffer. A value its width cannot hold is INVALID_ARGUMENT
/// "<what>: expected 0 to N, found V", so nothing is ever masked. // [any]
class ByteWriter {
 public:
  void u8(std::uint64_t value, std::string_view what) { number<std::uint8_t>(value, what); }
  void u16(std::uint64_t value, std::string_view what) { number<std::uint16_t>(value, what); }
  void u32(std::uint64_t value, std::string_view what) { number<std::uint32_t>(value, what); }
  void u64(std::uint64_t value, std::string_view what) { number<std::uint64_t>(value, what); }
  void text(std::string_view text) {
    for (const char c : text) {
      bytes_.push_back(static_cast<std::byte>(c));
    }
  }
  void zeros(std::size_t count) { bytes_.resize(bytes_.size() + count); }

  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  template <class T>
  void number(std::uint64_t value, std::string_view what) {
    if (value > std::numeric_limits<T>::max()) {
      throw Error(CALM_INVALID_ARGUMENT,
                  std::string(what) + ": expected 0 to " +
                      std::to_string(std::uint64_t{std::numeric_limits<T>::max()}) + ", found " +
                      std::to_string(value));
    }
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      bytes_.push_back(static_cast<std::byte>((value >> (8 * i)) & 0xff));
    }
  }

  std::vector<std::byte> bytes_;
};

}  // namespace calm
