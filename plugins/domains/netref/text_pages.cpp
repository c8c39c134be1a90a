#include "text_pages.hpp"

#include <algorithm>
#include <cstddef>

#include <common/plain.hpp>

namespace calm::netref {
namespace {

constexpr std::size_t npos = std::string_view::npos;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// "Rekhter, et al         Best Current Practice         [Page 3]"
bool is_footer(std::string_view line) {
  line = sources::trim(line);
  const std::size_t open = line.rfind("[Page ");
  return open != npos && line.ends_with("]") &&
         std::all_of(line.begin() + static_cast<std::ptrdiff_t>(open) + 6, line.end() - 1,
                     [](char c) { return is_digit(c) || c == ' '; });
}

// "RFC 1918     Address Allocation for Private Internets     February 1996". Gives the title.
bool parse_header(std::string_view line, std::string &title) {
  line = sources::trim(line);
  if (!line.starts_with("RFC ") && !line.starts_with("Internet-Draft ")) {
    return false;
  }
  const std::size_t gap = line.find("  ");
  const std::size_t last = line.rfind("  ");
  const bool year = line.size() > 4 && std::all_of(line.end() - 4, line.end(), is_digit);
  if (gap == npos || last <= gap || !year) {
    return false;
  }
  title = sources::plain_text(line.substr(0, last));
  return true;
}

std::size_t indent_of(std::string_view line) {
  return std::min(line.find_first_not_of(" \t"), line.size());
}

bool ends_sentence(std::string_view line) {
  line = sources::trim(line);
  return !line.empty() && std::string_view(".:;!?").find(line.back()) != npos;
}

}  // namespace

Unpaged without_pages(std::string_view text) {
  Unpaged out;
  bool at_break = false;
  while (!text.empty()) {
    std::string_view line = sources::take_line(text);
    const bool feed = line.find('\f') != npos;
    line.remove_prefix(feed ? line.rfind('\f') + 1 : 0);
    std::string title;
    if (feed || is_footer(line)) {
      at_break = true;
      out.paged = true;
      if (is_footer(line)) {
        continue;
      }
    }
    if (at_break) {
      if (parse_header(line, title)) {
        if (out.title.empty()) {
          out.title = title;
        }
        continue;
      }
      if (sources::trim(line).empty()) {
        continue;
      }
      while (!out.lines.empty() && sources::trim(out.lines.back()).empty()) {
        out.lines.pop_back();
      }
      const bool goes_on = !out.lines.empty() && !ends_sentence(out.lines.back()) &&
                           indent_of(line) == indent_of(out.lines.back()) && indent_of(line) > 0;
      if (!goes_on) {
        out.lines.emplace_back();
      }
      at_break = false;
    }
    out.lines.push_back(line);
  }
  return out;
}

}  // namespace calm::netref
