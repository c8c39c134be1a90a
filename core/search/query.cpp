#include "core/search/query.hpp"

#include <algorithm>

namespace calm::search {
namespace {

// Blanks and controls; NUL among them, which would end the expression for SQLite.
bool separates(char c) { return static_cast<unsigned char>(c) <= ' ' || c == '\x7f'; }

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool same_letter(char a, char b) { return lower(a) == lower(b); }

bool continues(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

// Where the first of the words stands, 0 when none does.
std::size_t first_match(std::string_view text, std::string_view query) {
  std::size_t first = text.size();
  for (const std::string_view word : words_of(query)) {
    const auto *const at =
        std::search(text.begin(), text.end(), word.begin(), word.end(), same_letter);
    if (at != text.end()) {
      first = std::min(first, static_cast<std::size_t>(at - text.begin()));
    }
  }
  return first == text.size() ? 0 : first;
}

}  // namespace

std::vector<std::string_view> words_of(std::string_view query) {
  std::vector<std::string_view> words;
  for (std::size_t at = 0; at < query.size() && words.size() < kMostWords;) {
    std::size_t end = at;
    while (end < query.size() && !separates(query[end])) {
      ++end;
    }
    const std::string_view word = query.substr(at, end - at);
    if (!word.empty() && std::find(words.begin(), words.end(), word) == words.end()) {
      words.push_back(word);
    }
    at = end + 1;
  }
  return words;
}

std::string full_text_query(std::string_view query) {
  std::string expression;
  for (const std::string_view word : words_of(query)) {
    expression += expression.empty() ? "\"" : " OR \"";
    for (const char c : word) {
      expression += c == '"' ? "\"\"" : std::string(1, c);
    }
    expression += '"';
  }
  return expression;
}

std::string snippet(std::string_view text, std::string_view query, std::size_t width) {
  std::string line;
  for (const char c : text) {
    const bool blank = c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
    if (!blank) {
      line += c;
    } else if (!line.empty() && line.back() != ' ') {
      line += ' ';
    }
  }
  if (line.size() <= width) {
    return line;
  }
  // Some of what stands before the match, and the whole width where the text allows.
  const std::size_t match = first_match(line, query);
  std::size_t begin = std::min(match - std::min(match, width / 4), line.size() - width);
  std::size_t end = begin + width;
  while (begin > 0 && begin < line.size() && continues(line[begin])) {
    ++begin;
  }
  while (end > begin && end < line.size() && continues(line[end])) {
    --end;
  }
  return (begin > 0 ? "..." : "") + line.substr(begin, end - begin) +
         (end < line.size() ? "..." : "");
}

}  // namespace calm::search
