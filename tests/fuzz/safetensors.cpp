#include <algorithm>
#include <string>

#include "tests/fuzz/format.hpp"
#include "tests/fuzz/harness.hpp"
#include "tests/fuzz/mutate.hpp"

namespace {

using calm::fuzz::Dice;
using calm::fuzz::put;

constexpr std::size_t kLength = 8;

bool may_refuse(const calm_document &) { return false; }

// A header of a few tensors that fit each other, in one piece of text.
std::string make_header(Dice &dice, std::size_t *data_bytes) {
  struct Type {
    const char *name;
    std::size_t bytes;
  };
  constexpr Type kTypes[] = {{"F32", 4}, {"F64", 8}, {"BF16", 2}, {"F16", 2}, {"I8", 1},
                             {"U8", 1},  {"U16", 2}, {"I32", 4},  {"U32", 4}, {"I64", 8}};
  std::string header = dice.once_in(3) ? "{\"__metadata__\":{\"k\":\"v\"}" : "{";
  for (std::uint32_t i = 0, n = dice.below(4); i < n; ++i) {
    const Type &type = kTypes[dice.below(std::size(kTypes))];
    std::size_t bytes = type.bytes;
    std::string shape;
    for (std::uint32_t axis = 0, rank = dice.below(9); axis < rank; ++axis) {
      const std::uint32_t extent = dice.once_in(8) ? dice.below(3) : 1;
      bytes *= extent;
      shape += (axis == 0 ? "" : ",") + std::to_string(extent);
    }
    header += header.size() == 1 ? "\"" : ",\"";
    header += static_cast<char>('a' + i);
    header += std::string("\":{\"dtype\":\"") + type.name + "\",\"shape\":[" + shape +
              "],\"data_offsets\":[" + std::to_string(*data_bytes) + ',';
    *data_bytes += bytes;
    header += std::to_string(*data_bytes) + "]}";
  }
  return header + '}';
}

// Makes the length before the header that of the text up to its last brace.
void repair_length(std::uint8_t *data, std::size_t size) {
  const std::string_view text = calm::fuzz::text_of(data, size);
  const std::size_t end = text.rfind('}');
  if (end != std::string_view::npos && end >= kLength) {
    put<std::uint64_t>(data, 0, end + 1 - kLength);
  }
}

}  // namespace

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t *data, std::size_t size,
                                               std::size_t max_size, unsigned seed) {
  Dice dice(seed);
  if (dice.once_in(16)) {
    std::size_t data_bytes = 0;
    const std::string header = make_header(dice, &data_bytes);
    if (kLength + header.size() + data_bytes <= max_size) {
      put<std::uint64_t>(data, 0, header.size());
      std::memcpy(data + kLength, header.data(), header.size());
      std::memset(data + kLength + header.size(), 0, data_bytes);
      size = kLength + header.size() + data_bytes;
      if (dice.once_in(2)) {
        return size;
      }
    }
  }
  size = LLVMFuzzerMutate(data, size, max_size);
  if (size >= kLength && !dice.once_in(8)) {
    repair_length(data, size);
  }
  return size;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  calm::fuzz::run_format(data, size, {may_refuse, {}});
  return 0;
}
