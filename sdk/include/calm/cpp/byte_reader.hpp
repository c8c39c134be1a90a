#pragma once

#include <calm/base.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include <calm/cpp/error.hpp>

namespace calm {

/// Throws CORRUPT_DATA "offset N: expected X, found Y".
[[noreturn]] inline void corrupt_at(std::uint64_t offset, std::string_view expected,
                                    std::string_view found) {
  std::string text = "offset " + std::to_string(offset) + ": expected ";
  text.append(expected).append(", found ").append(found);
  throw Error(CALM_CORRUPT_DATA, text);
}

/// a + b and a * b of sizes a file declares; CORRUPT_DATA at `offset` when 64 bits do not hold
/// them.
inline std::uint64_t checked_add(std::uint64_t a, std::uint64_t b, std::uint64_t offset = 0) {
  std::uint64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) {
    corrupt_at(offset, "a size of 64 bits", std::to_string(a) + " + " + std::to_string(b));
  }
  return sum;
}
inline std::uint64_t checked_mul(std::uint64_t a, std::uint64_t b, std::uint64_t offset = 0) {
  std::uint64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) {
    corrupt_at(offset, "a size of 64 bits", std::to_string(a) + " * " + std::to_string(b));
  }
  return product;
}

/// Little-endian numbers and byte runs from front to back, never past the end. `what` names the
/// thing read in the CORRUPT_DATA error; `base` is the file offset of the first byte. // [any]
class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes, std::uint64_t base = 0)
      : bytes_(bytes), base_(base) {}

  /// File offset of the next byte.
  std::uint64_t offset() const { return base_ + at_; }
  std::size_t remaining() const { return bytes_.size() - at_; }

  std::uint8_t u8(std::string_view what) { return number<std::uint8_t>(what); }
  std::uint16_t u16(std::string_view what) { return number<std::uint16_t>(what); }
  std::uint32_t u32(std::string_view what) { return number<std::uint32_t>(what); }
  std::uint64_t u64(std::string_view what) { return number<std::uint64_t>(what); }

  std::span<const std::byte> bytes(std::size_t count, std::string_view what) {
    if (count > remaining()) {
      corrupt_at(offset(), std::string(what) + " of " + std::to_string(count) + " bytes",
                 std::to_string(remaining()));
    }
    const auto run = bytes_.subspan(at_, count);
    at_ += count;
    return run;
  }
  void skip(std::size_t count, std::string_view what) { bytes(count, what); }

 private:
  template <class T>
  T number(std::string_view what) {
    T value{};
    std::memcpy(&value, bytes(sizeof value, what).data(), sizeof value);
    return value;
  }

  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;
  std::uint64_t base_ = 0;
};

}  // namespace calm
