#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <calm/cpp/error.hpp>

#include "core/plugin/loader.hpp"
#include "core/plugin/registry.hpp"
#include "frontends/cli/context.hpp"
#include "frontends/cli/plugin_list.hpp"
#include "frontends/cli/verbs.hpp"

namespace calm::cli {

namespace {

int run_plugins(Context &context) {
  PluginRegistry &plugins = context.runtime().plugins();
  const bool verbose = context.options.verbose > 0;
  Json list = Json::array();
  for (const ProvidedItem &item : plugins.provided()) {
    Json entry = {{"kind", item.kind},
                  {"id", item.id},
                  {"revision", item.revision},
                  {"plugin", item.plugin},
                  {"version", ""},
                  {"abi", abi_text(item.abi)},
                  {"path", item.path},
                  {"shadowed_by", item.shadowed_by}};
    try {
      plugins.try_out(item.path);
      const PluginDetails details = plugins.details(item.path);
      entry["version"] = details.version;
      if (verbose) {
        entry["vendor"] = details.vendor;
        entry["license"] = details.license;
        entry["description"] = details.description;
        entry["compiler"] = details.compiler;
      }
    } catch (const Error &e) {
      entry["unusable"] = e.what();
    }
    list.push_back(entry);
  }
  if (context.options.json) {
    if (verbose) {
      Json all = describe_search(plugins);
      all["plugins"] = list;
      list = all;
    }
    context.out.json(list);
    return 0;
  }
  for (const Json &entry : list) {
    const auto text = [&entry](const char *key) { return entry.value(key, std::string()); };
    context.out.untrusted(fmt::format("{:<10} {:<14} {:<8} abi {:<5} {}\n", text("kind"),
                                      text("id"), text("version"), text("abi"), text("path")));
    if (!text("shadowed_by").empty()) {
      context.out.untrusted(
          fmt::format("{:<10} not used: {} comes first\n", "", text("shadowed_by")));
    }
    if (!text("unusable").empty()) {
      context.out.untrusted(fmt::format("{:<10} unusable: {}\n", "", text("unusable")));
    }
    if (verbose && !text("description").empty()) {
      context.out.untrusted(fmt::format("{:<10} {}; {}, {}, {}\n", "", text("description"),
                                        text("vendor"), text("license"), text("compiler")));
    }
  }
  if (verbose) {
    print_search(context.out, plugins);
  }
  return 0;
}

}  // namespace

void add_plugins(CLI::App &app, Action &action) {
  CLI::App *verb = app.add_subcommand("plugins", "list everything plugins provide");
  verb->callback([&action] { action = run_plugins; });
}

}  // namespace calm::cli
