#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace calm::shell {

/// A word of a fish script, quotes removed. What fish would compute makes it dynamic.
struct FishWord {
  std::string text;
  bool dynamic = false;
};

/// `set -l commands add commit`: names and their words.
using FishVariables = std::map<std::string, std::vector<std::string>, std::less<>>;

/// The words of the first command of `line`; known variables are replaced, several words joined by
/// blanks.
std::vector<FishWord> split_fish(std::string_view line, const FishVariables &variables);

/// The values of a -a option: words without their descriptions (after a tab), those that fish would
/// compute left out.
std::vector<std::string> split_values(std::string_view text);

}  // namespace calm::shell
