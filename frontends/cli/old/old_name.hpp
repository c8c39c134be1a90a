#pragma once

#include <optional>

#include "frontends/cli/verbs.hpp"

// The four programs of calm's first life (spec section N), found by the name calm is called by:
// their flags, defaults, lines on standard output and exit codes, over the machinery of the verbs.
namespace calm::cli {

/// The exit code when argv[0] is an old name; nothing otherwise. Wrong usage is 2, a signal its
/// own code, any other failure 1.
std::optional<int> run_old_name(int argc, char **argv);

// Each declares its flags on `app` and sets `action`.
void declare_old_train(CLI::App &app, Action &action);
void declare_old_train_contrastive(CLI::App &app, Action &action);
void declare_old_inference(CLI::App &app, Action &action);
void declare_old_text_to_ctds(CLI::App &app, Action &action);

}  // namespace calm::cli
