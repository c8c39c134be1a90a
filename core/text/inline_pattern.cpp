#include "core/text/inline_pattern.hpp"

#include <fmt/format.h>

#include <cstddef>
#include <optional>

namespace calm::text {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }

template <typename Predicate>
std::string_view take_while(std::string_view text, Predicate predicate) {
  std::size_t size = 0;
  while (size < text.size() && predicate(text[size])) ++size;
  return text.substr(0, size);
}

// The digits of a `<:ID:>` or the letters of a `<NAME>` at the start of `text`, nullopt if neither.
struct Match {
  std::string_view body;
  std::size_t size;  // of the whole pattern
  bool numeric;
};

std::optional<Match> match_pattern(std::string_view text) {
  if (text.substr(0, 2) == "<:") {
    const std::string_view digits = take_while(text.substr(2), is_digit);
    if (digits.empty() || text.substr(2 + digits.size(), 2) != ":>") return std::nullopt;
    return Match{digits, digits.size() + 4, true};
  }
  if (text.substr(0, 1) == "<") {
    const std::string_view letters = take_while(text.substr(1), is_upper);
    if (letters.empty() || text.substr(1 + letters.size(), 1) != ">") return std::nullopt;
    return Match{letters, letters.size() + 2, false};
  }
  return std::nullopt;
}

Token token_of(const Match &match, std::size_t offset) {
  if (!match.numeric) {
    if (const std::optional<Token> id = special_by_name(match.body)) return *id;
    throw InlineError(
        InlineErrorKind::kUnknownName,
        fmt::format("raw input: offset {}: expected the name of a special token, found '<{}>'",
                    offset, match.body));
  }
  Token id = 0;
  for (const char digit : match.body) {
    id = id * 10 + (digit - '0');
    if (id >= kVocabSize) {
      throw InlineError(
          InlineErrorKind::kIdRange,
          fmt::format("raw input: offset {}: expected a token id below {}, found '<:{}:>'", offset,
                      kVocabSize, match.body));
    }
  }
  return id;
}

}  // namespace

std::vector<Token> parse_inline(std::string_view text) {
  std::vector<Token> ids;
  for (std::size_t at = 0; at < text.size();) {
    // A failed match costs the letters it looked at, and those hold no '<': the scan stays linear.
    if (const std::optional<Match> match = match_pattern(text.substr(at))) {
      ids.push_back(token_of(*match, at));
      at += match->size;
    } else {
      ids.push_back(static_cast<unsigned char>(text[at]));
      ++at;
    }
  }
  if (ids.empty()) {
    throw InlineError(InlineErrorKind::kEmpty,
                      "raw input: expected at least one token, found none");
  }
  return ids;
}

}  // namespace calm::text
