#include <algorithm>

#include <calm/cpp/value.hpp>

#include "tests/fuzz/format.hpp"
#include "tests/fuzz/harness.hpp"
#include "tests/fuzz/mutate.hpp"

namespace {

using calm::fuzz::Dice;
using calm::fuzz::get;
using calm::fuzz::put;

constexpr std::size_t kHeader = 14;
constexpr std::uint16_t kVocab = 320;

// A file without a sequence is read, and never written.
bool may_refuse(const calm_document &document) {
  return calm::record<calm_named_tensor>(document.tensors, 0).type.shape[0] == 0;
}

std::size_t repair(std::uint8_t *data, std::size_t size, std::size_t max_size, Dice &dice) {
  const std::uint32_t left_out = dice.below(12);
  size = calm::fuzz::resize(data, size, std::max(size, kHeader), max_size);
  if (size < kHeader) {
    return size;
  }
  if (left_out != 0) {
    std::memcpy(data, "CTDS", 4);
  }
  // A quarter for lengths and positions leaves room for tokens.
  const auto most = static_cast<std::uint32_t>((max_size - kHeader) / 16);
  std::uint32_t count = get<std::uint32_t>(data, 8);
  if (count > most && left_out != 1) {
    count = data[8] % (most + 1);
    put(data, 8, count);
  }
  if (count > most) {
    return size;
  }
  const std::size_t positions = kHeader + 2 * count, tokens = kHeader + 4 * count;
  size = calm::fuzz::resize(data, size, std::max(size, tokens), max_size);
  std::size_t total = 0, longest = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::size_t room = (max_size - tokens) / 2 - total - (count - i - 1);
    auto length = get<std::uint16_t>(data, kHeader + 2 * i);
    if ((length == 0 || length > room) && left_out != 2) {
      length = static_cast<std::uint16_t>(1 + length % std::min<std::size_t>(room, 8));
      put(data, kHeader + 2 * i, length);
    }
    if (length > room || length == 0) {
      return size;
    }
    const auto position = get<std::uint16_t>(data, positions + 2 * i);
    if (left_out != 3) {
      put(data, positions + 2 * i, static_cast<std::uint16_t>(position % length));
    }
    total += length;
    longest = std::max<std::size_t>(longest, length);
  }
  if (left_out != 4) {
    put(data, 12, static_cast<std::uint16_t>(longest));
  }
  if (left_out != 5) {
    size = calm::fuzz::resize(data, size, tokens + 2 * total, max_size);
  }
  for (std::size_t at = tokens; left_out != 6 && at + 2 <= size; at += 2) {
    put(data, at, static_cast<std::uint16_t>(get<std::uint16_t>(data, at) % kVocab));
  }
  return size;
}

}  // namespace

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t *data, std::size_t size,
                                               std::size_t max_size, unsigned seed) {
  Dice dice(seed);
  size = LLVMFuzzerMutate(data, size, max_size);
  return dice.once_in(8) ? size : repair(data, size, max_size, dice);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  calm::fuzz::run_format(data, size, {may_refuse, "max_len"});
  return 0;
}
