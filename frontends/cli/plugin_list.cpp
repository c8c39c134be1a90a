#include "frontends/cli/plugin_list.hpp"

#include <string>

#include <fmt/format.h>

namespace calm::cli {

namespace {

std::string state_of(const PluginFile &file) {
  if (!file.skipped.empty()) {
    return "skipped: " + file.skipped;
  }
  return file.load_error.empty() ? "usable" : "cannot be loaded: " + file.load_error;
}

std::string state_of(const SearchFolder &folder) {
  if (folder.absent) {
    return "absent";
  }
  return folder.skipped.empty() ? "read" : "skipped: " + folder.skipped;
}

}  // namespace

Json describe_search(const PluginRegistry &plugins) {
  Json json;
  json["folders"] = Json::array();
  for (const SearchFolder &folder : plugins.folders()) {
    json["folders"].push_back(
        {{"path", folder.path}, {"source", folder.source}, {"state", state_of(folder)}});
  }
  json["files"] = Json::array();
  for (const PluginFile &file : plugins.files()) {
    json["files"].push_back({{"path", file.path}, {"id", file.note.id}, {"state", state_of(file)}});
  }
  return json;
}

void print_search(Output &out, const PluginRegistry &plugins) {
  out.line("\nfolders, in search order:");
  for (const SearchFolder &folder : plugins.folders()) {
    out.untrusted(fmt::format("  {} ({}): {}\n", folder.path, folder.source, state_of(folder)));
  }
  out.line("files:");
  for (const PluginFile &file : plugins.files()) {
    out.untrusted(fmt::format("  {}: {}\n", file.path, state_of(file)));
  }
}

}  // namespace calm::cli
