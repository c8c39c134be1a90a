#pragma once

#include <string>
#include <vector>

#include "frontends/cli/context.hpp"

namespace CLI {
class App;
}

namespace calm::cli {

/// Options about the machine and the run's randomness, which every program of ours takes: --color,
/// --plugin-path, --backend, --backend-option, --threads, --seed, with their CALM_* variables.
void add_machine_options(CLI::App &app, GlobalOptions &options);

/// --weights of a verb that runs a model, for Context::weights.
void add_weights_option(CLI::App &verb, std::string &weights);

/// Parses the words after the program's name. False when help or the version was asked for, and
/// printed to `out`. CALM_INVALID_ARGUMENT as one line that names the word and the nearest known
/// one.
bool parse(CLI::App &app, const std::vector<std::string> &words, Output &out);

}  // namespace calm::cli
