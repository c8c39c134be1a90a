#include "core/text/printable.hpp"

#include "core/text/utf8.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>

namespace calm::text {
namespace {

struct Range {
  char32_t first;
  char32_t last;
};

constexpr std::array<Range, 9> kForbidden = {{{0x00, 0x1F},
                                              {0x7F, 0x9F},
                                              {0x061C, 0x061C},
                                              {0x200B, 0x200F},
                                              {0x2028, 0x2029},
                                              {0x202A, 0x202E},
                                              {0x2060, 0x2069},
                                              {0xFEFF, 0xFEFF},
                                              {0xE0000, 0xE007F}}};

bool is_forbidden(char32_t value) {
  return std::any_of(kForbidden.begin(), kForbidden.end(), [value](const Range &range) {
    return value >= range.first && value <= range.last;
  });
}

}  // namespace

std::string printable(std::string_view bytes, LineFeeds line_feeds) {
  std::string out;
  out.reserve(bytes.size());
  for (std::size_t at = 0; at < bytes.size();) {
    const CodePoint point = next_code_point(bytes, at);
    const std::string_view raw = bytes.substr(at, point.size);
    at += point.size;
    if (!point.valid || (point.value < 0x80 && is_forbidden(point.value))) {
      if (raw == "\t") {
        out.append(4, ' ');
      } else if (raw == "\n" && line_feeds == LineFeeds::kKeep) {
        out.push_back('\n');
      } else {
        for (const char c : raw) {
          fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<std::uint8_t>(c));
        }
      }
    } else if (is_forbidden(point.value)) {
      fmt::format_to(std::back_inserter(out), "\\u{{{:x}}}",
                     static_cast<std::uint32_t>(point.value));
    } else {
      out.append(raw);
    }
  }
  return out;
}

}  // namespace calm::text
