#include "core/text/utf8.hpp"

#include <cstdint>

namespace calm::text {
namespace {

std::uint8_t byte_at(std::string_view bytes, std::size_t position) {
  return static_cast<std::uint8_t>(bytes[position]);
}

// What a lead byte demands of the bytes after it (Unicode standard, table 3-7): only the second
// byte's range varies, which is how overlong forms, surrogates and values past 10FFFF are refused.
struct LeadByte {
  std::size_t size;  // 0: not a lead byte
  std::uint8_t second_min;
  std::uint8_t second_max;
};

LeadByte classify(std::uint8_t lead) {
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

}  // namespace

CodePoint next_code_point(std::string_view bytes, std::size_t position) {
  const std::uint8_t lead = byte_at(bytes, position);
  const LeadByte expected = classify(lead);
  if (expected.size == 1) return {lead, 1, true};
  if (expected.size == 0) return {kReplacement, 1, false};

  char32_t value = lead & (0xFFU >> (expected.size + 1));
  std::uint8_t min = expected.second_min;
  std::uint8_t max = expected.second_max;
  for (std::size_t taken = 1; taken < expected.size; ++taken) {
    if (position + taken >= bytes.size()) return {kReplacement, taken, false};
    const std::uint8_t next = byte_at(bytes, position + taken);
    if (next < min || next > max) return {kReplacement, taken, false};
    value = (value << 6) | (next & 0x3FU);
    min = 0x80;
    max = 0xBF;
  }
  return {value, expected.size, true};
}

void append_utf8(std::string &out, char32_t value) {
  const auto push = [&out](char32_t bits) { out.push_back(static_cast<char>(bits)); };
  if (value < 0x80) {
    push(value);
  } else if (value < 0x800) {
    push(0xC0 | (value >> 6));
    push(0x80 | (value & 0x3F));
  } else if (value < 0x10000) {
    push(0xE0 | (value >> 12));
    push(0x80 | ((value >> 6) & 0x3F));
    push(0x80 | (value & 0x3F));
  } else {
    push(0xF0 | (value >> 18));
    push(0x80 | ((value >> 12) & 0x3F));
    push(0x80 | ((value >> 6) & 0x3F));
    push(0x80 | (value & 0x3F));
  }
}

std::string replace_invalid_utf8(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  for (std::size_t at = 0; at < bytes.size();) {
    const CodePoint point = next_code_point(bytes, at);
    if (point.valid) {
      text.append(bytes, at, point.size);
    } else {
      append_utf8(text, kReplacement);
    }
    at += point.size;
  }
  return text;
}

std::optional<std::size_t> find_invalid_utf8(std::string_view bytes) {
  for (std::size_t at = 0; at < bytes.size();) {
    const CodePoint point = next_code_point(bytes, at);
    if (!point.valid) return at;
    at += point.size;
  }
  return std::nullopt;
}

}  // namespace calm::text
