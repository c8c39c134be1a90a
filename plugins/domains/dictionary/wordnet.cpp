#include "wordnet.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>

#include <common/plain.hpp>

#include "dictfmt.hpp"

namespace calm::dictionary {
namespace {

constexpr std::size_t npos = std::string_view::npos;
// Continuations stand further right than any sense begins.
constexpr std::size_t kSenseIndent = 5;
constexpr std::string_view kPartsOfSpeech[] = {"n", "v", "adj", "adv"};

struct SenseStart {
  std::string_view pos;  // empty: that of the sense before
  std::string_view text;
};

// "adj 1: text" or "2: text".
bool parse_start(std::string_view line, SenseStart &out) {
  const std::size_t indent = std::min(line.find_first_not_of(' '), line.size());
  if (indent == 0 || indent > kSenseIndent) {
    return false;
  }
  line.remove_prefix(indent);
  out.pos = {};
  for (const std::string_view pos : kPartsOfSpeech) {
    if (line.starts_with(pos) && line.substr(pos.size()).starts_with(" ")) {
      out.pos = pos;
      line.remove_prefix(pos.size() + 1);
      break;
    }
  }
  const std::size_t digits = line.find_first_not_of("0123456789");
  if (digits == 0 || digits == npos || !line.substr(digits).starts_with(": ")) {
    return false;
  }
  out.text = line.substr(digits + 2);
  return true;
}

// Takes " [name: {a}, {b}]" out of `text`; the words without the headword and without marks of
// position such as "(a)".
std::string take_words(std::string &text, std::string_view name, std::string_view headword) {
  const std::string open = "[" + std::string(name) + ": ";
  const std::size_t start = text.find(open);
  const std::size_t end = start == npos ? npos : text.find(']', start);
  if (end == npos) {
    return {};
  }
  std::string_view list = std::string_view(text).substr(start, end - start);
  std::string words;
  for (std::size_t at = list.find('{'); at != npos; at = list.find('{')) {
    list.remove_prefix(at + 1);
    std::string_view word = sources::trim(list.substr(0, list.find('}')));
    for (const std::string_view mark : {"(a)", "(p)", "(ip)"}) {
      if (word.ends_with(mark)) {
        word.remove_suffix(mark.size());
      }
    }
    if (!word.empty() && !sources::equal_ignoring_case(word, headword)) {
      words += words.empty() ? "" : ", ";
      words += word;
    }
  }
  text.erase(start, end + 1 - start);
  return words;
}

// `"text"` or `"text"- Author`.
Item parse_example(std::string_view part) {
  const std::size_t close = part.rfind('"');
  Item item{ItemKind::kQuote, {}, {}};
  if (close == 0 || close == npos) {
    item.text = part.substr(close == 0 ? 1 : 0);
    return item;
  }
  item.text = part.substr(1, close - 1);
  std::string_view author = sources::trim(part.substr(close + 1));
  author.remove_prefix(std::min(author.find_first_not_of("-; "), author.size()));
  item.author = author;
  return item;
}

void add_sense(Entry &entry, std::string text) {
  const std::string synonyms = take_words(text, "syn", entry.headword);
  const std::string antonyms = take_words(text, "ant", entry.headword);
  const std::string forms = take_words(text, "also", entry.headword);
  text = dictfmt::without_links(text);
  std::string_view rest = sources::trim(text);
  std::size_t cut = rest.find("; \"");
  std::string_view definition = sources::trim(rest.substr(0, cut));
  if (definition.empty()) {
    return;
  }
  entry.items.push_back({ItemKind::kSense, std::string(definition), {}});
  while (cut != npos) {
    rest.remove_prefix(cut + 2);
    cut = rest.find("; \"");
    entry.items.push_back(parse_example(rest.substr(0, cut)));
  }
  if (!synonyms.empty()) {
    entry.items.push_back({ItemKind::kSynonyms, "Synonyms: " + synonyms, {}});
  }
  if (!antonyms.empty()) {
    entry.items.push_back({ItemKind::kSynonyms, "Antonyms: " + antonyms, {}});
  }
  if (!forms.empty()) {
    entry.note = "also " + forms;
  }
}

}  // namespace

std::vector<Entry> parse_wordnet(std::string_view record) {
  std::vector<Entry> entries;
  if (record.empty()) {
    return entries;
  }
  const std::string headword = sources::plain_text(sources::take_line(record));
  std::string sense;
  const auto finish = [&] {
    // One line, hyphens as they were; none where only control characters stood.
    std::string text;
    for (const std::string &paragraph : dictfmt::paragraphs(std::exchange(sense, {}))) {
      text += text.empty() ? "" : " ";
      text += paragraph;
    }
    if (!text.empty()) {
      add_sense(entries.back(), std::move(text));
    }
  };
  while (!record.empty()) {
    const std::string_view line = sources::take_line(record);
    SenseStart start;
    if (parse_start(line, start) && (!start.pos.empty() || !entries.empty())) {
      finish();
      if (!start.pos.empty()) {
        entries.push_back({headword, std::string(start.pos) + ".", {}, {}, {}});
      }
      sense = start.text;
    } else if (!sense.empty() && !sources::trim(line).empty()) {
      sense += '\n';
      sense += sources::trim(line);
    }
  }
  finish();
  return entries;
}

bool looks_like_wordnet(std::string_view record) {
  if (record.empty()) {
    return false;
  }
  sources::take_line(record);
  SenseStart start;
  return !record.empty() && parse_start(sources::take_line(record), start) && !start.pos.empty();
}

}  // namespace calm::dictionary
