#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace calm {

/// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The known name most like `name`, or empty when none is close enough to be a slip of the hand.
std::string_view nearest(std::string_view name, std::span<const std::string> known);

/// "; did you mean \"NAME\"?" for the end of a message, or empty.
std::string did_you_mean(std::string_view name, std::span<const std::string> known);

}  // namespace calm
