#pragma once

#include <string_view>
#include <vector>

#include "entry.hpp"

namespace calm::dictionary {

/// The entry of one record of the Free On-line Dictionary of Computing:
///
///   actor%%%other name
///
///      1. <programming> /ak't*/ In {object-oriented} programming, ...
///
///      ["A source", author].
///
///      (1994-11-08)
///
/// Sources, dates and paragraphs of nothing but addresses are left out; a topic becomes
/// "(programming)" before its definition.
std::vector<Entry> parse_foldoc(std::string_view record);

bool looks_like_foldoc(std::string_view record);

}  // namespace calm::dictionary
