#include <algorithm>
#include <array>

#include <calm/cpp/value.hpp>

#include "tests/fuzz/format.hpp"
#include "tests/fuzz/harness.hpp"
#include "tests/fuzz/mutate.hpp"

namespace {

using calm::fuzz::Dice;
using calm::fuzz::get;
using calm::fuzz::put;

constexpr std::size_t kHeader = 48;
constexpr std::size_t kMaxMeta = 4096;
constexpr std::size_t kLineEnds = 3;

// Texts that are not UTF-8 or lack a line end grow when they are read, perhaps past what may be
// written.
bool may_refuse(const calm_document &document) {
  std::uint64_t bytes = kLineEnds;
  for (std::uint32_t i = 0; i < document.fields.count; ++i) {
    bytes += calm::record<calm_value>(document.fields, i).str.len;
  }
  return bytes > kMaxMeta;
}

// Spec E.7 for the sizes in the header.
std::uint64_t param_count(const std::uint8_t *h) {
  const std::uint64_t d = get<std::uint16_t>(h, 10), layers = h[12], e = d * h[14], f = d * h[13],
                      n = h[15], k = h[33], r = h[38] != 0 ? h[38] : (d + 15) / 16;
  return 320 * d + 2 * d +
         layers * (4 * d + 2 * d * e + e * k + e * (r + 2 * n) + r * e + e + e * n + e + e * d +
                   2 * d * f);
}

std::uint64_t file_bytes(const std::uint8_t *h) {
  return kHeader + get<std::uint32_t>(h, 34) + 4 * param_count(h) * ((h[6] & 2) != 0 ? 3 : 1);
}

// One of the repairs is left out now and then, so that each check is met by files that are right
// otherwise.
std::size_t repair(std::uint8_t *data, std::size_t size, std::size_t max_size, Dice &dice) {
  constexpr std::array<std::size_t, 7> kSizes = {11, 12, 13, 14, 15, 33, 38};
  const std::uint32_t left_out = dice.below(16);
  size = calm::fuzz::resize(data, size, std::max(size, kHeader), max_size);
  if (size < kHeader) {
    return size;
  }
  if (left_out != 0) {
    std::memcpy(data, "CWGT", 4);
  }
  if (left_out != 1) {
    put<std::uint16_t>(data, 4, static_cast<std::uint16_t>(3 + get<std::uint16_t>(data, 4) % 3));
  }
  if (left_out != 2) {
    put<std::uint16_t>(data, 6, static_cast<std::uint16_t>(1 | (data[6] & 2)));
  }
  if (left_out != 3) {
    put<std::uint16_t>(data, 8, 320);
  }
  // A layer is fourteen more tensors to name, an EWC block all of them twice more.
  if (!dice.once_in(64)) {
    data[12] = static_cast<std::uint8_t>(dice.once_in(8) ? data[12] % 4 : 1);
  }
  if (!dice.once_in(8)) {
    data[6] &= static_cast<std::uint8_t>(~2U);
  }
  if (left_out != 4) {
    for (const std::size_t at : {12u, 13u, 14u, 15u, 33u}) {
      data[at] = std::max<std::uint8_t>(data[at], 1);
    }
    if (get<std::uint16_t>(data, 10) == 0) {
      data[10] = 1;
    }
    if (get<std::uint16_t>(data, 16) == 0) {
      data[16] = 1;
    }
  }
  if (left_out != 5) {
    std::memset(data + 39, 0, 9);
  }
  if (get<std::uint32_t>(data, 34) > 64 && !dice.once_in(64)) {
    put<std::uint32_t>(data, 34, data[34] % 64u);  // long texts are read slowly and teach little
  }
  for (std::size_t i = 0; i < kSizes.size() && file_bytes(data) > max_size; ++i) {
    data[kSizes[i]] = kSizes[i] == 11 ? 0 : 1;
  }
  if (file_bytes(data) > max_size) {
    data[10] = 1;
  }
  if (left_out != 6) {
    put(data, 18, static_cast<std::uint32_t>(param_count(data)));
  }
  if (left_out == 7) {
    return size;
  }
  size = calm::fuzz::resize(data, size, static_cast<std::size_t>(file_bytes(data)), max_size);
  for (std::size_t at = kHeader + get<std::uint32_t>(data, 34); left_out != 8 && at + 4 <= size;
       at += 4) {
    if ((get<std::uint32_t>(data, at) & 0x7f800000u) == 0x7f800000u) {
      data[at + 3] ^= 0x40;  // makes an infinity or a nan a number
    }
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
  calm::fuzz::run_format(data, size, {may_refuse, "version"});
  return 0;
}
