#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include <calm/cpp/utf8.hpp>

// UTF-8 by the Unicode "maximal subpart" practice. Own code because the replacement rule is part of
// what a model prints (spec A.5) and must not change with a library.
namespace calm::text {

// Appends the UTF-8 form of a scalar value. [any]
void append_utf8(std::string &out, char32_t value);

// Each maximal invalid subpart becomes one U+FFFD (spec A.5); valid text is returned unchanged.
// [any]
std::string replace_invalid_utf8(std::string_view bytes);

// Byte offset of the first invalid subpart, nullopt for valid UTF-8. [any]
std::optional<std::size_t> find_invalid_utf8(std::string_view bytes);

}  // namespace calm::text
