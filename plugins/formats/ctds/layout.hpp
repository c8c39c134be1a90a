#pragma once

#include <cstdint>
#include <string_view>

// A CTDS file (spec K.8, ruling P.1), little-endian: "CTDS", u32 vocab_version, u32 count, u16
// max_len; then count u16 lengths, count u16 positions, and the u16 tokens of all sequences back to
// back.
namespace calm::ctds {

inline constexpr std::string_view kMagic = "CTDS";
inline constexpr std::uint64_t kHeaderBytes = 14;
inline constexpr std::uint16_t kVocabSize = 320;

// Tensors of the document, in this order.
inline constexpr std::string_view kLengths = "lengths";
inline constexpr std::string_view kCmdPos = "cmd_pos";
inline constexpr std::string_view kTokens = "tokens";

}  // namespace calm::ctds
