#include "core/text/utf8.hpp"

namespace calm::text {

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
