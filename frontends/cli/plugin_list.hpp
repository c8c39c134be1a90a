#pragma once

#include <calm/backend.h>

#include <cstdint>
#include <string>
#include <vector>

#include "core/plugin/registry.hpp"
#include "frontends/cli/output.hpp"

namespace calm::cli {

/// The folders searched and every file in them with what became of it: `-v` of backends and
/// plugins.
Json describe_search(const PluginRegistry &plugins);
void print_search(Output &out, const PluginRegistry &plugins);

/// What a backend says of itself.
struct BackendState {
  ProvidedItem item;
  std::string version;
  std::vector<calm_device> devices;
  std::uint32_t train = 0, decode = 0, batch = 0;  // scores
  std::string unusable;                            // why, or empty
};
/// Tries the plugin out in a child process first, so that a broken one ends no listing.
BackendState inspect_backend(PluginRegistry &plugins, const ProvidedItem &item);

}  // namespace calm::cli
