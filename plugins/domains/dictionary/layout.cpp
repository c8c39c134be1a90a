#include "layout.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

#include "foldoc.hpp"
#include "jargon.hpp"
#include "wordnet.hpp"

namespace calm::dictionary {
namespace {

constexpr std::size_t npos = std::string_view::npos;
constexpr std::size_t kSample = 64;

struct Known {
  Layout layout;
  std::string_view title;  // part of the database's own description
  std::string_view name;
};
constexpr Known kKnown[] = {
    {Layout::kGcide, "Collaborative International Dictionary", "gcide"},
    {Layout::kWordNet, "WordNet", "wn"},
    {Layout::kFoldoc, "Dictionary of Computing", "foldoc"},
    {Layout::kJargon, "Jargon File", "jargon"},
};

bool looks_like(Layout layout, std::string_view record) {
  switch (layout) {
    case Layout::kWordNet:
      return looks_like_wordnet(record);
    case Layout::kFoldoc:
      return looks_like_foldoc(record);
    case Layout::kJargon:
      return looks_like_jargon(record);
    case Layout::kGcide:
    case Layout::kGeneric:
      return false;
  }
  return false;
}

}  // namespace

Layout recognise(const Database &database) {
  for (const Known &known : kKnown) {
    if (database.about().find(known.title) != npos) {
      return known.layout;
    }
  }
  for (const Known &known : kKnown) {
    if (database.name() == known.name) {
      return known.layout;
    }
  }
  const std::size_t sample = std::min(kSample, database.records().size());
  for (const Known &known : kKnown) {
    const auto end = database.records().begin() + static_cast<std::ptrdiff_t>(sample);
    const auto alike = std::count_if(database.records().begin(), end, [&](const Record &record) {
      return looks_like(known.layout, database.text(record));
    });
    if (static_cast<std::size_t>(alike) * 2 > sample) {
      return known.layout;
    }
  }
  return Layout::kGeneric;
}

}  // namespace calm::dictionary
