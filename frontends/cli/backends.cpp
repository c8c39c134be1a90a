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

struct Listed {
  ProvidedItem item;
  std::string version;
  std::vector<calm_device> devices;
  std::uint32_t train = 0, decode = 0, batch = 0;  // scores
  std::string unusable;                            // why, or empty
};

Listed look_at(PluginRegistry &plugins, const ProvidedItem &item) {
  Listed listed;
  listed.item = item;
  if (!item.shadowed_by.empty()) {
    listed.unusable = "the same name comes first in " + item.shadowed_by;
    return listed;
  }
  try {
    const calm_backend &backend = plugins.backend(item.id);
    listed.version = plugins.details(item.path).version;
    std::uint32_t count = 0;
    calm_error error{};
    check(backend.devices(&count, &error), error);
    if (count == 0) {
      listed.unusable = error.message[0] != '\0' ? error.message : "no device";
    }
    for (std::uint32_t i = 0; i < count; ++i) {
      calm_device device{};
      call(backend.device, i, &device);
      listed.devices.push_back(device);
    }
    listed.train = backend.score(CALM_WORKLOAD_TRAIN);
    listed.decode = backend.score(CALM_WORKLOAD_DECODE);
    listed.batch = backend.score(CALM_WORKLOAD_BATCH);
  } catch (const Error &e) {
    listed.unusable = e.what();
  }
  return listed;
}

Json describe(const Listed &listed) {
  Json json = {
      {"name", listed.item.id},
      {"version", listed.version},
      {"usable", listed.unusable.empty()},
      {"reason", listed.unusable},
      {"score", {{"train", listed.train}, {"decode", listed.decode}, {"batch", listed.batch}}},
      {"path", listed.item.path}};
  json["devices"] = Json::array();
  for (const calm_device &device : listed.devices) {
    json["devices"].push_back(
        {{"name", copy(device.name)}, {"memory", device.memory}, {"dtypes", copy(device.dtypes)}});
  }
  return json;
}

void print(Output &out, const Listed &listed) {
  out.untrusted(fmt::format("{} {}\n", listed.item.id, listed.version));
  for (std::size_t i = 0; i < listed.devices.size(); ++i) {
    const calm_device &device = listed.devices[i];
    out.untrusted(fmt::format(
        "  device {}  {}, {}, {}\n", i, view(device.name),
        device.memory == 0 ? std::string("memory of the host") : format_bytes(device.memory),
        view(device.dtypes)));
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
  std::vector<Listed> list;
  for (const ProvidedItem &item : plugins.provided("backend")) {
    list.push_back(look_at(plugins, item));
  }
  const bool verbose = context.options.verbose > 0;
  if (context.options.json) {
    Json json = Json::array();
    for (const Listed &listed : list) {
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
  for (const Listed &listed : list) {
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
