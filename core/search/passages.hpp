#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Texts cut into the pieces that a search finds. Pure functions. [any]
namespace calm::search {

/// Passages are at most this long, so that a model that reads 768 tokens sees them whole.
inline constexpr std::size_t kLongestPassage = 700;

/// Bytes [begin, end) of the source.
struct Span {
  std::size_t begin = 0, end = 0;
};

struct Passage {
  std::string section;  ///< the heading it stands under, or the query it answers
  /// What words are looked for in beside the text: title and section. Empty for pairs: their
  /// section is what people would ask, and finding it would prove nothing.
  std::string heading;
  std::string text;
  std::optional<Span> span;  ///< then text is exactly these bytes
};

/// Cuts UTF-8 text at blank lines and headings, puts short paragraphs of a section together while
/// they fit, and cuts longer ones after a sentence, else at a blank, else between characters, so
/// that every passage has at most kLongestPassage bytes. Headings are lines alone that begin with
/// "#", a number ("3.1.  Title") or are in capitals, and lines underlined with = or -. Nothing but
/// blanks and headings is lost.
std::vector<Passage> cut_text(std::string_view text);

/// The same for a text that has its section already, without spans.
void cut_section(std::string_view section, std::string_view text, std::vector<Passage> &out);

}  // namespace calm::search
