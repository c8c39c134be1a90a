#pragma once

#include <string_view>
#include <vector>

#include "entry.hpp"

namespace calm::dictionary {

/// Entries of one record of WordNet as dict-wn prints it, one for each part of speech:
///
///   centric
///       adj 1: having or situated at or near a center; "an example"
///              [syn: {centric}, {centrical}] [ant: {peripheral}]
///       2: a further sense
std::vector<Entry> parse_wordnet(std::string_view record);

bool looks_like_wordnet(std::string_view record);

}  // namespace calm::dictionary
