#include "frontends/cli/plugin_list.hpp"

#include <algorithm>
#include <string>

#include <fmt/format.h>

#include <calm/cpp/error.hpp>

#include "core/plugin/tables.hpp"

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

BackendState inspect_backend(PluginRegistry &plugins, const ProvidedItem &item) {
  constexpr std::uint32_t kMostDevices = 1024;
  BackendState state;
  state.item = item;
  if (!item.shadowed_by.empty()) {
    state.unusable = "the same name comes first in " + item.shadowed_by;
    return state;
  }
  try {
    plugins.try_out(item.path);
    const calm_backend &backend = plugins.backend(item.id);
    state.version = plugins.details(item.path).version;
    std::uint32_t count = 0;
    calm_error error{};
    check(backend.devices(&count, &error), error);
    if (count == 0) {
      state.unusable = error.message[0] != '\0' ? error.message : "no device";
    }
    for (std::uint32_t i = 0; i < std::min(count, kMostDevices); ++i) {
      calm_device device{};
      call(backend.device, i, &device);
      check_text(device.name, "device name");
      check_text(device.dtypes, "device dtypes");
      state.devices.push_back(device);
    }
    state.train = backend.score(CALM_WORKLOAD_TRAIN);
    state.decode = backend.score(CALM_WORKLOAD_DECODE);
    state.batch = backend.score(CALM_WORKLOAD_BATCH);
  } catch (const Error &e) {
    state.unusable = e.what();
  }
  return state;
}

Json describe_search(const PluginRegistry &plugins) {
  Json json = Json::object();  // made whole: a null one that turns into an object may be left torn
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
