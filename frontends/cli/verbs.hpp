#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace calm::cli {

class Context;

/// What the command line asked for; gives the exit code.
using Action = std::function<int(Context &)>;

// Each declares its verb on `app`, and sets `action` when that verb was given.
void add_train(CLI::App &app, Action &action);
void add_generate(CLI::App &app, Action &action);
void add_complete(CLI::App &app, Action &action);
void add_define(CLI::App &app, Action &action);
void add_embed(CLI::App &app, Action &action);
void add_eval(CLI::App &app, Action &action);
void add_forward(CLI::App &app, Action &action);
void add_info(CLI::App &app, Action &action);
void add_convert(CLI::App &app, Action &action);
void add_index(CLI::App &app, Action &action);
void add_search(CLI::App &app, Action &action);
void add_backends(CLI::App &app, Action &action);
void add_plugins(CLI::App &app, Action &action);
void add_bench(CLI::App &app, Action &action);
void add_doctor(CLI::App &app, Action &action);
// Of `calm dataset`.
void add_dataset_encode(CLI::App &app, Action &action);
void add_dataset_import(CLI::App &app, Action &action);
void add_dataset_show(CLI::App &app, Action &action);
void add_dataset_stats(CLI::App &app, Action &action);

}  // namespace calm::cli
