#include "generic.hpp"

#include <algorithm>
#include <cstddef>
#include <string>

namespace calm::dictionary {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool begins_with(std::string_view text, std::string_view word) {
  return !word.empty() && text.size() >= word.size() &&
         std::equal(word.begin(), word.end(), text.begin(),
                    [](char a, char b) { return lower(a) == lower(b); });
}

}  // namespace

std::vector<Entry> parse_generic(const std::vector<std::string_view> &headwords,
                                 std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \n"), text.size()));
  std::string_view found;
  for (const std::string_view word : headwords) {
    if (word.size() > found.size() && begins_with(text, word)) {
      found = word;
    }
  }
  Entry entry;
  if (found.empty()) {
    entry.headword = headwords.front();
  } else {
    entry.headword = text.substr(0, found.size());  // as the text spells it
    text.remove_prefix(found.size());
  }
  entry.items.push_back({ItemKind::kSense, std::string(text), {}});
  return {entry};
}

}  // namespace calm::dictionary
