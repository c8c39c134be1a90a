#include "core/search/passages.hpp"

#include <algorithm>
#include <utility>

namespace calm::search {
namespace {

constexpr std::size_t kLongestHeading = 80;
constexpr std::string_view kBlanks = " \t\r\n\f\v";

bool blank(char c) { return kBlanks.find(c) != std::string_view::npos; }
bool digit(char c) { return c >= '0' && c <= '9'; }
bool upper(char c) { return c >= 'A' && c <= 'Z'; }
bool lower(char c) { return c >= 'a' && c <= 'z'; }

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) {
    return {};
  }
  return text.substr(first, text.find_last_not_of(kBlanks) + 1 - first);
}

bool hashed(std::string_view line) {
  const std::size_t depth = line.find_first_not_of('#');
  return depth != std::string_view::npos && depth >= 1 && depth <= 6 && line[depth] == ' ';
}

// "3.1.  Title": a number, a blank, a word; no sentence, no row of dots to a page number.
bool numbered(std::string_view line) {
  const std::size_t end = line.find_first_not_of("0123456789.");
  if (!digit(line[0]) || end == std::string_view::npos || line[end] != ' ') {
    return false;
  }
  return std::string_view(".,;:").find(line.back()) == std::string_view::npos &&
         line.find("...") == std::string_view::npos && line.find(". .") == std::string_view::npos;
}

bool capitals(std::string_view line) {
  return std::count_if(line.begin(), line.end(), upper) >= 3 &&
         std::none_of(line.begin(), line.end(), lower);
}

bool underline(std::string_view line) {
  return line.size() >= 3 && (line[0] == '=' || line[0] == '-') &&
         line.find_first_not_of(line[0]) == std::string_view::npos;
}

struct Line {
  std::size_t begin, end;  // without the line feed
};

// Passages of one text, in its order.
class Cutter {
 public:
  Cutter(std::string_view text, bool headings) : text_(text), headings_(headings) {}

  std::vector<Passage> cut() {
    std::vector<Line> paragraph;
    for (std::size_t at = 0; at <= text_.size();) {
      const std::size_t feed = std::min(text_.find('\n', at), text_.size());
      if (of(at, feed).empty()) {
        take(std::exchange(paragraph, {}));
      } else {
        paragraph.push_back({at, feed});
      }
      at = feed + 1;
    }
    take(paragraph);
    flush();
    return std::move(out_);
  }

 private:
  std::string_view of(std::size_t begin, std::size_t end) const {
    return trimmed(text_.substr(begin, end - begin));
  }
  std::string_view of(const Line &line) const { return of(line.begin, line.end); }

  // How many lines at the start of a paragraph are a heading.
  std::size_t heading_lines(const std::vector<Line> &paragraph) const {
    const std::string_view first = of(paragraph[0]);
    if (!headings_ || first.size() > kLongestHeading) {
      return 0;
    }
    if (hashed(first)) {
      return 1;
    }
    if (paragraph.size() > 1 && underline(of(paragraph[1]))) {
      return 2;
    }
    const bool alone = paragraph.size() == 1 && !blank(text_[paragraph[0].begin]);
    return alone && (numbered(first) || capitals(first)) ? 1 : 0;
  }

  void take(const std::vector<Line> &paragraph) {
    if (paragraph.empty()) {
      return;
    }
    const std::size_t heading = heading_lines(paragraph);
    if (heading > 0) {
      flush();
      section_ = of(paragraph[0]);
      section_ =
          trimmed(section_.substr(std::min(section_.find_first_not_of('#'), section_.size())));
    }
    if (heading < paragraph.size()) {
      add(paragraph[heading].begin, paragraph.back().end);
    }
  }

  // Puts bytes [begin, end) to the passage in the making, or begins others.
  void add(std::size_t begin, std::size_t end) {
    if (open_ && end - span_.begin <= kLongestPassage) {
      span_.end = end;
      return;
    }
    flush();
    while (end - begin > kLongestPassage) {
      const std::size_t cut = begin + cut_length(text_.substr(begin, kLongestPassage + 1));
      push({begin, cut});
      begin = std::min(text_.find_first_not_of(kBlanks, cut), end);
    }
    if (begin < end) {
      span_ = {begin, end};
      open_ = true;
    }
  }

  // Where to cut a text that has one byte too many: after a sentence in its second half, else
  // before its last blank, else between characters.
  static std::size_t cut_length(std::string_view text) {
    const std::size_t most = text.size() - 1;
    for (std::size_t n = most; n > most / 2; --n) {
      const char last = text[n - 1];
      if ((last == '.' || last == '!' || last == '?') && blank(text[n])) {
        return n;
      }
    }
    for (std::size_t n = most; n > most / 2; --n) {
      if (blank(text[n])) {
        return n;
      }
    }
    std::size_t n = most;
    while (n > most / 2 && (static_cast<unsigned char>(text[n]) & 0xc0) == 0x80) {
      --n;
    }
    return n;
  }

  void flush() {
    if (std::exchange(open_, false)) {
      push(span_);
    }
  }

  void push(Span span) {
    const std::string_view text = of(span.begin, span.end);
    if (text.empty()) {
      return;
    }
    const auto begin = static_cast<std::size_t>(text.data() - text_.data());
    out_.push_back(
        {std::string(section_), {}, std::string(text), Span{begin, begin + text.size()}});
  }

  std::string_view text_, section_;
  bool headings_;
  bool open_ = false;
  Span span_;
  std::vector<Passage> out_;
};

}  // namespace

std::vector<Passage> cut_text(std::string_view text) {
  std::vector<Passage> passages = Cutter(text, true).cut();
  // A text of headings alone is better than none.
  return passages.empty() ? Cutter(text, false).cut() : passages;
}

void cut_section(std::string_view section, std::string_view text, std::vector<Passage> &out) {
  for (Passage &passage : Cutter(text, false).cut()) {
    passage.section = section;
    passage.span.reset();
    out.push_back(std::move(passage));
  }
}

}  // namespace calm::search
