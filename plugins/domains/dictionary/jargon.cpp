#include "jargon.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>

#include <common/plain.hpp>

#include "dictfmt.hpp"

namespace calm::dictionary {
namespace {

constexpr std::size_t npos = std::string_view::npos;
constexpr std::string_view kPartsOfSpeech[] = {
    "abbrev.", "adj.", "adv.", "cav.",   "excl.",  "imp.",    "interj.", "n.",
    "obs.",    "pl.",  "ppl.", "pref.",  "prep.",  "prov.",   "quant.",  "suff.",
    "v.",      "vi.",  "vt.",  "prefix", "suffix", "x-refs.", "poss.",   "connective"};

// Length of what `text` begins with: "n.", "vi.,n.", "adj. & n.".
std::size_t part_of_speech(std::string_view text) {
  std::size_t length = 0;
  for (;;) {
    std::size_t at = length;
    if (length > 0) {
      const std::size_t joint = text.find_first_not_of(", &/", length);
      if (joint == npos || joint == length) {
        return length;
      }
      at = joint;
    }
    const std::string_view rest = text.substr(at);
    const auto *const found =
        std::find_if(std::begin(kPartsOfSpeech), std::end(kPartsOfSpeech), [&](const auto pos) {
          const bool ends =
              rest.size() == pos.size() ||
              (rest.size() > pos.size() && std::string_view(" ,/&").find(rest[pos.size()]) != npos);
          return rest.starts_with(pos) && ends;
        });
    if (found == std::end(kPartsOfSpeech)) {
      return length;
    }
    length = at + found->size();
  }
}

std::string take_part_of_speech(std::string_view &text) {
  const std::size_t length = part_of_speech(text);
  std::string pos(text.substr(0, length));
  text.remove_prefix(length);
  text.remove_prefix(std::min(text.find_first_not_of(", "), text.size()));
  return pos;
}

// What stands before the first empty line: the headword, then pronunciation and part of speech.
void read_head(std::string_view head, Entry &entry, std::string_view &rest) {
  std::string_view first = sources::trim(sources::take_line(head));
  if (first.starts_with(":") && first.find(':', 1) != npos) {
    const std::size_t close = first.find(':', 1);
    entry.headword = sources::plain_text(first.substr(1, close - 1));
    rest = sources::trim(first.substr(close + 1));
  } else {
    entry.headword = sources::plain_text(first);
    rest = sources::trim(head);
  }
  while (!rest.empty()) {
    const std::string pronunciation = dictfmt::take_pronunciation(rest);
    const std::string pos = take_part_of_speech(rest);
    if (pronunciation.empty() && pos.empty()) {
      return;
    }
    entry.ipa = entry.ipa.empty() ? pronunciation : entry.ipa;
    entry.pos = entry.pos.empty() ? pos : entry.pos;
  }
}

}  // namespace

std::vector<Entry> parse_jargon(std::string_view record) {
  record.remove_prefix(std::min(record.find_first_not_of(" \t\r\n"), record.size()));
  if (record.empty()) {
    return {};
  }
  Entry entry;
  std::size_t gap = record.find("\n\n");
  std::string_view after_head;
  read_head(record.substr(0, gap), entry, after_head);
  std::vector<std::string> parts;
  if (!after_head.empty()) {  // the definition begins on the line of the headword
    parts = dictfmt::paragraphs(after_head);
  }
  if (gap != npos) {
    for (std::string &part : dictfmt::paragraphs(record.substr(gap))) {
      parts.push_back(std::move(part));
    }
  }
  bool first = true;
  for (const std::string &part : parts) {
    std::string_view text = part;
    const bool numbered = dictfmt::take_number(text);
    if ((numbered || first) && entry.pos.empty()) {
      entry.pos = take_part_of_speech(text);
    } else if (!entry.pos.empty() && text.starts_with(entry.pos + " ")) {
      text.remove_prefix(entry.pos.size() + 1);
    }
    const std::string words = dictfmt::without_links(text);
    if (!sources::trim(words).empty()) {
      entry.items.push_back({numbered || first ? ItemKind::kSense : ItemKind::kRemark, words, {}});
      first = false;
    }
  }
  return {entry};
}

bool looks_like_jargon(std::string_view record) {
  record.remove_prefix(std::min(record.find_first_not_of(" \t\r\n"), record.size()));
  if (record.empty()) {
    return false;
  }
  const std::size_t gap = record.find("\n\n");
  Entry entry;
  std::string_view rest;
  read_head(record.substr(0, gap), entry, rest);
  // Nothing but these stands in the head, or it is ":word:".
  const bool apart = gap != npos && rest.empty();
  return (!entry.pos.empty() || !entry.ipa.empty()) && (apart || record[0] == ':');
}

}  // namespace calm::dictionary
