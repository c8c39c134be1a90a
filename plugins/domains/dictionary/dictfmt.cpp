#include "dictfmt.hpp"

#include <algorithm>
#include <cstddef>

#include <common/plain.hpp>

namespace calm::dictionary::dictfmt {
namespace {

constexpr std::size_t npos = std::string_view::npos;
constexpr std::size_t kLongestPronunciation = 60;

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

void join(std::string &paragraph, std::string_view line) {
  const std::size_t n = paragraph.size();
  const bool hyphenated =
      n > 1 && paragraph.back() == '-' && is_letter(paragraph[n - 2]) && is_lower(line.front());
  if (!paragraph.empty() && !hyphenated) {
    paragraph += ' ';
  }
  paragraph += line;
}

}  // namespace

std::vector<std::string> paragraphs(std::string_view record) {
  std::vector<std::string> out;
  bool open = false;
  while (!record.empty()) {
    const std::string line = sources::plain_text(sources::take_line(record));
    if (line.empty()) {
      open = false;
    } else {
      if (!open) {
        out.emplace_back();
      }
      open = true;
      join(out.back(), line);
    }
  }
  return out;
}

std::string without_links(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t open = text.find('{');
    const std::size_t close = open == npos ? npos : text.find('}', open);
    if (close == npos) {
      return out += text;
    }
    out += text.substr(0, open);
    std::string_view inside = sources::trim(text.substr(open + 1, close - open - 1));
    for (const std::string_view address :
         {"(http", "(ftp", "(mailto", "(gopher", "(news", "(rfc:"}) {
      inside = inside.substr(0, inside.find(address));
    }
    out += sources::trim(inside);
    text.remove_prefix(close + 1);
  }
  return out;
}

std::string take_pronunciation(std::string_view &text) {
  if (text.size() < 3 || text[0] != '/' || text[1] == ' ' || text[1] == '/') {
    return {};
  }
  const std::size_t close = text.find('/', 1);
  const bool ends = close <= kLongestPronunciation &&  // npos is more
                    (close + 1 == text.size() || text[close + 1] == ' ' || text[close + 1] == ',');
  if (!ends) {
    return {};
  }
  std::string pronunciation(text.substr(1, close - 1));
  text.remove_prefix(close + 1);
  text.remove_prefix(std::min(text.find_first_not_of(", "), text.size()));
  return pronunciation;
}

bool take_number(std::string_view &text) {
  std::size_t digits = 0;
  while (digits < text.size() && digits < 3 && is_digit(text[digits])) {
    ++digits;
  }
  if (digits == 0 || text.substr(digits, 2) != ". ") {
    return false;
  }
  text.remove_prefix(digits + 2);
  return true;
}

bool is_reference(std::string_view text) {
  return text.starts_with("See ") || text.starts_with("See: ") || text.starts_with("Compare ") ||
         text.starts_with("Contrast ");
}

}  // namespace calm::dictionary::dictfmt
