#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace calm::dictionary {

/// What a line of an entry is; the order is that of importance when not all of them fit.
enum class ItemKind { kSense, kQuote, kSynonyms, kPhrase, kRemark };

struct Item {
  ItemKind kind = ItemKind::kSense;
  std::string text;
  std::string author;  // of a quote
};

/// One dictionary entry as a record parser finds it: plain text, no layout.
struct Entry {
  std::string headword, pos, note, ipa;
  std::vector<Item> items;  // in the order of the record; a quote belongs to the last non-quote
};

enum class Fit {
  kWhole,
  kShortened,     // items were left out, or the only one was cut at the end of a sentence
  kNoDefinition,  // nothing to define the word with
  kTooLong,       // not even a piece of a definition fits
};

/// Makes the strings of `entry` plain (common/plain.hpp) and drops what does not fit in `l_max`
/// tokens as spec L.4 counts them: senses stay first, then quotes, synonyms, phrases, remarks, the
/// etymology.
Fit fit_entry(Entry &entry, std::size_t l_max);

/// Tokens of the sequence spec L.4 makes of the entry.
std::size_t token_count(const Entry &entry);

/// The entry in the dictionary format of spec L.4: `<WORD>…<ATN>…`, a line for each item.
std::string format_entry(const Entry &entry);

}  // namespace calm::dictionary
