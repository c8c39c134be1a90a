#pragma once

#include <calm/format.h>
#include <calm/plugin.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace calm {

/// One thing a plugin offers, as its ELF note states it.
struct NoteEntry {
  std::string kind;  // "backend", "format", …; possibly one this host does not know
  std::string id;
  std::uint32_t revision = 0;

  bool operator==(const NoteEntry &) const = default;
};

/// What calm_plugin() writes into section .note.calm (sdk/cmake/CalmPlugin.cmake).
struct PluginNote {
  std::uint32_t abi = 0;  // CALM_ABI(major, minor)
  std::string id;
  std::vector<NoteEntry> provides;

  bool operator==(const PluginNote &) const = default;
};

/// Reads the note of a shared object for this machine with bounded reads, running nothing of it.
/// Throws Error: CALM_CORRUPT_DATA for what is not a whole ELF file with one well-formed note,
/// CALM_UNSUPPORTED for another machine, CALM_IO when reading fails. The message names no path.
/// [any]
PluginNote read_plugin_note(const calm_stream &file);

/// "backend" for CALM_KIND_BACKEND and so on; empty for an unknown kind.
std::string_view kind_name(calm_kind kind) noexcept;
/// The reverse; 0 for an unknown name.
calm_kind kind_number(std::string_view name) noexcept;

}  // namespace calm
