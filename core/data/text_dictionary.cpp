#include "core/data/text_lines.hpp"
#include "core/data/text_sequence.hpp"
#include "core/text/unicode.hpp"

#include <algorithm>
#include <array>
#include <cstddef>

namespace calm::data {
namespace {

constexpr std::string_view kWordTag = "<WORD>";
constexpr std::string_view kDefTag = "<DEF>";
constexpr std::string_view kQuoteTag = "<QUOTE>";
constexpr std::string_view kByTag = "<BY>";

bool starts_with(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

// A marker of the headword line and where its value goes; ATN's is thrown away (L.4).
struct Marker {
  std::string_view tag;
  std::string_view DictionaryEntry::*value;
  std::size_t at;
};

// `line` starts with <WORD>. Only a marker's first occurrence counts.
DictionaryEntry parse_headword(std::string_view line) {
  std::array<Marker, 4> markers = {{{"<ATN>", nullptr, 0},
                                    {"<POS>", &DictionaryEntry::pos, 0},
                                    {"<NOTE>", &DictionaryEntry::note, 0},
                                    {"<IPA>", &DictionaryEntry::ipa, 0}}};
  for (Marker &marker : markers) marker.at = std::min(line.find(marker.tag), line.size());
  std::sort(markers.begin(), markers.end(),
            [](const Marker &a, const Marker &b) { return a.at < b.at; });

  DictionaryEntry entry;
  entry.headword = text::strip(line.substr(kWordTag.size(), markers[0].at - kWordTag.size()));
  for (std::size_t i = 0; i < markers.size() && markers[i].at < line.size(); ++i) {
    if (markers[i].value == nullptr) continue;
    const std::size_t start = markers[i].at + markers[i].tag.size();
    const std::size_t end = i + 1 < markers.size() ? markers[i + 1].at : line.size();
    entry.*markers[i].value = text::strip(line.substr(start, end - start));
  }
  return entry;
}

Quote parse_quote(std::string_view rest) {
  const std::size_t by = rest.find(kByTag);
  if (by == std::string_view::npos) return {rest, {}};
  return {rest.substr(0, by), rest.substr(by + kByTag.size())};
}

// `piece` is stripped and starts with <WORD>.
DictionaryEntry parse_entry(std::string_view piece) {
  DictionaryEntry entry = parse_headword(take_line(piece));
  while (!piece.empty()) {
    const std::string_view line = text::strip(take_line(piece));
    if (starts_with(line, kDefTag)) {
      entry.definitions.push_back({line.substr(kDefTag.size()), {}});
    } else if (starts_with(line, kQuoteTag) && !entry.definitions.empty()) {
      entry.definitions.back().quotes.push_back(parse_quote(line.substr(kQuoteTag.size())));
    }
  }
  return entry;
}

void push_optional(text::Token token, std::string_view value, SequenceBuffer &out) {
  if (value.empty()) return;
  out.push(token);
  out.push_bytes(value);
}

}  // namespace

std::vector<DictionaryEntry> parse_dictionary(std::string_view text) {
  constexpr std::string_view kSeparator = "\n\n";
  std::vector<DictionaryEntry> entries;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(kSeparator), text.size());
    const std::string_view piece = text::strip(text.substr(0, end));
    text.remove_prefix(std::min(end + kSeparator.size(), text.size()));
    if (!starts_with(piece, kWordTag)) continue;
    DictionaryEntry entry = parse_entry(piece);
    if (!entry.definitions.empty()) entries.push_back(std::move(entry));
  }
  return entries;
}

void append_entry(const DictionaryEntry &entry, SequenceBuffer &out) {
  out.push(text::kBos);
  out.push(text::kWord);
  out.push_bytes(entry.headword);
  out.push(text::kAtn);
  push_optional(text::kPos, entry.pos, out);
  push_optional(text::kNote, entry.note, out);
  push_optional(text::kIpa, entry.ipa, out);
  out.push(text::kEnd);
  for (const Definition &definition : entry.definitions) {
    out.push(text::kDef);
    out.push_bytes(definition.text);
    out.push(text::kEnd);
    for (const Quote &quote : definition.quotes) {
      out.push(text::kQuote);
      out.push_bytes(quote.text);
      push_optional(text::kBy, quote.author, out);
      out.push(text::kEnd);
    }
  }
  out.push(text::kEos);
}

}  // namespace calm::data
