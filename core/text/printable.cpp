#include "core/text/printable.hpp"

#include "core/text/utf8.hpp"

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <iterator>

namespace calm::text {

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
