#include "frontends/cli/app.hpp"

#include <algorithm>
#include <cctype>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <calm/cpp/error.hpp>

#include "core/base/log.hpp"
#include "core/base/suggest.hpp"
#include "frontends/cli/context.hpp"
#include "frontends/cli/settings.hpp"
#include "frontends/cli/verbs.hpp"

namespace calm::cli {

namespace {

void add_globals(CLI::App &app, GlobalOptions &options) {
  const std::map<std::string, Color> colors = {
      {"auto", Color::kAuto}, {"always", Color::kAlways}, {"never", Color::kNever}};
  app.set_version_flag("--version", "calm " CALM_VERSION_STRING, "print the version and exit");
  app.add_flag("-q,--quiet", options.quiet, "print results and errors only");
  app.add_flag("-v,--verbose", options.verbose, "print more");
  app.add_flag("--json", options.json, "print results as JSON");
  app.add_option("--color", options.color, "auto, always or never")
      ->transform(CLI::CheckedTransformer(colors))
      ->option_text("WHEN");
  app.add_option("--plugin-path", options.plugin_path, "look for plugins here first; repeatable")
      ->option_text("DIR")
      ->allow_extra_args(false);
  app.add_option("--backend", options.backend, "auto, or a backend's name, \":device\" allowed")
      ->option_text("NAME")
      ->envname("CALM_BACKEND");
  app.add_option("--threads", options.threads, "processors to use; 0: all")
      ->option_text("N")
      ->check(CLI::Range(0, 4096))
      ->envname("CALM_THREADS");
  app.add_option("--seed", options.seed, "of everything random")
      ->option_text("N")
      ->check(CLI::Range(std::int64_t{0}, std::numeric_limits<std::int64_t>::max()))
      ->envname("CALM_SEED");
}

// The innermost verb that was given.
const CLI::App *given_verb(const CLI::App &app) {
  const CLI::App *verb = &app;
  while (!verb->get_subcommands().empty()) {
    verb = verb->get_subcommands().back();
  }
  return verb;
}

std::string help_command(const CLI::App &app) {
  std::string command = "calm";
  const CLI::App *verb = &app;
  while (!verb->get_subcommands().empty()) {
    verb = verb->get_subcommands().back();
    command += " " + verb->get_name();
  }
  return command + " --help";
}

std::vector<std::string> flags_of(const CLI::App &app) {
  std::vector<std::string> flags;
  for (const CLI::App *level : {given_verb(app), &app}) {
    for (const CLI::Option *option : level->get_options()) {
      for (const std::string &name : option->get_lnames()) {
        flags.push_back("--" + name);
      }
    }
  }
  return flags;
}

std::vector<std::string> verbs_of(const CLI::App &app) {
  std::vector<std::string> verbs;
  for (const CLI::App *verb : app.get_subcommands([](const CLI::App *) { return true; })) {
    verbs.push_back(verb->get_name());
  }
  return verbs;
}

// What the parser says, as one of our lines.
std::string tidy(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  // "Could not convert: --lr = abc"
  constexpr std::string_view kConvert = "Could not convert: ";
  const std::size_t equals = text.find(" = ");
  if (text.compare(0, kConvert.size(), kConvert) == 0 && equals != std::string::npos) {
    return fmt::format("{}: expected a number, found \"{}\"",
                       text.substr(kConvert.size(), equals - kConvert.size()),
                       text.substr(equals + 3));
  }
  while (!text.empty() && (text.back() == '.' || text.back() == ' ')) {
    text.pop_back();
  }
  const std::size_t colon = text.find(": ");
  for (const std::size_t start : {std::size_t{0}, colon == std::string::npos ? 0 : colon + 2}) {
    // A word, not a name in capitals.
    if (text.size() > start + 1 && std::islower(static_cast<unsigned char>(text[start + 1])) != 0) {
      text[start] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[start])));
    }
  }
  return text;
}

[[noreturn]] void refuse(const CLI::App &app, const CLI::ParseError &error) {
  const std::vector<std::string> left = app.remaining(true);
  const CLI::App *verb = given_verb(app);
  const std::vector<std::string> verbs = verbs_of(*verb);
  std::string what = tidy(error.what());
  // A word nobody expected explains the rest: what is missing may be what was misspelt.
  if (!left.empty()) {
    const std::string &word = left.front();
    if (word.size() > 1 && word[0] == '-') {
      const std::string flag = word.substr(0, word.find('='));
      what = fmt::format("{}: unknown option{}", flag, did_you_mean(flag, flags_of(app)));
    } else if (!verbs.empty()) {
      what = fmt::format("{}: unknown verb{}", word, did_you_mean(word, verbs));
    } else {
      what = fmt::format("{}: unexpected argument", word);
    }
  } else if (!verbs.empty()) {
    what = fmt::format("expected a verb: {}", fmt::join(verbs, ", "));
  }
  throw Error(CALM_INVALID_ARGUMENT, fmt::format("{} (try {})", what, help_command(app)));
}

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
  add_train(app, action);
  add_generate(app, action);
  add_eval(app, action);
  add_forward(app, action);
  add_info(app, action);
  CLI::App *dataset = app.add_subcommand("dataset", "make and look at training data");
  dataset->require_subcommand(1);
  add_dataset_encode(*dataset, action);
  add_dataset_import(*dataset, action);
  add_dataset_show(*dataset, action);
  add_dataset_stats(*dataset, action);
  add_backends(app, action);
  add_plugins(app, action);
  add_doctor(app, action);

  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp &) {
    context.out.write(app.help());
    context.out.flush();
    return 0;
  } catch (const CLI::CallForVersion &version) {
    context.out.line(version.what());
    context.out.flush();
    return 0;
  } catch (const CLI::ParseError &error) {
    refuse(app, error);
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
