#include "core/plugin/loader.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <boost/dll/shared_library.hpp>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include <calm/cpp/error.hpp>

#include "core/base/file.hpp"
#include "core/base/plugin_scope.hpp"
#include "core/plugin/process_state.hpp"
#include "core/plugin/tables.hpp"
#include "core/text/printable.hpp"

namespace calm {
namespace {

constexpr const char *kEntry = "calm_plugin_query";
constexpr std::uint32_t kMaxProvides = 1024;
constexpr std::uint64_t kMaxText = 4096;

// Handles are held for ever: code of a plugin may still run while the process ends.
boost::dll::shared_library &open_library(const std::string &path) {
  static auto *const libraries = new std::vector<std::unique_ptr<boost::dll::shared_library>>;
  auto library = std::make_unique<boost::dll::shared_library>();
  std::error_code error;
  errno = 0;
  library->load(std::filesystem::path(path),
                boost::dll::load_mode::rtld_now | boost::dll::load_mode::rtld_local, error);
  if (error) {
    const bool no_memory = errno == ENOMEM;
    const char *words = ::dlerror();
    if (no_memory ||
        (words != nullptr && std::strstr(words, ::strerrordesc_np(ENOMEM)) != nullptr)) {
      throw Error(CALM_OUT_OF_MEMORY, "cannot load: memory ran out");
    }
    throw Error(CALM_FAILED, fmt::format("cannot load: {}",
                                         words != nullptr ? std::string(words) : error.message()));
  }
  libraries->push_back(std::move(library));
  return *libraries->back();
}

const calm_plugin *query(boost::dll::shared_library &library, calm_error *error) {
  if (!library.has(kEntry)) {
    throw Error(CALM_INTERNAL, fmt::format("expected the symbol {}, found none", kEntry));
  }
  auto &entry = library.get<std::remove_pointer_t<calm_plugin_query_fn>>(kEntry);
  try {
    return entry(CALM_ABI(CALM_ABI_MAJOR, 0), CALM_ABI_CURRENT, error);
  } catch (const std::exception &e) {
    throw Error(CALM_INTERNAL, fmt::format("{} threw an exception: {}", kEntry, e.what()));
  } catch (...) {
    throw Error(CALM_INTERNAL, fmt::format("{} threw an exception", kEntry));
  }
}

calm_plugin copy_descriptor(const calm_plugin &given) {
  constexpr std::size_t kLeast = offsetof(calm_plugin, provides) + sizeof(calm_table);
  if (given.size < kLeast) {
    throw Error(CALM_INTERNAL, fmt::format("descriptor: expected at least {} bytes, found {}",
                                           kLeast, given.size));
  }
  calm_plugin descriptor{};
  std::memcpy(&descriptor, &given, std::min<std::size_t>(given.size, sizeof descriptor));
  descriptor.size = sizeof descriptor;
  const std::pair<calm_str, std::string_view> texts[] = {
      {descriptor.id, "id"},
      {descriptor.version, "version"},
      {descriptor.vendor, "vendor"},
      {descriptor.license, "license"},
      {descriptor.description, "description"},
      {descriptor.build.compiler, "compiler"},
  };
  for (const auto &[text, name] : texts) {
    check_text(text, fmt::format("descriptor: {}", name), kMaxText);
  }
  if ((descriptor.flags & CALM_PLUGIN_USES_DRAFT) != 0) {
    throw Error(CALM_VERSION, "uses draft interfaces, which this program does not offer");
  }
  const calm_table &provides = descriptor.provides;
  if (provides.base == nullptr || provides.count == 0 || provides.count > kMaxProvides ||
      provides.stride < sizeof(calm_provided) || provides.stride % alignof(calm_provided) != 0) {
    throw Error(CALM_INTERNAL,
                fmt::format("descriptor: provides: expected 1 to {} records of at least {} bytes, "
                            "found {} of {}",
                            kMaxProvides, sizeof(calm_provided), provides.count, provides.stride));
  }
  return descriptor;
}

std::string entry_text(const NoteEntry &entry) {
  return fmt::format("{}:{}/{}", entry.kind, entry.id, entry.revision);
}

// The note is what was chosen by, so it must be the truth, in both directions.
void compare(const LoadedPlugin &plugin, const PluginNote &note) {
  if (view(plugin.descriptor.id) != note.id) {
    throw Error(CALM_INTERNAL,
                fmt::format("expected the plugin id \"{}\" of its note, found \"{}\"", note.id,
                            view(plugin.descriptor.id)));
  }
  std::vector<NoteEntry> promised;
  for (const NoteEntry &entry : note.provides) {
    if (kind_number(entry.kind) != 0) {
      promised.push_back(entry);
    }
  }
  for (const calm_provided &provided : plugin.provides) {
    const NoteEntry entry{std::string(kind_name(provided.kind)), copy(provided.id),
                          provided.revision};
    const auto at = std::find(promised.begin(), promised.end(), entry);
    if (at == promised.end()) {
      throw Error(CALM_INTERNAL,
                  fmt::format("its descriptor provides {}, its note does not", entry_text(entry)));
    }
    promised.erase(at);
  }
  if (!promised.empty()) {
    throw Error(CALM_INTERNAL, fmt::format("its note provides {}, its descriptor does not",
                                           entry_text(promised.front())));
  }
}

// What was chosen by its note is read again right before it is mapped: the folders were judged so
// that nobody but the user and root can have changed it since, and a package manager that did is
// noticed. Loading the very descriptor that was read (/proc/self/fd/N) would close the rest of that
// gap and break what the linker finds beside a library ($ORIGIN), its name in a debugger, and
// systems without /proc; a file that is cut while it is being mapped would still be a signal, which
// then names it.
void read_again(const std::string &path, const PluginNote &note) {
  const InputFile file(path);
  if (!(read_plugin_note(file.stream()) == note)) {
    throw Error(CALM_BUSY, "changed since it was listed: try again");
  }
}

LoadedPlugin load_and_ask(const std::string &path, const PluginNote &note) {
  calm_error error{};
  const calm_plugin *given = query(open_library(path), &error);
  if (given == nullptr) {
    check(error.code == CALM_OK ? CALM_VERSION : error.code, error, "the plugin refused this host");
  }
  LoadedPlugin plugin;
  plugin.descriptor = copy_descriptor(*given);
  for (std::uint32_t i = 0; i < plugin.descriptor.provides.count; ++i) {
    const auto &provided = record<calm_provided>(plugin.descriptor.provides, i);
    if (!kind_name(provided.kind).empty()) {
      check_text(provided.id, "provides", kMaxText);
      plugin.provides.push_back(provided);
    }
  }
  compare(plugin, note);
  return plugin;
}

}  // namespace

LoadedPlugin load_plugin(const std::string &path, const PluginNote &note,
                         std::vector<std::string> *warnings) {
  read_again(path, note);
  const std::string who = text::printable(path, text::LineFeeds::kEscape);
  ProcessState state;
  try {
    const PluginScope scope(who.c_str(), "while it was being loaded");
    LoadedPlugin plugin = load_and_ask(path, note);
    state.restore(warnings);
    return plugin;
  } catch (...) {
    state.restore(warnings);
    throw;
  }
}

std::string abi_text(std::uint32_t abi) { return fmt::format("{}.{}", abi >> 16, abi & 0xffffu); }

}  // namespace calm
