#pragma once

#include <calm/plugin.h>

#include <string>
#include <vector>

#include "core/plugin/elf_note.hpp"

namespace calm {

/// A plugin in memory: its descriptor in this host's size and the entries of kinds this host knows.
/// Everything they point to lives until the process ends.
struct LoadedPlugin {
  calm_plugin descriptor{};
  std::vector<calm_provided> provides;
};

/// Loads the library at `path` (absolute), asks it for its descriptor and compares that with what
/// its note promised. The library is never unloaded, not even after a failure: its constructors
/// have run. Adds to `warnings` what loading changed about the process (ProcessState), which is put
/// right. Throws Error without the path: what read_plugin_note throws, CALM_BUSY when the note is
/// no longer `note`, CALM_FAILED with the dynamic linker's words, CALM_VERSION, CALM_INTERNAL for a
/// plugin that breaks the ABI. [session]
LoadedPlugin load_plugin(const std::string &path, const PluginNote &note,
                         std::vector<std::string> *warnings);

/// "1.0" for CALM_ABI(1, 0).
std::string abi_text(std::uint32_t abi);

}  // namespace calm
