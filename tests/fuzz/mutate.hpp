#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

// Helpers of the mutators that repair what a format checks first, so that fuzzing gets past it.
extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t *data, std::size_t size, std::size_t max_size);

namespace calm::fuzz {

template <class T>
T get(const std::uint8_t *data, std::size_t at) {
  T value{};
  std::memcpy(&value, data + at, sizeof value);
  return value;
}

template <class T>
void put(std::uint8_t *data, std::size_t at, T value) {
  std::memcpy(data + at, &value, sizeof value);
}

/// Numbers of a mutator, from libFuzzer's seed: xorshift, the same on every machine.
class Dice {
 public:
  explicit Dice(unsigned seed) : state_(seed * 2654435761u + 1u) {}
  /// One in `n`.
  bool once_in(std::uint32_t n) { return next() % n == 0; }
  std::uint32_t below(std::uint32_t n) { return next() % n; }

 private:
  std::uint32_t next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 17;
    state_ ^= state_ << 5;
    return state_;
  }
  std::uint32_t state_;
};

/// Makes the input `wanted` bytes long, new ones 0; as it is when that is above `max_size`.
inline std::size_t resize(std::uint8_t *data, std::size_t size, std::size_t wanted,
                          std::size_t max_size) {
  if (wanted > max_size) {
    return size;
  }
  if (wanted > size) {
    std::memset(data + size, 0, wanted - size);
  }
  return wanted;
}

}  // namespace calm::fuzz
