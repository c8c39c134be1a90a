#pragma once

#include <string>
#include <string_view>

// What every text that becomes sequences goes through first (spec L.1, H.2). Internal to core/data.
namespace calm::data {

// CALM_CORRUPT_DATA "NAME: offset N: ..." when `text` is not UTF-8.
void expect_utf8(std::string_view text, std::string_view name);

// CRLF and CR as LF.
std::string normalise_line_ends(std::string_view text);

// The text up to the next line feed, and `rest` moved past it.
std::string_view take_line(std::string_view &rest);

}  // namespace calm::data
