#pragma once

#include <string_view>
#include <vector>

#include "entry.hpp"

namespace calm::dictionary {

/// The entry of one record of the Jargon File:
///
///   alt
///    /awlt/, n.
///
///       1. n. The alt shift key on an IBM PC or {clone} keyboard ...
///
///       2. n. A further sense.
///
/// Also ":alt: /awlt/ n. The ...", as older versions have it.
std::vector<Entry> parse_jargon(std::string_view record);

bool looks_like_jargon(std::string_view record);

}  // namespace calm::dictionary
