#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include <calm/cpp/byte_writer.hpp>

#include "layout.hpp"

// The 48 bytes at the start of a CWGT file (spec K.1, ruling P.1).
namespace calm::cwgt {

inline constexpr std::uint64_t kHeaderBytes = 48;
inline constexpr std::uint64_t kMaxMetaBytes = 4096;
inline constexpr std::uint16_t kArchVersion = 5;
inline constexpr std::uint16_t kOldestArchVersion = 3;
inline constexpr std::uint16_t kFlagTied = 1;
inline constexpr std::uint16_t kFlagEwc = 2;

// A sampler default of the header: 0 means not set.
struct SamplerField {
  std::string_view name;
  bool scaled;  // stored x 1000
  std::uint64_t max;
};
inline constexpr std::array<SamplerField, 6> kSamplerFields = {{
    {"sampler.temperature", true, 65535},
    {"sampler.top_k", false, 65535},
    {"sampler.top_p", true, 65535},
    {"sampler.min_p", true, 65535},
    {"sampler.max_tokens", false, 65535},
    {"sampler.candidates", false, 255},
}};

struct Header {
  std::uint16_t arch_version = kArchVersion;
  bool ewc = false;
  Sizes sizes;
  std::uint64_t param_count = 0;
  std::array<std::uint64_t, kSamplerFields.size()> sampler{};  // as stored, in kSamplerFields order
  std::uint64_t meta_size = 0;

  // Blocks of param_count values: the weights, and with EWC the Fisher values and the anchor.
  std::uint64_t blocks() const { return ewc ? 3 : 1; }
  // Size of the whole file.
  std::uint64_t file_bytes() const { return kHeaderBytes + meta_size + 4 * param_count * blocks(); }
};

// Checks every field on its own and param_count against the sizes. VERSION or CORRUPT_DATA.
Header parse_header(std::span<const std::byte> bytes);

// INVALID_ARGUMENT naming the field that its width cannot hold.
ByteWriter pack_header(const Header &header);

}  // namespace calm::cwgt
