#include <algorithm>
#include <cstddef>
#include <utility>

#include <common/plain.hpp>
#include <common/sources.hpp>

#include "document.hpp"
#include "text_pages.hpp"

namespace calm::netref {
namespace {

constexpr std::size_t npos = std::string_view::npos;
constexpr std::size_t kLongestHeading = 90;
constexpr std::size_t kShortestRule = 3;

using Lines = std::vector<std::string_view>;

bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return is_upper(c) || is_lower(c) || (c & 0x80) != 0; }

// "2.1 Scope . . . . 7": a line of a table of contents.
bool is_contents_line(std::string_view line) {
  line = sources::trim(line);
  const std::size_t number = line.find_last_not_of("0123456789");
  if (number == npos || number + 1 == line.size()) {
    return false;
  }
  return line.find("..") != npos || line.find(". .") != npos ||
         line.substr(0, number + 1).ends_with("  ");
}

// A line of one character over and over: what underlines a heading.
bool is_rule(std::string_view line) {
  line = sources::trim(line);
  return line.size() >= kShortestRule &&
         std::string_view("=-~*^#+\"'`").find(line.front()) != npos &&
         line.find_first_not_of(line.front()) == npos;
}

// "2.1. Scope" or "Appendix A. Scope".
bool is_numbered(std::string_view line) {
  std::size_t at = 0;
  if (line.starts_with("Appendix ")) {
    return true;
  }
  while (at < line.size() && (is_digit(line[at]) || line[at] == '.')) {
    ++at;
  }
  const std::size_t word = line.find_first_not_of(' ', at);
  return at > 0 && is_digit(line[0]) && word != npos && word > at &&
         (is_letter(line[word]) || line[word] == '/') && !is_lower(line[word]);
}

bool is_shouted(std::string_view line) {
  return line.size() >= 4 && std::none_of(line.begin(), line.end(), is_lower) &&
         std::count_if(line.begin(), line.end(), is_upper) >= 4;
}

// The words of a Markdown or AsciiDoc heading; empty when it is none.
std::string_view marked(std::string_view line) {
  for (const char mark : {'#', '='}) {
    const std::size_t level = std::min(line.find_first_not_of(mark), line.size());
    if (level > 0 && level <= 6 && line.substr(level).starts_with(" ")) {
      return sources::trim(line.substr(level));
    }
  }
  return {};
}

class Reader {
 public:
  Reader(const Unpaged &text, bool marks, std::string_view name) : text_(text), marks_(marks) {
    document_.title = text.title;
    name_ = name.substr(0, name.rfind('.'));
  }

  Document read() {
    Lines block;
    bool fenced = false;
    for (const std::string_view line : text_.lines) {
      if (marks_ && sources::trim(line).starts_with("```")) {
        fenced = !fenced;
        continue;
      }
      if (sources::trim(line).empty()) {
        take(std::exchange(block, {}));
      } else if (!fenced && marks_ && !marked(line).empty()) {
        take(std::exchange(block, {}));
        heading(marked(line));
      } else {
        block.push_back(line);
      }
    }
    take(block);
    if (document_.title.empty()) {
      document_.title = sources::plain_text(name_);
    }
    return std::move(document_);
  }

 private:
  // The heading of a block of lines; empty when it begins with none. `used`: lines it took.
  std::string_view heading_of(const Lines &block, std::size_t &used) const {
    const std::string_view line = block.front();
    const std::string_view words = sources::trim(line);
    used = 1;
    if (words.size() > kLongestHeading || is_contents_line(line)) {
      return {};
    }
    if (block.size() > 1 && is_rule(block[1]) && !is_rule(line) &&
        sources::trim(block[1]).size() * 2 >= words.size()) {
      used = 2;
      return words;
    }
    const bool at_margin = line.front() != ' ' && line.front() != '\t';
    if (!at_margin || block.size() > 1 || is_rule(line)) {
      return {};
    }
    const bool prose = words.ends_with(".") && !is_numbered(words);
    const bool bare = text_.paged && !prose && words.find("  ") == npos && is_letter(words[0]);
    return is_numbered(words) || is_shouted(words) || bare ? words : std::string_view();
  }

  void take(const Lines &block) {
    if (block.empty()) {
      return;
    }
    std::size_t used = 0;
    const std::string_view found = heading_of(block, used);
    if (!found.empty()) {
      heading(found);
      paragraph(Lines(block.begin() + static_cast<std::ptrdiff_t>(used), block.end()));
    } else {
      paragraph(block);
    }
  }

  void heading(std::string_view words) {
    // The first one names the text where nothing else did.
    if (document_.title.empty() && document_.sections.empty() && !is_numbered(words)) {
      document_.title = sources::plain_text(words);
      return;
    }
    useful_ = is_worth_reading(without_number(words));
    document_.sections.push_back({sources::plain_text(without_number(words)), {}});
  }

  static std::string_view without_number(std::string_view words) {
    if (!is_numbered(words) || words.starts_with("Appendix ")) {
      return words;
    }
    return sources::trim(
        words.substr(std::min(words.find_first_not_of("0123456789."), words.size())));
  }

  void paragraph(const Lines &lines) {
    // Before the first heading an RFC has its title page.
    if (lines.empty() || !useful_ || (document_.sections.empty() && text_.paged)) {
      return;
    }
    std::string text;
    for (const std::string_view line : lines) {
      if (!is_rule(line) && !is_contents_line(line)) {
        text += line;
        text += '\n';
      }
    }
    text = sources::plain_text(text);
    if (!is_prose(text)) {
      return;
    }
    if (document_.sections.empty()) {
      document_.sections.emplace_back();
    }
    document_.sections.back().paragraphs.push_back({{}, std::move(text)});
  }

  // Drawings and tables of numbers are none.
  static bool is_prose(std::string_view text) {
    const auto letters = static_cast<std::size_t>(
        std::count_if(text.begin(), text.end(), [](char c) { return is_letter(c) || c == ' '; }));
    return !text.empty() && letters * 10 >= text.size() * 7;
  }

  const Unpaged &text_;
  bool marks_;
  bool useful_ = true;
  std::string_view name_;
  Document document_;
};

}  // namespace

Document parse_text(std::string_view text, std::string_view name) {
  const bool marks = name.ends_with(".md") || name.ends_with(".markdown") ||
                     name.ends_with(".adoc") || name.ends_with(".asc") ||
                     name.ends_with(".asciidoc");
  const Unpaged unpaged = without_pages(text);
  return Reader(unpaged, marks, name).read();
}

}  // namespace calm::netref
