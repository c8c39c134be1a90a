#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace calm::sources {

/// Text as it may stand in a frame of a record: control characters and runs of blanks are one
/// blank, none at the ends, and nothing looks like a tag of spec L (`<DEF>` becomes `[DEF]`).
std::string plain_text(std::string_view text);

/// plain_text of each line; empty lines go, LF stays between the others.
std::string plain_lines(std::string_view text);

/// The next line of `rest`, without its LF and CR, which is taken off. Needs a non-empty `rest`.
std::string_view take_line(std::string_view &rest);

/// Without the blanks (space, tab, CR, LF) at its ends.
std::string_view trim(std::string_view text);

/// Code points of UTF-8.
std::size_t code_points(std::string_view utf8);

/// Comparison of ASCII letters without their case.
bool equal_ignoring_case(std::string_view a, std::string_view b);
std::string to_lower(std::string_view ascii);

/// Length of the longest beginning of `text`, at most `room` bytes, that ends a sentence, else a
/// clause, else a word; 0 when that leaves less than says anything.
std::size_t cut_at_sentence(std::string_view text, std::size_t room);

}  // namespace calm::sources
