#pragma once

#include "core/text/tokenizer.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace calm::text {

// What the legacy shell builder takes (spec A.9). An empty cwd, git or env is still a frame;
// an absent one is none.
struct ShellContext {
  struct Command {
    std::string text;
    std::int64_t exit_status;
  };

  std::optional<std::string> cwd;
  std::optional<std::string> git;
  std::vector<Command> history;
  std::vector<std::string> completions;
  std::optional<std::string> env;
  std::string partial_cmd;
};

// The fixed layout of A.9: BOS, the frames that are given, ATN, CMD, the open command. No budget
// and no EOS; templates (template.hpp) are the way to bound a sequence. [any]
std::vector<Token> build_shell_sequence(const ShellContext &context);

}  // namespace calm::text
