#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace calm::text {

// The white space of spec L.1: U+0009-000D, 001C-0020, 0085, 00A0, 1680, 2000-200A, 2028, 2029,
// 202F, 205F, 3000. Not U+200B and not U+FEFF. Templates, stop conditions and datasets share it.
// [any]
bool is_white_space(char32_t value);

// `text` without leading and trailing white space; a view into `text`. Invalid UTF-8 is kept. [any]
std::string_view strip(std::string_view text);

// The pieces between runs of white space, none of them empty; views into `text`. [any]
std::vector<std::string_view> split_white_space(std::string_view text);

// Unicode lower case, full and context-sensitive mappings included (final sigma), for no particular
// language. Throws Error(CALM_INVALID_ARGUMENT) when `text` is not UTF-8. [any]
std::string to_lower(std::string_view text);

}  // namespace calm::text
