#pragma once

#include <string>
#include <string_view>

namespace calm::shell {

/// The branch of the repository that holds folder `cwd` and what is going on in it, read from the
/// files of .git alone: "main", "main|REBASE 2/5", "main|MERGING", "(1a2b3c4d)" when no branch is
/// checked out. Empty when there is no repository or it cannot be read. Linked work trees and
/// submodules (.git is a file) are followed one step. Reads a few small files, each up to a limit.
std::string git_state(std::string_view cwd);

}  // namespace calm::shell
