#pragma once

#include <vector>

#include "parser.hpp"

namespace calm::shell {

/// Whether one of the commands is given a secret: by an option or a plain word of commands known
/// for it, or through a pipe; inside `sh -c`, `ssh HOST`, substitutions, too. `here`: the line has
/// a here-string, which feeds commands like a pipe.
bool gives_secret(const std::vector<Command> &commands, bool here);

}  // namespace calm::shell
