#pragma once

#include <calm/backend.h>
#include <calm/domain.h>
#include <calm/format.h>
#include <calm/model.h>
#include <calm/operator.h>
#include <calm/plugin.h>
#include <calm/tokenizer.h>
#include <calm/trainer.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/plugin/elf_note.hpp"
#include "core/plugin/search.hpp"

namespace calm {

/// A file that was found, loaded or not.
struct PluginFile {
  std::string path;
  PluginNote note;         // empty when it could not be read
  std::string skipped;     // why it is not used; empty when it is
  std::string load_error;  // why loading it failed; empty when it did not (yet)
  bool duplicate = false;  // skipped since another file has its plugin id
};

/// One line of `calm plugins`.
struct ProvidedItem {
  std::string kind;
  std::string id;
  std::uint32_t revision = 0;
  std::string plugin;  // id of the plugin
  std::string path;
  std::uint32_t abi = 0;
  std::string
      shadowed_by;  // path of the plugin that comes first with the same thing; empty: in use
};

/// What only a loaded plugin can tell; text is the plugin's own and untrusted.
struct PluginDetails {
  std::string version, vendor, license, description, compiler;
  bool debug = false;
};

struct OperatorEntry {
  std::string id;
  std::uint32_t revision = 0;
  const calm_operator *table = nullptr;
};

/// The plugins this process can use. Scanning reads ELF notes only; a library is loaded when
/// something of it is first asked for, and stays loaded until the process ends, whatever becomes of
/// the registry.
///
/// The tables given out are the registry's (BorderedTable), of this host's size, valid as long as
/// it lives. A function the plugin does not have is a stub: CALM_UNSUPPORTED where there is a
/// status, nothing or 0 else. So no caller looks for null, save in what the headers call optional:
/// operator.gradient, domain.import, .gather_context, .filter. [session]
class PluginRegistry {
 public:
  /// Scans. Duplicates are logged as warnings. Throws what search_plugins throws; a bad file is
  /// listed, never thrown.
  explicit PluginRegistry(const SearchOptions &options);
  ~PluginRegistry();
  PluginRegistry(const PluginRegistry &) = delete;
  PluginRegistry &operator=(const PluginRegistry &) = delete;

  const std::vector<SearchFolder> &folders() const noexcept;
  const std::vector<PluginFile> &files() const noexcept;
  /// Duplicates, plugins that misbehaved while being loaded; logged when they were found.
  const std::vector<std::string> &warnings() const noexcept;
  /// Everything usable files list, in search order; one kind only when `kind` is not empty.
  std::vector<ProvidedItem> provided(std::string_view kind = {}) const;
  /// Ids in use of one kind, in search order.
  std::vector<std::string> ids(std::string_view kind) const;
  bool has(std::string_view kind, std::string_view id) const;
  /// The file whose plugin serves that id; empty when none does.
  std::string path(std::string_view kind, std::string_view id) const;

  /// For what a person asked for by name. Of two plugins that provide one thing the first in search
  /// order serves, with a warning; but whoever names it must know which it is: throws Error naming
  /// both files, CALM_UNAVAILABLE for a backend, else CALM_INVALID_ARGUMENT.
  void require_one(std::string_view kind, std::string_view id) const;

  /// Each loads on demand. Throws Error: nothing of that id -> CALM_NOT_FOUND with the nearest name
  /// and the folders searched; its plugin cannot be used -> CALM_VERSION or CALM_INTERNAL naming
  /// the file. A backend is CALM_UNAVAILABLE in both cases.
  const calm_backend &backend(std::string_view id);
  const calm_format &format(std::string_view id);
  const calm_tokenizer &tokenizer(std::string_view id);
  const calm_model &model(std::string_view id);
  const calm_trainer &trainer(std::string_view id);
  const calm_domain &domain(std::string_view id);

  /// An operator of a plugin (always with a lowering), or null when no plugin lists it.
  const calm_operator *find_operator(std::string_view id, std::uint32_t revision);
  /// All of them; loads their plugins. Those that cannot be used are warned about and left out.
  std::vector<OperatorEntry> operators();

  /// Loads the plugin of that path in a child process first (probe_plugin): one that would take
  /// this process with it, or never return, cannot be loaded from then on. For listings.
  void try_out(std::string_view path);

  /// Loads the plugin of that path (of ProvidedItem) when it is not yet. Throws like backend().
  PluginDetails details(std::string_view path);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace calm
