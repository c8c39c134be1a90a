#include "gcide.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>

#include "gcide_header.hpp"
#include "gcide_markup.hpp"

namespace calm::dictionary {
namespace {

constexpr std::size_t npos = std::string_view::npos;
constexpr std::size_t kQuoteIndent = 9;
constexpr std::size_t kSubSenseIndent = 10;

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

struct Line {
  std::size_t indent = 0;
  std::string_view text;  // empty: a blank line
};

Line read_line(std::string_view raw) {
  const std::size_t first = raw.find_first_not_of(' ');
  if (first == npos) {
    return {};
  }
  return {first, raw.substr(first, raw.find_last_not_of(" \r") + 1 - first)};
}

// "12. " gives 12; 0 when the line has no number.
int sense_number(std::string_view text) {
  int number = 0;
  std::size_t i = 0;
  for (; i < text.size() && i < 3 && is_digit(text[i]); ++i) {
    number = number * 10 + (text[i] - '0');
  }
  const bool numbered =
      i > 0 && text.substr(i, 1) == "." && (i + 1 == text.size() || text[i + 1] == ' ');
  return numbered ? number : 0;
}

bool is_sub_sense(std::string_view text) {
  return text.size() > 3 && text[0] == '(' && is_lower(text[1]) && text[2] == ')' && text[3] == ' ';
}

bool is_synonyms(std::string_view text) { return text.starts_with("Syn:"); }
bool is_remark(std::string_view text) {
  return text.starts_with("Note:") || text.starts_with("Usage:");
}

bool is_balanced(std::string_view text) {
  return std::count(text.begin(), text.end(), '[') == std::count(text.begin(), text.end(), ']');
}

// A stretch of lines that belong together, joined by blanks.
struct Piece {
  enum class Kind { kHeader, kText, kQuote };
  Kind kind = Kind::kText;
  int number = 0;  // of a numbered sense
  std::string text;
};

void append(std::string &out, std::string_view line) {
  if (!out.empty()) {
    out += ' ';
  }
  out += line;
}

/// Cuts a record into pieces, line by line.
class PieceReader {
 public:
  std::vector<Piece> read(std::string_view record) {
    while (!record.empty()) {
      const std::size_t end = std::min(record.find('\n'), record.size());
      const std::string_view raw = record.substr(0, end);
      record.remove_prefix(std::min(end + 1, record.size()));
      take(read_line(raw), record);
    }
    return std::move(pieces_);
  }

 private:
  void take(const Line &line, std::string_view following) {
    if (line.text.empty()) {
      // "Headword \pron\" alone in its paragraph goes on after the blank line.
      open_ = open_ && in(Piece::Kind::kHeader) && pieces_.back().text.ends_with('\\');
    } else if (starts_entry(line, following)) {
      start(Piece::Kind::kHeader, line);
    } else if (open_ && !starts_piece(line)) {
      append(pieces_.back().text, line.text);
    } else {
      const bool quote = line.indent >= kQuoteIndent && !is_sub_sense(line.text) && !open_;
      start(quote ? Piece::Kind::kQuote : Piece::Kind::kText, line);
    }
  }

  bool in(Piece::Kind kind) const { return !pieces_.empty() && pieces_.back().kind == kind; }

  bool starts_entry(const Line &line, std::string_view following) const {
    if (line.indent != 0 || line.text[0] == '\\' || (open_ && in(Piece::Kind::kHeader))) {
      return false;
    }
    return line.text.find('\\') != npos || following.starts_with('\\');
  }

  // Whether a line that does not follow a blank line begins something new.
  bool starts_piece(const Line &line) const {
    const Piece &last = pieces_.back();
    if (last.kind == Piece::Kind::kQuote) {
      return line.indent < kQuoteIndent ||
             (line.indent <= kSubSenseIndent && is_sub_sense(line.text));
    }
    if (line.indent > 4) {
      return false;
    }
    // "[OE. fether … √76,\n 77. Cf. {Pen}.]" wraps at a number, too.
    const int number = sense_number(line.text);
    const bool next = last.kind == Piece::Kind::kHeader
                          ? number == 1 || (number == 2 && is_balanced(last.text))
                          : last.number > 0 && number == last.number + 1;
    return next || is_synonyms(line.text) || is_remark(line.text);
  }

  void start(Piece::Kind kind, const Line &line) {
    Piece piece;
    piece.kind = kind;
    piece.number = kind == Piece::Kind::kText ? sense_number(line.text) : 0;
    piece.text = line.text;
    pieces_.push_back(std::move(piece));
    open_ = true;
  }

  std::vector<Piece> pieces_;
  bool open_ = false;  // the last piece may go on
};

// WordNet's senses sometimes carry a second number: "1. 1 deliberately arranged".
std::string_view without_number(std::string_view text, int number, bool wordnet) {
  if (number > 0) {
    text.remove_prefix(text.find('.') + 1);
    text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  }
  const bool second = wordnet && text.size() > 2 && is_digit(text[0]) && text[1] == ' ' &&
                      (is_lower(text[2]) || text[2] == '(');
  return second ? text.substr(2) : text;
}

ItemKind kind_of(std::string_view text) {
  if (is_synonyms(text)) {
    return ItemKind::kSynonyms;
  }
  if (is_remark(text)) {
    return ItemKind::kRemark;
  }
  return text.starts_with('{') ? ItemKind::kPhrase : ItemKind::kSense;
}

/// Makes an entry of a header piece and those after it.
class EntryBuilder {
 public:
  EntryBuilder(const Piece &header, bool last, bool wordnet) : wordnet_(wordnet) {
    const gcide::Header h = gcide::parse_header(without_sources(header.text, last));
    entry_.headword = gcide::expand(h.headword);
    entry_.pos = h.pos;
    entry_.ipa = h.ipa;
    entry_.note = gcide::expand(h.note);
    const bool subject_only =
        h.rest.starts_with('(') && gcide::matching_end(h.rest, 0, '(', ')') == h.rest.size();
    if (subject_only && !last) {
      subject_ = h.rest;
    } else {
      add(ItemKind::kSense, clean_definition(h.rest, 0));
    }
  }

  void add(const Piece &piece, bool last) {
    const std::string text = without_sources(piece.text, last);
    if (piece.kind == Piece::Kind::kQuote) {
      const gcide::Quotation quote = gcide::split_quotation(gcide::remove_run_ons(text));
      if (!quote.author.empty() && !entry_.items.empty()) {
        entry_.items.push_back(
            {ItemKind::kQuote, gcide::expand(quote.text), gcide::expand(quote.author)});
      }
      return;
    }
    const ItemKind kind = piece.number > 0 ? ItemKind::kSense : kind_of(text);
    if (last && piece.number == 0 && kind == ItemKind::kSense && gcide::is_left_behind(text)) {
      return;
    }
    std::string definition = clean_definition(text, piece.number);
    if (kind == ItemKind::kSense && !subject_.empty() && !definition.empty()) {
      definition = gcide::expand(subject_) + ' ' + definition;
      subject_.clear();
    }
    add(kind, std::move(definition));
  }

  Entry take() { return std::move(entry_); }

 private:
  static std::string without_sources(std::string_view text, bool last) {
    return last ? gcide::remove_sources_at_end(text) : gcide::remove_sources(text);
  }

  std::string clean_definition(std::string_view text, int number) const {
    std::string out = gcide::remove_run_ons(without_number(text, number, wordnet_));
    if (wordnet_) {
      out = gcide::remove_wordnet_links(out);
    }
    return gcide::expand(gcide::remove_attributions(out));
  }

  void add(ItemKind kind, std::string text) {
    if (gcide::says_something(text)) {
      entry_.items.push_back({kind, std::move(text), {}});
    }
  }

  Entry entry_;
  std::string subject_;  // "(Law)" of all senses, printed before the first
  bool wordnet_;
};

}  // namespace

std::vector<Entry> parse_gcide(std::string_view record) {
  const std::vector<Piece> pieces = PieceReader().read(record);
  const bool wordnet = record.find("[WordNet") != npos;
  std::vector<Entry> entries;
  const auto is_header = [](const Piece &p) { return p.kind == Piece::Kind::kHeader; };
  auto first = std::find_if(pieces.begin(), pieces.end(), is_header);
  while (first != pieces.end()) {
    const auto end = std::find_if(first + 1, pieces.end(), is_header);
    EntryBuilder builder(*first, first + 1 == end, wordnet);
    for (auto piece = first + 1; piece != end; ++piece) {
      builder.add(*piece, piece + 1 == end);
    }
    entries.push_back(builder.take());
    first = end;
  }
  return entries;
}

}  // namespace calm::dictionary
