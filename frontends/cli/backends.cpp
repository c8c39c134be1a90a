#include <unistd.h>

#include <cstdint>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <calm/cpp/error.hpp>

#include "core/plugin/registry.hpp"
#include "frontends/cli/context.hpp"
#include "frontends/cli/plugin_list.hpp"
#include "frontends/cli/progress.hpp"
#include "frontends/cli/verbs.hpp"

namespace calm::cli {

namespace {

// Of a device that works in it, 0 in its description; 0 too when the system does not say.
std::uint64_t host_memory() {
  const long pages = ::sysconf(_SC_PHYS_PAGES);
  const long page = ::sysconf(_SC_PAGESIZE);
  return pages > 0 && page > 0
             ? static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page)
             : 0;
}

std::string memory_text(const calm_device &device) {
  return device.memory == 0 ? format_bytes(host_memory()) + " of the host"
                            : format_bytes(device.memory);
}

Json describe(const BackendState &listed) {
  Json json = {
      {"name", listed.item.id},
      {"version", listed.version},
      {"usable", listed.unusable.empty()},
      {"reason", listed.unusable},
      {"score", {{"train", listed.train}, {"decode", listed.decode}, {"batch", listed.batch}}},
      {"path", listed.item.path}};
  json["devices"] = Json::array();
  for (const calm_device &device : listed.devices) {
    json["devices"].push_back({{"name", copy(device.name)},
                               {"memory", device.memory == 0 ? host_memory() : device.memory},
                               {"dtypes", copy(device.dtypes)}});
  }
  return json;
}

void print(Output &out, const BackendState &listed) {
  out.untrusted(fmt::format("{} {}\n", listed.item.id, listed.version));
  for (std::size_t i = 0; i < listed.devices.size(); ++i) {
    const calm_device &device = listed.devices[i];
    out.untrusted(fmt::format("  device {}  {}, {}, {}\n", i, view(device.name),
                              memory_text(device), view(device.dtypes)));
  }
  if (listed.unusable.empty()) {
    out.line(fmt::format("  score     train {}, decode {}, batch {}", listed.train, listed.decode,
                         listed.batch));
  } else {
    out.untrusted(fmt::format("  unusable  {}\n", listed.unusable));
  }
  out.untrusted(fmt::format("  path      {}\n", listed.item.path));
}

int run_backends(Context &context) {
  PluginRegistry &plugins = context.runtime().plugins();
  std::vector<BackendState> list;
  for (const ProvidedItem &item : plugins.provided("backend")) {
    list.push_back(inspect_backend(plugins, item));
  }
  const bool verbose = context.options.verbose > 0;
  if (context.options.json) {
    Json json = Json::array();
    for (const BackendState &listed : list) {
      json.push_back(describe(listed));
    }
    if (verbose) {
      Json all = describe_search(plugins);
      all["backends"] = json;
      json = all;
    }
    context.out.json(json);
    return 0;
  }
  for (const BackendState &listed : list) {
    print(context.out, listed);
  }
  if (list.empty()) {
    context.note("no backend was found; calm backends -v says where it was looked for");
  }
  if (verbose) {
    print_search(context.out, plugins);
  }
  return 0;
}

}  // namespace

void add_backends(CLI::App &app, Action &action) {
  CLI::App *verb = app.add_subcommand("backends", "list what programs can run on");
  verb->callback([&action] { action = run_backends; });
}

}  // namespace calm::cli
