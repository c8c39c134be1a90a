#pragma once

#include <functional>
#include <string_view>

namespace calm::shell {

/// Says what a command typed in folder `cwd` may depend on, as fields of the domain's template:
///
///   cwd      the folder
///   git      branch and state (git.hpp)
///   history  the last commands, oldest first, an `exit` after each whose exit code is known: of
///   the
///            file $CALM_HISTORY, lines `CODE TAB COMMAND` or `COMMAND`, which a shell's hook may
///            keep; else of $HISTFILE or the history of $SHELL. The filter of the importer applies
///   env      the active Python environment, the files in `cwd` that tools look for (Makefile, ...)
///
/// What cannot be read is left out.
using FieldSink = std::function<void(std::string_view name, std::string_view value)>;
void gather_context(std::string_view cwd, const FieldSink &field);

}  // namespace calm::shell
