#include "frontends/cli/app.hpp"

#include <algorithm>

#include <CLI/CLI.hpp>

#include "core/base/log.hpp"
#include "frontends/cli/context.hpp"
#include "frontends/cli/parse.hpp"
#include "frontends/cli/settings.hpp"
#include "frontends/cli/verbs.hpp"

namespace calm::cli {

namespace {

void add_globals(CLI::App &app, GlobalOptions &options) {
  app.set_version_flag("--version", "calm " CALM_VERSION_STRING, "print the version and exit");
  app.add_flag("-q,--quiet", options.quiet, "print results and errors only");
  app.add_flag("-v,--verbose", options.verbose, "print more");
  app.add_flag("--json", options.json, "print results as JSON");
  add_machine_options(app, options);
}

void add_dataset(CLI::App &app, Action &action) {
  CLI::App *dataset = app.add_subcommand("dataset", "make and look at training data");
  dataset->require_subcommand(1);
  add_dataset_encode(*dataset, action);
  add_dataset_import(*dataset, action);
  add_dataset_show(*dataset, action);
  add_dataset_stats(*dataset, action);
}

// In the order of the help.
constexpr void (*kVerbs[])(CLI::App &app, Action &action) = {
    add_train,    add_generate, add_complete, add_define,  add_embed, add_eval,
    add_forward,  add_info,     add_convert,  add_dataset, add_index, add_search,
    add_backends, add_plugins,  add_bench,    add_doctor};

}  // namespace

int run_app(int argc, char **argv) {
  Context context;
  Action action;
  CLI::App app("calm trains and runs small language models", "calm");
  app.fallthrough();
  app.require_subcommand(1);
  app.set_help_flag("-h,--help", "print this help and exit");
  app.get_formatter()->column_width(36);
  add_globals(app, context.options);
  for (const auto &add_verb : kVerbs) {
    add_verb(app, action);
  }
  context.laps.lap("knowing the options");

  if (!parse(app, {argv + std::min(argc, 1), argv + argc}, context.out)) {
    return 0;
  }
  apply_settings(app, context.options);
  if (context.options.quiet) {
    set_log_level(CALM_LOG_WARN);
  } else if (context.options.verbose > 0) {
    set_log_level(CALM_LOG_DEBUG);
  }
  const int exit_code = action(context);
  context.out.flush();
  return exit_code;
}

}  // namespace calm::cli
