#pragma once

#include "frontends/cli/context.hpp"

namespace CLI {
class App;
}

namespace calm::cli {

/// Takes backend, backend-option, weights, threads, seed and color from
/// $XDG_CONFIG_HOME/calm/config.toml (else ~/.config) where neither a flag nor a variable said
/// something. No file is no error; a wrong one is CALM_INVALID_ARGUMENT as "FILE:LINE: REASON". A
/// process with raised privileges reads none.
void apply_settings(const CLI::App &app, GlobalOptions &options);

}  // namespace calm::cli
