#include <common/plain.hpp>

#include <algorithm>

namespace calm::sources {
namespace {

bool is_blank(char c) { return static_cast<unsigned char>(c) <= 0x20 || c == 0x7f; }

// The tag that starts at `at`, "<" [A-Z]+ ">", or nothing.
std::string_view tag_at(std::string_view text, std::size_t at) {
  std::size_t end = at + 1;
  while (end < text.size() && text[end] >= 'A' && text[end] <= 'Z') {
    ++end;
  }
  const bool is_tag = end > at + 1 && end < text.size() && text[end] == '>';
  return is_tag ? text.substr(at, end + 1 - at) : std::string_view();
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

std::string plain_text(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (is_blank(text[i])) {
      if (!out.empty() && out.back() != ' ') {
        out += ' ';
      }
    } else if (const std::string_view tag = text[i] == '<' ? tag_at(text, i) : std::string_view();
               !tag.empty()) {
      out += '[';
      out += tag.substr(1, tag.size() - 2);
      out += ']';
      i += tag.size() - 1;
    } else {
      out += text[i];
    }
  }
  if (!out.empty() && out.back() == ' ') {
    out.pop_back();
  }
  return out;
}

std::string plain_lines(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::string line = plain_text(take_line(text));
    if (!line.empty()) {
      out += out.empty() ? "" : "\n";
      out += line;
    }
  }
  return out;
}

std::string_view take_line(std::string_view &rest) {
  const std::size_t end = std::min(rest.find('\n'), rest.size());
  std::string_view line = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  if (!line.empty() && line.back() == '\r') {
    line.remove_suffix(1);
  }
  return line;
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
  const std::size_t last = text.find_last_not_of(kBlanks);
  return text.substr(0, last == std::string_view::npos ? 0 : last + 1);
}

std::size_t code_points(std::string_view utf8) {
  return static_cast<std::size_t>(std::count_if(utf8.begin(), utf8.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

std::string to_lower(std::string_view ascii) {
  std::string out(ascii);
  std::transform(out.begin(), out.end(), out.begin(), lower);
  return out;
}

std::size_t cut_at_sentence(std::string_view text, std::size_t room) {
  constexpr std::size_t kShortest = 24;  // less says nothing
  for (const std::string_view end : {". ", "; ", ", ", " "}) {
    const std::size_t at = text.rfind(end, room < end.size() ? 0 : room - end.size() + 1);
    if (at != std::string_view::npos && at + 1 >= kShortest && at + 1 <= room) {
      return end == ". " ? at + 1 : at;
    }
  }
  return 0;
}

}  // namespace calm::sources
