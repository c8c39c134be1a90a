#include "core/plugin/registry.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <map>
#include <utility>

#include <calm/cpp/error.hpp>

#include "core/base/file.hpp"
#include "core/base/log.hpp"
#include "core/base/suggest.hpp"
#include "core/plugin/border.hpp"
#include "core/plugin/loader.hpp"
#include "core/plugin/probe.hpp"

namespace calm {
namespace {

struct Failure {
  calm_status status;
  std::string message;
};

template <class Table>
using Tables = std::map<std::string, BorderedTable<Table>, std::less<>>;  // by "id/revision"

// The reason stands beside the path wherever it is shown.
std::string without_path(std::string_view reason, const std::string &path) {
  const std::string prefix = path + ": ";
  return std::string(reason.substr(reason.rfind(prefix, 0) == 0 ? prefix.size() : 0));
}

}  // namespace

struct PluginRegistry::Impl {
  std::vector<SearchFolder> folders;
  std::vector<PluginFile> files;
  std::vector<ProvidedItem> items;
  std::vector<std::string> warnings;
  std::map<std::string, LoadedPlugin, std::less<>> loaded;  // by path
  std::map<std::string, Failure, std::less<>> failed;       // by path

  Tables<calm_backend> backends;
  Tables<calm_format> formats;
  Tables<calm_tokenizer> tokenizers;
  Tables<calm_model> models;
  Tables<calm_trainer> trainers;
  Tables<calm_domain> domains;
  Tables<calm_operator> operators;

  void warn(std::string text) {
    log_line(CALM_LOG_WARN, text);
    warnings.push_back(std::move(text));
  }

  void scan(const SearchOptions &options);
  void read_note(PluginFile *file);
  void add_items(const PluginFile &file);

  const ProvidedItem *find(std::string_view kind, std::string_view id,
                           std::uint32_t revision = 0) const;
  const ProvidedItem &require(std::string_view kind, std::string_view id) const;
  std::vector<std::string> ids(std::string_view kind) const;
  std::vector<std::string> providers(std::string_view kind, std::string_view id) const;
  std::string searched() const;

  const LoadedPlugin &load(std::string_view path);
  const void *vtable(const ProvidedItem &item);

  template <class Table>
  const Table &table(const ProvidedItem &item, Tables<Table> *cache);
  template <class Table>
  const Table &get(std::string_view kind, std::string_view id, Tables<Table> *cache);
};

void PluginRegistry::Impl::scan(const SearchOptions &options) {
  SearchResult found = search_plugins(options);
  folders = std::move(found.folders);
  for (const SearchFolder &folder : folders) {
    if (!folder.skipped.empty() && !folder.absent) {
      warn(fmt::format("no plugins are taken from {} ({}): {}", folder.path, folder.source,
                       folder.skipped));
    }
  }
  for (SearchFile &candidate : found.files) {
    PluginFile file;
    file.path = std::move(candidate.path);
    file.skipped = std::move(candidate.skipped);
    if (file.skipped.empty()) {
      read_note(&file);
    }
    if (file.skipped.empty()) {
      add_items(file);
    } else {
      log_debug("{} was skipped: {}", file.path, file.skipped);
    }
    files.push_back(std::move(file));
  }
}

void PluginRegistry::Impl::read_note(PluginFile *file) {
  try {
    const InputFile input(file->path);
    file->note = read_plugin_note(input.stream());
  } catch (const Error &e) {
    if (e.status() == CALM_OUT_OF_MEMORY) {
      throw;
    }
    file->skipped = without_path(e.what(), file->path);
    return;
  }
  const PluginNote &note = file->note;
  if (note.abi >> 16 != CALM_ABI_MAJOR) {
    file->skipped = fmt::format(
        "made for plugin ABI {}, this program speaks {}: rebuild the plugin or update the program",
        abi_text(note.abi), abi_text(CALM_ABI_CURRENT));
    return;
  }
  const auto same = std::find_if(files.begin(), files.end(), [&note](const PluginFile &other) {
    return other.skipped.empty() && other.note.id == note.id;
  });
  if (same != files.end()) {
    file->skipped = fmt::format("the plugin id \"{}\" is taken by {}", note.id, same->path);
    file->duplicate = true;
    warn(fmt::format("two plugins are named \"{}\": {} is used, {} is not", note.id, same->path,
                     file->path));
  }
}

void PluginRegistry::Impl::add_items(const PluginFile &file) {
  for (const NoteEntry &entry : file.note.provides) {
    if (kind_number(entry.kind) == 0) {
      log_debug("{}: the kind of {}:{} is not known here", file.path, entry.kind, entry.id);
      continue;
    }
    ProvidedItem item{entry.kind,    entry.id, entry.revision, file.note.id, file.path,
                      file.note.abi, {}};
    if (const ProvidedItem *first = find(item.kind, item.id, item.revision)) {
      item.shadowed_by = first->path;
      warn(fmt::format("two plugins provide {} \"{}\": the one of {} is used, that of {} is not",
                       item.kind, item.id, first->path, item.path));
    }
    items.push_back(std::move(item));
  }
}

const ProvidedItem *PluginRegistry::Impl::find(std::string_view kind, std::string_view id,
                                               std::uint32_t revision) const {
  for (const ProvidedItem &item : items) {
    if (item.kind == kind && item.id == id && item.shadowed_by.empty() &&
        (revision == 0 || item.revision == revision)) {
      return &item;
    }
  }
  return nullptr;
}

std::vector<std::string> PluginRegistry::Impl::ids(std::string_view kind) const {
  std::vector<std::string> result;
  for (const ProvidedItem &item : items) {
    if (item.kind == kind && std::find(result.begin(), result.end(), item.id) == result.end()) {
      result.push_back(item.id);
    }
  }
  return result;
}

std::string PluginRegistry::Impl::searched() const {
  std::vector<std::string> places;
  for (const SearchFolder &folder : folders) {
    places.push_back(folder.skipped.empty() ? folder.path
                                            : fmt::format("{} ({})", folder.path, folder.skipped));
  }
  return places.empty() ? "nowhere" : fmt::format("{}", fmt::join(places, ", "));
}

const ProvidedItem &PluginRegistry::Impl::require(std::string_view kind,
                                                  std::string_view id) const {
  if (const ProvidedItem *item = find(kind, id)) {
    return *item;
  }
  for (const PluginFile &file : files) {
    for (const NoteEntry &entry : file.note.provides) {
      if (!file.skipped.empty() && entry.kind == kind && entry.id == id) {
        throw Error(CALM_NOT_FOUND, fmt::format("{} \"{}\": {} was skipped: {}", kind, id,
                                                file.path, file.skipped));
      }
    }
  }
  // What cannot be read says nothing of what it provides, but its name may.
  for (const PluginFile &file : files) {
    if (!file.skipped.empty() && std::filesystem::path(file.path).stem() == id) {
      throw Error(CALM_NOT_FOUND, fmt::format("no {} is named \"{}\"; {} was skipped: {}", kind, id,
                                              file.path, file.skipped));
    }
  }
  const std::vector<std::string> known = ids(kind);
  std::string message = fmt::format("no {} is named \"{}\"", kind, id);
  message += known.empty() ? fmt::format("; no plugin provides a {}", kind)
                           : fmt::format("; there is {}", fmt::join(known, ", "));
  message += fmt::format("; looked in {}", searched());
  const auto skipped = std::count_if(files.begin(), files.end(),
                                     [](const PluginFile &file) { return !file.skipped.empty(); });
  if (skipped > 0) {
    message += fmt::format("; {} files were skipped (calm plugins -v says why)", skipped);
  }
  throw Error(CALM_NOT_FOUND, message + did_you_mean(id, known));
}

// Who provides it, used or not, in search order.
std::vector<std::string> PluginRegistry::Impl::providers(std::string_view kind,
                                                         std::string_view id) const {
  std::vector<std::string> paths;
  for (const PluginFile &file : files) {
    const auto provides = [&](const NoteEntry &entry) {
      return entry.kind == kind && entry.id == id;
    };
    if ((file.skipped.empty() || file.duplicate) &&
        std::any_of(file.note.provides.begin(), file.note.provides.end(), provides)) {
      paths.push_back(file.path);
    }
  }
  return paths;
}

const LoadedPlugin &PluginRegistry::Impl::load(std::string_view path) {
  if (const auto at = loaded.find(path); at != loaded.end()) {
    return at->second;
  }
  if (const auto at = failed.find(path); at != failed.end()) {
    throw Error(at->second.status, at->second.message);
  }
  const auto file = std::find_if(files.begin(), files.end(),
                                 [path](const PluginFile &f) { return f.path == path; });
  if (file == files.end() || !file->skipped.empty()) {
    throw Error(CALM_NOT_FOUND,
                fmt::format("{}: {}", path,
                            file == files.end() ? "not among the plugins found" : file->skipped));
  }
  std::vector<std::string> complaints;
  const auto tell = [&] {
    for (const std::string &complaint : complaints) {
      warn(fmt::format("plugin \"{}\" of {}: {}", file->note.id, file->path, complaint));
    }
  };
  try {
    LoadedPlugin plugin = load_plugin(file->path, file->note, &complaints);
    tell();
    log_debug("{} was loaded", file->path);
    return loaded.emplace(file->path, std::move(plugin)).first->second;
  } catch (const Error &e) {
    tell();
    file->load_error = without_path(e.what(), file->path);
    const std::string message = fmt::format("{}: {}", file->path, file->load_error);
    failed.emplace(file->path, Failure{e.status(), message});
    throw Error(e.status(), message);
  }
}

const void *PluginRegistry::Impl::vtable(const ProvidedItem &item) {
  for (const calm_provided &provided : load(item.path).provides) {
    if (kind_name(provided.kind) == item.kind && view(provided.id) == item.id &&
        provided.revision == item.revision) {
      return provided.vtable;
    }
  }
  throw Error(CALM_INTERNAL,
              fmt::format("{}: {} \"{}\" is not in the descriptor", item.path, item.kind, item.id));
}

template <class Table>
const Table &PluginRegistry::Impl::table(const ProvidedItem &item, Tables<Table> *cache) {
  const std::string key = fmt::format("{}/{}", item.id, item.revision);
  if (const auto at = cache->find(key); at != cache->end()) {
    return at->second.table();
  }
  const void *given = vtable(item);
  MissingSlots missing;
  const BorderedTable<Table> *made = nullptr;
  try {
    const std::string owner = fmt::format("{} \"{}\" of {}", item.kind, item.id, item.path);
    made = &cache->try_emplace(key, given, owner, &missing).first->second;
  } catch (const Error &e) {
    throw Error(e.status(),
                fmt::format("{}: {} \"{}\": {}", item.path, item.kind, item.id, e.what()));
  }
  if (!missing.absent.empty()) {
    warn(fmt::format("{} \"{}\" of {} does not provide {}", item.kind, item.id, item.path,
                     fmt::join(missing.absent, ", ")));
  }
  if (!missing.newer.empty()) {
    log_debug("{} \"{}\" of {} is older than {}", item.kind, item.id, item.path,
              fmt::join(missing.newer, ", "));
  }
  return made->table();
}

template <class Table>
const Table &PluginRegistry::Impl::get(std::string_view kind, std::string_view id,
                                       Tables<Table> *cache) {
  try {
    return table(require(kind, id), cache);
  } catch (const Error &e) {
    const bool other = kind == "backend" && e.status() != CALM_OUT_OF_MEMORY;
    throw Error(other ? CALM_UNAVAILABLE : e.status(), e.what());
  }
}

PluginRegistry::PluginRegistry(const SearchOptions &options) : impl_(std::make_unique<Impl>()) {
  impl_->scan(options);
}

PluginRegistry::~PluginRegistry() = default;

const std::vector<SearchFolder> &PluginRegistry::folders() const noexcept { return impl_->folders; }

const std::vector<PluginFile> &PluginRegistry::files() const noexcept { return impl_->files; }

const std::vector<std::string> &PluginRegistry::warnings() const noexcept {
  return impl_->warnings;
}

std::vector<ProvidedItem> PluginRegistry::provided(std::string_view kind) const {
  std::vector<ProvidedItem> result;
  for (const ProvidedItem &item : impl_->items) {
    if (kind.empty() || item.kind == kind) {
      result.push_back(item);
    }
  }
  return result;
}

std::vector<std::string> PluginRegistry::ids(std::string_view kind) const {
  return impl_->ids(kind);
}

bool PluginRegistry::has(std::string_view kind, std::string_view id) const {
  return impl_->find(kind, id) != nullptr;
}

std::string PluginRegistry::path(std::string_view kind, std::string_view id) const {
  const ProvidedItem *item = impl_->find(kind, id);
  return item == nullptr ? std::string() : item->path;
}

void PluginRegistry::require_one(std::string_view kind, std::string_view id) const {
  const std::vector<std::string> paths = impl_->providers(kind, id);
  if (paths.size() > 1) {
    throw Error(kind == "backend" ? CALM_UNAVAILABLE : CALM_INVALID_ARGUMENT,
                fmt::format("{} \"{}\" is provided by more than one plugin: {}; remove all but one",
                            kind, id, fmt::join(paths, ", ")));
  }
}

const calm_backend &PluginRegistry::backend(std::string_view id) {
  return impl_->get("backend", id, &impl_->backends);
}

const calm_format &PluginRegistry::format(std::string_view id) {
  return impl_->get("format", id, &impl_->formats);
}

const calm_tokenizer &PluginRegistry::tokenizer(std::string_view id) {
  return impl_->get("tokenizer", id, &impl_->tokenizers);
}

const calm_model &PluginRegistry::model(std::string_view id) {
  return impl_->get("model", id, &impl_->models);
}

const calm_trainer &PluginRegistry::trainer(std::string_view id) {
  return impl_->get("trainer", id, &impl_->trainers);
}

const calm_domain &PluginRegistry::domain(std::string_view id) {
  return impl_->get("domain", id, &impl_->domains);
}

const calm_operator *PluginRegistry::find_operator(std::string_view id, std::uint32_t revision) {
  const ProvidedItem *item = impl_->find("operator", id, revision);
  if (item == nullptr) {
    return nullptr;
  }
  const calm_operator &table = impl_->table(*item, &impl_->operators);
  if (table.lower == nullptr) {
    throw Error(
        CALM_UNSUPPORTED,
        fmt::format("{}: operator \"{}\": expected a lowering, found none", item->path, id));
  }
  return &table;
}

std::vector<OperatorEntry> PluginRegistry::operators() {
  std::vector<OperatorEntry> result;
  for (const ProvidedItem &item : provided("operator")) {
    if (!item.shadowed_by.empty()) {
      continue;
    }
    try {
      result.push_back({item.id, item.revision, find_operator(item.id, item.revision)});
    } catch (const Error &e) {
      if (e.status() == CALM_OUT_OF_MEMORY) {
        throw;
      }
      impl_->warn(fmt::format("operator \"{}\" cannot be used: {}", item.id, e.what()));
    }
  }
  return result;
}

void PluginRegistry::try_out(std::string_view path) {
  constexpr std::chrono::seconds kPatience{10};
  const auto file = std::find_if(impl_->files.begin(), impl_->files.end(),
                                 [path](const PluginFile &f) { return f.path == path; });
  if (file == impl_->files.end() || !file->skipped.empty() || impl_->loaded.count(path) > 0 ||
      impl_->failed.count(path) > 0) {
    return;
  }
  file->load_error = probe_plugin(file->path, file->note, kPatience);
  if (!file->load_error.empty()) {
    impl_->failed.emplace(
        path, Failure{CALM_INTERNAL, fmt::format("{}: {}", file->path, file->load_error)});
  }
}

PluginDetails PluginRegistry::details(std::string_view path) {
  const calm_plugin &plugin = impl_->load(path).descriptor;
  PluginDetails details;
  details.version = copy(plugin.version);
  details.vendor = copy(plugin.vendor);
  details.license = copy(plugin.license);
  details.description = copy(plugin.description);
  details.compiler = copy(plugin.build.compiler);
  details.debug = plugin.build.debug != 0;
  return details;
}

}  // namespace calm
