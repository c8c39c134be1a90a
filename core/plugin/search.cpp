#include "core/plugin/search.hpp"

#include <calm/base.h>
#include <dirent.h>
#include <dlfcn.h>
#include <fmt/format.h>
#include <link.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <new>
#include <set>
#include <system_error>

#include <calm/cpp/error.hpp>

namespace calm {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPluginFolder = "lib/calm/plugins";

std::string variable(const char *name) {
  const char *value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

// The file this code was loaded from: the program, or a library that holds the core.
fs::path own_module() {
  Dl_info info{};
  void *extra = nullptr;
  std::error_code error;
  const void *here = reinterpret_cast<const void *>(&search_plugins);
  if (::dladdr1(here, &info, &extra, RTLD_DL_LINKMAP) != 0 && extra != nullptr) {
    const char *name = static_cast<const link_map *>(extra)->l_name;
    // For the program itself the name is empty, and dladdr's is argv[0], which may be anything.
    if (name != nullptr && name[0] != '\0') {
      return fs::canonical(name, error);
    }
  }
  return fs::read_symlink("/proc/self/exe", error);
}

std::string user_folder() {
  // The XDG base directory specification: a relative value is to be ignored.
  const std::string data = variable("XDG_DATA_HOME");
  if (fs::path(data).is_absolute()) {
    return data + "/calm/plugins";
  }
  const std::string home = variable("HOME");
  return fs::path(home).is_absolute() ? home + "/.local/share/calm/plugins" : std::string();
}

// Whether the owner and the mode of one file or folder let others change it.
std::string distrust_one(const std::string &path, bool parent) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) {
    return fmt::format("{}: {}", path, std::generic_category().message(errno));
  }
  if (status.st_uid != 0 && status.st_uid != ::geteuid()) {
    return fmt::format("{} belongs to user {}: expected root or the user who runs calm", path,
                       status.st_uid);
  }
  const bool sticky = parent && (status.st_mode & S_ISVTX) != 0;
  if ((status.st_mode & S_IWOTH) != 0 && !sticky) {
    return fmt::format("{} is writable by everyone (chmod go-w it)", path);
  }
  if ((status.st_mode & S_IWGRP) != 0 && !sticky) {
    return fmt::format("{} is writable by its group (chmod go-w it)", path);
  }
  return {};
}

// The same for a folder that holds one and for its parents, up to and without `stop`.
std::string distrust_parents(fs::path at, const fs::path &stop = {}) {
  while (at != stop) {
    std::string why = distrust_one(at.string(), true);
    if (!why.empty() || at == at.parent_path()) {
      return why;
    }
    at = at.parent_path();
  }
  return {};
}

struct Place {
  SearchFolder folder;
  std::string stop;    // parents from here on are not looked at
  bool named = false;  // by the user, who is told when it is missing
};

void check_entry(const std::string &entry, std::string_view source) {
  if (entry.empty()) {
    throw Error(CALM_INVALID_ARGUMENT,
                fmt::format("{}: expected absolute folders, found an empty entry", source));
  }
  if (entry.front() != '/') {
    throw Error(CALM_INVALID_ARGUMENT,
                fmt::format("{}: expected an absolute folder, found \"{}\"", source, entry));
  }
}

// Member by member: gcc 12 frees what is made so far twice when a nested braced list runs out of
// memory (bug 52320).
Place make_place(const std::string &path, std::string_view source) {
  Place place;
  place.folder.path = path;
  place.folder.source = source;
  return place;
}

std::vector<Place> places_of(const SearchOptions &options) {
  std::vector<Place> places;
  const auto add_named = [&places](const std::string &entry, std::string_view source) {
    check_entry(entry, source);
    places.push_back(make_place(entry, source));
    places.back().named = true;
  };
  for (const std::string &entry : options.plugin_path) {
    add_named(entry, "--plugin-path");
  }
  if (options.environment.has_value() && !options.environment->empty()) {
    const std::string &list = *options.environment;
    std::size_t start = 0;
    for (std::size_t end = 0; end != std::string::npos; start = end + 1) {
      end = list.find(':', start);
      add_named(list.substr(start, end == std::string::npos ? end : end - start),
                "CALM_PLUGIN_PATH");
    }
  }
  if (!options.prefix.empty()) {
    places.push_back(
        make_place((fs::path(options.prefix) / kPluginFolder).string(), "installation"));
    places.back().stop = options.prefix;
  }
  if (!options.user.empty()) {
    places.push_back(make_place(options.user, "user"));
  }
  return places;
}

// Names ending in .so, in byte order, so that what wins never depends on the file system. Not a
// std::filesystem::directory_iterator: without memory its step ends the program (it is noexcept).
std::vector<fs::path> libraries_in(const fs::path &folder, std::error_code *error) {
  std::vector<fs::path> found;
  const auto close = [](DIR *open) { ::closedir(open); };
  const std::unique_ptr<DIR, decltype(close)> open(::opendir(folder.c_str()), close);
  while (open != nullptr) {
    errno = 0;
    const dirent *entry = ::readdir(open.get());
    if (entry == nullptr) {
      break;
    }
    constexpr std::string_view kEnding = ".so";
    const std::string_view name = entry->d_name;
    if (name.size() > kEnding.size() && name.substr(name.size() - kEnding.size()) == kEnding) {
      found.push_back(folder / name);
    }
  }
  if (errno != 0) {
    *error = std::error_code(errno, std::generic_category());
  }
  std::sort(found.begin(), found.end(),
            [](const fs::path &a, const fs::path &b) { return a.native() < b.native(); });
  return found;
}

// A folder is not worth less because there is no memory to look at it.
void stop_without_memory(const std::error_code &error) {
  if (error == std::errc::not_enough_memory) {
    throw std::bad_alloc();
  }
}

void read_folder(Place *place, std::set<std::string> *seen, SearchResult *result) {
  std::string &skipped = place->folder.skipped;
  std::error_code error;
  const fs::path folder = fs::canonical(place->folder.path, error);
  if (error) {
    stop_without_memory(error);
    skipped = error.message();
    place->folder.absent = !place->named && error == std::errc::no_such_file_or_directory;
    return;
  }
  if (!fs::is_directory(folder, error)) {
    skipped = "not a folder";
    return;
  }
  // Links may have led elsewhere: then the stop is never met and every parent counts.
  const fs::path stop = place->stop.empty() ? fs::path() : fs::canonical(place->stop, error);
  skipped = distrust_one(folder.string(), false);
  if (skipped.empty()) {
    skipped = distrust_parents(folder.parent_path(), stop);
  }
  if (!skipped.empty()) {
    return;
  }
  std::vector<fs::path> libraries = libraries_in(folder, &error);
  if (error) {
    stop_without_memory(error);
    skipped = error.message();
    return;
  }
  for (const fs::path &library : libraries) {
    const fs::path real = fs::canonical(library, error);
    if (error) {
      stop_without_memory(error);
      result->files.push_back({library.string(), error.message()});
    } else if (seen->insert(real.string()).second) {
      std::string why = distrust_one(real.string(), false);
      if (why.empty() && real.parent_path() != folder) {
        why = distrust_parents(real.parent_path());
      }
      result->files.push_back({real.string(), std::move(why)});
    }
  }
}

}  // namespace

SearchOptions default_search(std::vector<std::string> plugin_path) {
  SearchOptions options;
  options.plugin_path = std::move(plugin_path);
  // PREFIX/bin/calm or PREFIX/lib/libcalm….so
  options.prefix = own_module().parent_path().parent_path().string();
  if (::getauxval(AT_SECURE) == 0) {
    if (const char *list = std::getenv("CALM_PLUGIN_PATH")) {
      options.environment = list;
    }
    options.user = user_folder();
  }
  return options;
}

SearchResult search_plugins(const SearchOptions &options) {
  SearchResult result;
  std::set<std::string> seen;
  for (Place &place : places_of(options)) {
    read_folder(&place, &seen, &result);
    result.folders.push_back(std::move(place.folder));
  }
  return result;
}

}  // namespace calm
