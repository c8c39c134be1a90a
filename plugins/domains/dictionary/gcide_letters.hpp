#pragma once

#include <string_view>

namespace calm::dictionary::gcide {

/// UTF-8 of the character GCIDE writes as `[name]`, or null when it is no such name.
const char *find_letter(std::string_view name);

}  // namespace calm::dictionary::gcide
