#include "frontends/cli/default_model.hpp"

#include <cstdlib>
#include <filesystem>
#include <system_error>

#include <fmt/format.h>

#include <calm/cpp/error.hpp>

namespace calm::cli {

namespace {

namespace fs = std::filesystem;

// The XDG base directory specification: a relative value is to be ignored.
fs::path data_folder() {
  const char *data = std::getenv("XDG_DATA_HOME");
  if (data != nullptr && fs::path(data).is_absolute()) {
    return data;
  }
  const char *home = std::getenv("HOME");
  return home != nullptr && fs::path(home).is_absolute() ? fs::path(home) / ".local/share"
                                                         : fs::path();
}

}  // namespace

std::string find_model(const std::string &given, std::string_view file) {
  if (!given.empty()) {
    return given;
  }
  const fs::path folder = data_folder();
  const fs::path path = folder / "calm" / file;
  std::error_code error;
  if (folder.empty() || !fs::exists(path, error)) {
    throw Error(CALM_IO, fmt::format("no model: looked for -m MODEL, $CALM_MODEL and {}",
                                     folder.empty() ? "a data folder" : path.string()));
  }
  return path.string();
}

}  // namespace calm::cli
