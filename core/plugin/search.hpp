#pragma once

#include <optional>
#include <string>
#include <vector>

namespace calm {

/// Where plugins are looked for, in this order. Every entry must be an absolute path; the working
/// directory is never searched.
struct SearchOptions {
  std::vector<std::string> plugin_path;    // --plugin-path, one folder an entry
  std::optional<std::string> environment;  // CALM_PLUGIN_PATH, folders separated by colons
  std::string prefix;                      // holds lib/calm/plugins; empty: none
  std::string user;                        // the per-user folder; empty: none
};

/// The options of this process: CALM_PLUGIN_PATH, the prefix of the module that holds the core
/// (PREFIX/bin/calm or PREFIX/lib/…), $XDG_DATA_HOME/calm/plugins or ~/.local/share/calm/plugins.
/// A process with raised privileges (AT_SECURE) uses nothing from its environment. [any]
SearchOptions default_search(std::vector<std::string> plugin_path = {});

/// A folder of the search order.
struct SearchFolder {
  std::string path;     // as given
  std::string source;   // "--plugin-path", "CALM_PLUGIN_PATH", "installation", "user"
  std::string skipped;  // why nothing was taken from it; empty when it was read
  bool absent = false;  // it is not there, and nobody said it was
};

/// A file whose name ends in .so.
struct SearchFile {
  std::string path;     // links resolved
  std::string skipped;  // why it must not be loaded; empty when it may
};

struct SearchResult {
  std::vector<SearchFolder> folders;
  std::vector<SearchFile> files;  // folders in search order, names in byte order, each file once
};

/// Lists the files. Throws Error(CALM_INVALID_ARGUMENT) naming an empty or relative entry.
///
/// A folder or file is skipped unless root or the effective user owns it and neither its group nor
/// the world may write to it; the same holds for every parent. Two exceptions, for parents only: a
/// sticky folder owned by root (/tmp) may be world-writable, since nobody else can replace an entry
/// there, and what lies above `prefix` is not looked at, since who can write there can replace the
/// program itself.
SearchResult search_plugins(const SearchOptions &options);

}  // namespace calm
