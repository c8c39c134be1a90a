#include "core/text/unicode.hpp"

#include <calm/cpp/error.hpp>

#include "core/text/utf8.hpp"

#include <fmt/format.h>
#include <unicase.h>
#include <unictype.h>

#include <algorithm>
#include <cstddef>
#include <iterator>

namespace calm::text {
namespace {

// The only two characters whose lower case depends on context or is longer than one character.
constexpr char32_t kCapitalSigma = 0x03A3;
constexpr char32_t kSmallSigma = 0x03C3;
constexpr char32_t kFinalSigma = 0x03C2;
constexpr char32_t kCapitalIWithDot = 0x0130;
constexpr char32_t kCombiningDotAbove = 0x0307;

// Length of the white space character that ends `text`, 0 if it ends otherwise. White space has at
// most three bytes, and its lead byte can be no other character's continuation.
std::size_t trailing_white_space(std::string_view text) {
  for (std::size_t size = 1; size <= std::min<std::size_t>(3, text.size()); ++size) {
    const CodePoint point = next_code_point(text, text.size() - size);
    if (point.valid && point.size == size && is_white_space(point.value)) return size;
  }
  return 0;
}

// A capital sigma ends a word when a letter stands before it and none after it; marks, apostrophes
// and the like between do not count (Unicode standard, table 3-17, Final_Sigma).
bool is_final_sigma(const std::u32string &text, std::size_t at) {
  const auto is_ignorable = [](char32_t c) {
    return uc_is_property(c, UC_PROPERTY_CASE_IGNORABLE);
  };
  const auto is_cased = [](char32_t c) { return uc_is_property(c, UC_PROPERTY_CASED); };
  const auto middle = text.begin() + static_cast<std::ptrdiff_t>(at);
  const auto before =
      std::find_if_not(std::make_reverse_iterator(middle), text.rend(), is_ignorable);
  if (before == text.rend() || !is_cased(*before)) return false;
  const auto after = std::find_if_not(middle + 1, text.end(), is_ignorable);
  return after == text.end() || !is_cased(*after);
}

}  // namespace

bool is_white_space(char32_t value) {
  if (value < 0x80) return (value >= 0x09 && value <= 0x0D) || (value >= 0x1C && value <= 0x20);
  if (value >= 0x2000 && value <= 0x200A) return true;
  switch (value) {
    case 0x0085:
    case 0x00A0:
    case 0x1680:
    case 0x2028:
    case 0x2029:
    case 0x202F:
    case 0x205F:
    case 0x3000:
      return true;
    default:
      return false;
  }
}

std::string_view strip(std::string_view text) {
  while (!text.empty()) {
    const CodePoint point = next_code_point(text, 0);
    if (!point.valid || !is_white_space(point.value)) break;
    text.remove_prefix(point.size);
  }
  while (const std::size_t size = trailing_white_space(text)) text.remove_suffix(size);
  return text;
}

std::vector<std::string_view> split_white_space(std::string_view text) {
  std::vector<std::string_view> pieces;
  std::size_t start = 0;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = next_code_point(text, at);
    if (point.valid && is_white_space(point.value)) {
      if (at > start) pieces.push_back(text.substr(start, at - start));
      start = at + point.size;
    }
    at += point.size;
  }
  if (start < text.size()) pieces.push_back(text.substr(start));
  return pieces;
}

std::string to_lower(std::string_view text) {
  const auto is_ascii = [](char c) { return static_cast<unsigned char>(c) < 0x80; };
  if (std::all_of(text.begin(), text.end(), is_ascii)) {
    std::string lower(text);
    for (char &c : lower) {
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return lower;
  }

  std::u32string points;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = next_code_point(text, at);
    if (!point.valid) {
      throw Error(CALM_INVALID_ARGUMENT,
                  fmt::format("lower case: offset {}: expected UTF-8, found other bytes", at));
    }
    points.push_back(point.value);
    at += point.size;
  }

  // The library's u8_tolower would do all of this, but takes an apostrophe for the end of a word.
  std::string lower;
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (points[i] == kCapitalSigma) {
      append_utf8(lower, is_final_sigma(points, i) ? kFinalSigma : kSmallSigma);
    } else if (points[i] == kCapitalIWithDot) {
      append_utf8(lower, U'i');
      append_utf8(lower, kCombiningDotAbove);
    } else {
      append_utf8(lower, uc_tolower(points[i]));
    }
  }
  return lower;
}

}  // namespace calm::text
