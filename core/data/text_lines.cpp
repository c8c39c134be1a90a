#include "core/data/text_lines.hpp"

#include <calm/cpp/error.hpp>

#include "core/text/utf8.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace calm::data {

void expect_utf8(std::string_view text, std::string_view name) {
  if (const auto offset = text::find_invalid_utf8(text)) {
    throw Error(CALM_CORRUPT_DATA,
                fmt::format("{}: offset {}: expected UTF-8, found byte 0x{:02x}", name, *offset,
                            static_cast<std::uint8_t>(text[*offset])));
  }
}

std::string normalise_line_ends(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '\r') {
      out.push_back(text[at]);
      continue;
    }
    out.push_back('\n');
    if (at + 1 < text.size() && text[at + 1] == '\n') ++at;
  }
  return out;
}

std::string_view take_line(std::string_view &rest) {
  const std::size_t end = std::min(rest.find('\n'), rest.size());
  const std::string_view line = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return line;
}

}  // namespace calm::data
