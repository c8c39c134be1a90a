#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

/// What people ask for, as FTS5 wants it. Pure functions. [any]
namespace calm::search {

/// So many words of a query are looked for; further ones are ignored.
inline constexpr std::size_t kMostWords = 64;

/// The words of a query: what stands between blanks and control characters, each once.
std::vector<std::string_view> words_of(std::string_view query);

/// An FTS5 expression that finds what has any of the words. Every word is a quoted string, so
/// nothing a person types is an operator: `"foo AND`, `*` and `a:b` are words like others. Empty
/// when there is no word.
std::string full_text_query(std::string_view query);

/// About `width` bytes of `text` on one line, from near the first place that has a word of the
/// query; "..." where something was left out. Cut between characters.
std::string snippet(std::string_view text, std::string_view query, std::size_t width);

}  // namespace calm::search
