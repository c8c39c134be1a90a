#include "gcide_header.hpp"

#include <algorithm>
#include <array>
#include <cstddef>

#include "gcide_markup.hpp"

namespace calm::dictionary::gcide {
namespace {

constexpr std::size_t npos = std::string_view::npos;

std::string_view trim(std::string_view s, std::string_view blanks) {
  const std::size_t first = s.find_first_not_of(blanks);
  return first == npos ? std::string_view()
                       : s.substr(first, s.find_last_not_of(blanks) + 1 - first);
}

// Pronunciations carry stress marks, syllable points, diacritics in brackets or question marks;
// subjects such as "(Zool. & Bot.)" none of them.
bool is_pronunciation(std::string_view inside) { return inside.find_first_of("\"*`?#[;^") != npos; }

// "pl. {X}", "pl. E. {X}, L. {Y}", "fem. {X}"
bool begins_with_forms(std::string_view text) {
  static constexpr std::array<std::string_view, 8> kForms = {
      "pl. ", "sing. ", "fem. ", "masc. ", "compar. ", "superl. ", "dim. ", "Compar. "};
  constexpr std::size_t kLongestLead = 12;
  const bool form = std::any_of(kForms.begin(), kForms.end(),
                                [&](std::string_view word) { return text.starts_with(word); });
  const std::string_view lead = text.substr(0, kLongestLead);
  const std::size_t at = lead.find_first_of("{[(;,");
  const bool plural_of = lead.find(" of ") != npos;  // "pl. of {Life}" is a definition
  return form && !plural_of && at != npos && lead[at] == '{';
}

class HeaderParser {
 public:
  explicit HeaderParser(std::string_view text) : rest_(text) {}

  Header parse() {
    const std::size_t open = rest_.find('\\');
    const std::size_t close = open == npos ? npos : rest_.find('\\', open + 1);
    if (close == npos) {
      return {};
    }
    header_.headword = trim(rest_.substr(0, open), " ,");
    header_.ipa = trim(rest_.substr(open + 1, close - open - 1), " ,");
    if (header_.ipa == header_.headword) {
      header_.ipa.clear();
    }
    rest_.remove_prefix(close + 1);
    while (take_part()) {
    }
    header_.rest = rest_;
    if (rest_.starts_with("of ")) {  // "p. p. of {Bear}"
      header_.rest = header_.pos + " " + header_.rest;
    }
    return header_;
  }

 private:
  bool take_part() {
    const std::size_t first = rest_.find_first_not_of(" ,;:]");
    rest_.remove_prefix(std::min(first, rest_.size()));
    if (rest_.starts_with('.')) {
      rest_.remove_prefix(1);
      return true;
    }
    return take_forms() || take_pos() || take_parenthesis() || take_bracket() || take_variant();
  }

  void add_note(std::string_view text) {
    text = trim(text, " ,;.");
    if (!text.empty()) {
      header_.note += header_.note.empty() ? "" : " ";
      header_.note += text;
      header_.note += '.';
    }
  }

  // pl. {Apsides} ([a^]p"s[i^]*d[=e]z), E. {Apses}.
  bool take_forms() {
    constexpr std::size_t kLongest = 250;
    if (!begins_with_forms(rest_)) {
      return false;
    }
    std::string forms;
    std::size_t i = 0;
    const auto inside_letter = [this](std::size_t at) {
      return (static_cast<unsigned char>(rest_[at]) & 0xc0U) == 0x80U;
    };
    while (i < rest_.size() && (i < kLongest || inside_letter(i)) && rest_[i] != '[') {
      std::size_t end = i + 1;
      if (rest_[i] == '{' || rest_[i] == '(') {
        const char right = rest_[i] == '{' ? '}' : ')';
        end = matching_end(rest_, i, rest_[i], right);
        if (end == npos) {
          return false;
        }
      }
      const std::string_view piece = rest_.substr(i, end - i);
      if (piece.size() > 1 && piece[0] == '(') {
        if (!is_pronunciation(piece)) {
          break;
        }
        while (!forms.empty() && forms.back() == ' ') {
          forms.pop_back();
        }
      } else {
        forms += piece;
      }
      i = end;
      // "{X}." ends the list; "E. {X}" does not.
      if (piece == "." && i >= 2 && (rest_[i - 2] == '}' || rest_[i - 2] == ')')) {
        break;
      }
    }
    add_note(forms);
    rest_.remove_prefix(i);
    return true;
  }

  bool take_pos() {
    const std::size_t length = part_of_speech(rest_);
    if (length == 0) {
      return false;
    }
    if (header_.pos.empty()) {
      header_.pos = rest_.substr(0, length);
    }
    rest_.remove_prefix(length);
    return true;
  }

  bool take_parenthesis() {
    if (!rest_.starts_with('(')) {
      return false;
    }
    constexpr std::size_t kLongest = 160;
    std::size_t end = matching_end(rest_, 0, '(', ')');
    if (end > kLongest) {  // none, or none near: "((k[add]"z[y^]), n."
      const std::size_t close = rest_.find(')');
      end = close == npos ? npos : close + 1;
    }
    if (end > kLongest || !is_pronunciation(rest_.substr(0, end))) {
      return false;
    }
    rest_.remove_prefix(end);
    return true;
  }

  // [OE. araynen, fr. OF. …]
  bool take_bracket() {
    if (!rest_.starts_with('[')) {
      return false;
    }
    const std::size_t end = matching_end(rest_, 0, '[', ']');
    if (end == npos || end <= 4) {  // unclosed, or a letter such as ['e] of a definition
      return false;
    }
    const std::string source(rest_.substr(0, end));
    if (!remove_sources(source).empty()) {
      add_note(rest_.substr(1, end - 2));
    }
    rest_.remove_prefix(end);
    return true;
  }

  // Arpen \Ar"pen\, the same word spelt another way.
  bool take_variant() {
    constexpr std::size_t kLongest = 80;
    const std::size_t open = rest_.substr(0, kLongest).find_first_of("\\[({.:");
    if (open == npos || rest_[open] != '\\') {
      return false;
    }
    const std::size_t close = rest_.find('\\', open + 1);
    if (close == npos) {
      return false;
    }
    std::string_view word = trim(rest_.substr(0, open), " ,");
    for (const std::string_view lead : {"or ", "Or ", "also ", "Also ", "and "}) {
      if (word.starts_with(lead)) {
        word.remove_prefix(lead.size());
      }
    }
    if (!word.empty() && word != header_.headword) {
      add_note("also " + std::string(word));
    }
    rest_.remove_prefix(close + 1);
    return true;
  }

  std::string_view rest_;
  Header header_;
};

}  // namespace

Header parse_header(std::string_view text) { return HeaderParser(text).parse(); }

}  // namespace calm::dictionary::gcide
