#pragma once

#include <chrono>
#include <string>

#include "core/plugin/elf_note.hpp"

namespace calm {

/// Loads the library at `path` in a child process and says how that ended when it ended in a way
/// that this process would not survive: a signal, an exit, no end within `patience`. Empty when
/// loading it here is safe, which includes failing with a reason. For programs that list plugins,
/// where one must not hide the others: it costs a few milliseconds a plugin. [session]
std::string probe_plugin(const std::string &path, const PluginNote &note,
                         std::chrono::milliseconds patience);

}  // namespace calm
