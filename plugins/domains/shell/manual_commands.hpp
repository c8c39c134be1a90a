#pragma once

#include <string>
#include <vector>

#include <common/manual.hpp>

namespace calm::shell {

/// The command lines a manual page shows: what its SYNOPSIS says the command takes, an option or
/// alternative at a time, without brackets; and the lines of its examples, prompts taken off.
/// Only pages of commands (sections 1, 6 and 8) have any.
struct ManualCommands {
  std::vector<std::string> synopsis, examples;
};
ManualCommands commands_of(const sources::Manual &manual);

}  // namespace calm::shell
