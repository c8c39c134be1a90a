#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string_view>

// Reading UTF-8 that nobody vouches for, and what of it a terminal must not see. One list for the
// printer of the host and the filters of the domains.
namespace calm {

inline constexpr char32_t kReplacement = 0xFFFD;

struct CodePoint {
  char32_t value;    ///< kReplacement when not valid
  std::size_t size;  ///< bytes taken, at least 1; for invalid input those of the maximal subpart
  bool valid;
};

namespace utf8 {

/// What a lead byte demands of the bytes after it (Unicode standard, table 3-7): only the second
/// byte's range varies, which is how overlong forms, surrogates and values past 10FFFF are refused.
struct LeadByte {
  std::size_t size;  ///< 0: not a lead byte
  std::uint8_t second_min;
  std::uint8_t second_max;
};

constexpr LeadByte classify(std::uint8_t lead) {
  if (lead < 0x80) return {1, 0, 0};
  if (lead < 0xC2) return {0, 0, 0};
  if (lead < 0xE0) return {2, 0x80, 0xBF};
  if (lead == 0xE0) return {3, 0xA0, 0xBF};
  if (lead == 0xED) return {3, 0x80, 0x9F};
  if (lead < 0xF0) return {3, 0x80, 0xBF};
  if (lead == 0xF0) return {4, 0x90, 0xBF};
  if (lead < 0xF4) return {4, 0x80, 0xBF};
  if (lead == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

}  // namespace utf8

/// The code point that starts at `position`; needs position < bytes.size().
inline CodePoint next_code_point(std::string_view bytes, std::size_t position) {
  const auto lead = static_cast<std::uint8_t>(bytes[position]);
  const utf8::LeadByte expected = utf8::classify(lead);
  if (expected.size == 1) return {lead, 1, true};
  if (expected.size == 0) return {kReplacement, 1, false};

  char32_t value = lead & (0xFFU >> (expected.size + 1));
  std::uint8_t min = expected.second_min;
  std::uint8_t max = expected.second_max;
  for (std::size_t taken = 1; taken < expected.size; ++taken) {
    if (position + taken >= bytes.size()) return {kReplacement, taken, false};
    const auto next = static_cast<std::uint8_t>(bytes[position + taken]);
    if (next < min || next > max) return {kReplacement, taken, false};
    value = (value << 6) | (next & 0x3FU);
    min = 0x80;
    max = 0xBF;
  }
  return {value, expected.size, true};
}

/// C0 and C1 controls, DEL, zero-width and bidirectional controls, line and paragraph separators,
/// the byte-order mark, tags: what moves a cursor, reorders text or hides it. Line feed and tab are
/// among them.
constexpr bool is_forbidden(char32_t value) {
  struct Range {
    char32_t first, last;
  };
  constexpr Range kForbidden[] = {{0x00, 0x1F},     {0x7F, 0x9F},     {0x061C, 0x061C},
                                  {0x200B, 0x200F}, {0x2028, 0x2029}, {0x202A, 0x202E},
                                  {0x2060, 0x2069}, {0xFEFF, 0xFEFF}, {0xE0000, 0xE007F}};
  return std::any_of(std::begin(kForbidden), std::end(kForbidden), [value](const Range &range) {
    return value >= range.first && value <= range.last;
  });
}

/// Whether `bytes` are valid UTF-8 without a forbidden code point, those in `allowed` (ASCII)
/// apart.
inline bool is_printable(std::string_view bytes, std::string_view allowed = {}) {
  for (std::size_t at = 0; at < bytes.size();) {
    const CodePoint point = next_code_point(bytes, at);
    const bool excepted = allowed.find(bytes[at]) != std::string_view::npos;
    if (!point.valid || (is_forbidden(point.value) && !excepted)) {
      return false;
    }
    at += point.size;
  }
  return true;
}

}  // namespace calm
