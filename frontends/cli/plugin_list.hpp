#pragma once

#include "core/plugin/registry.hpp"
#include "frontends/cli/output.hpp"

namespace calm::cli {

/// The folders searched and every file in them with what became of it: `-v` of backends and
/// plugins.
Json describe_search(const PluginRegistry &plugins);
void print_search(Output &out, const PluginRegistry &plugins);

}  // namespace calm::cli
