#include "frontends/cli/old/old_name.hpp"

#include <algorithm>
#include <array>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

#include <calm/cpp/error.hpp>

#include "core/base/log.hpp"
#include "core/base/signals.hpp"
#include "frontends/cli/context.hpp"
#include "frontends/cli/parse.hpp"
#include "frontends/cli/settings.hpp"

namespace calm::cli {

namespace {

struct OldName {
  std::string_view name;
  const char *purpose;
  void (*declare)(CLI::App &app, Action &action);
};

constexpr std::array<OldName, 4> kOldNames = {{
    {"calm-train", "train a model on a dataset (now: calm train)", declare_old_train},
    {"calm-train-contrastive",
     "train embeddings on pairs (now: calm train --objective contrastive)",
     declare_old_train_contrastive},
    {"calm-inference", "continue a prompt (now: calm generate)", declare_old_inference},
    {"calm-text-to-ctds", "turn a text into a dataset (now: calm dataset encode)",
     declare_old_text_to_ctds},
}};

constexpr int kUsage = 2;
constexpr int kFailed = 1;

// "-t=0.5" is "-t 0.5" to the old programs.
std::vector<std::string> without_equals(const CLI::App &app, std::vector<std::string> words) {
  for (std::string &word : words) {
    if (word.size() > 3 && word[0] == '-' && word[1] != '-' && word[2] == '=' &&
        app.get_option_no_throw(word.substr(0, 2)) != nullptr) {
      word.erase(2, 1);
    }
  }
  return words;
}

int run(const OldName &old, const std::vector<std::string> &words) {
  Context context;
  Action action;
  CLI::App app(old.purpose, std::string(old.name));
  app.set_help_flag("-h,--help", "print this help and exit");
  app.get_formatter()->column_width(36);
  // The last of a repeated flag counts.
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  old.declare(app, action);
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::Throw);
  add_machine_options(app, context.options);
  try {
    if (!parse(app, without_equals(app, words), context.out)) {
      return 0;
    }
  } catch (const Error &e) {
    print_error(e.what());
    return e.status() == CALM_INVALID_ARGUMENT ? kUsage : kFailed;
  }
  apply_settings(app, context.options);
  // Standard error stays empty unless something is wrong.
  context.options.quiet = true;
  set_log_level(CALM_LOG_WARN);
  const int exit_code = action(context);
  context.out.flush();
  return exit_code;
}

}  // namespace

std::optional<int> run_old_name(int argc, char **argv) {
  std::string_view called = argc > 0 ? argv[0] : "";
  called.remove_prefix(called.rfind('/') + 1);
  const auto *old = std::find_if(kOldNames.begin(), kOldNames.end(),
                                 [&](const OldName &o) { return o.name == called; });
  if (old == kOldNames.end()) {
    return std::nullopt;
  }
  try {
    return run(*old, {argv + 1, argv + argc});
  } catch (const Error &e) {
    print_error(e.what());
    return e.status() == CALM_CANCELLED && SignalScope::received() != 0 ? SignalScope::exit_code()
                                                                        : kFailed;
  } catch (const std::bad_alloc &) {
    print_error("memory ran out");
    return kFailed;
  }
}

}  // namespace calm::cli
