#pragma once

#include <string_view>
#include <vector>

#include "dictd.hpp"
#include "entry.hpp"

namespace calm::dictionary {

/// A record of a database whose layout is not known: its headword, and all its text as one
/// definition. `text` is the record, `headwords` lead to it; the one it begins with is taken, else
/// the first.
std::vector<Entry> parse_generic(const std::vector<std::string_view> &headwords,
                                 std::string_view text);

}  // namespace calm::dictionary
