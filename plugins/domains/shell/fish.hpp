#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace calm::shell {

/// Command lines a completion file of fish tells of: each subcommand, option and fixed value behind
/// the command it belongs to, without descriptions (no shell reads those on a line).
struct FishCommands {
  std::vector<std::string> lines;    ///< in the order of the file, each once
  std::uint64_t not_understood = 0;  ///< `complete` lines whose command or condition fish computes
};

/// Reads `complete -c tar -s x -l extract -d ...`. Any bytes may come in.
FishCommands read_fish_completions(std::string_view text);

}  // namespace calm::shell
